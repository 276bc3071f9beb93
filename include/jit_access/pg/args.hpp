// Arguments of an SQL function as C++ values; NULL is nothing. Only the entry uses it.
#pragma once

#include "jit_access/core/duration.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/pg/server.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::pg {

class Args {
public:
    explicit Args(FunctionCallInfo info) noexcept : info_(info) {}

    [[nodiscard]] std::optional<std::string> text(int i) const;
    [[nodiscard]] std::optional<bool> boolean(int i) const;
    [[nodiscard]] std::optional<std::int32_t> integer(int i) const;
    [[nodiscard]] std::optional<std::int64_t> bigint(int i) const;
    [[nodiscard]] std::optional<Instant> instant(int i) const;
    // Of day, in microseconds. A date is read by integer(), as days since 2000-01-01.
    [[nodiscard]] std::optional<std::int64_t> time(int i) const;
    [[nodiscard]] std::optional<core::IntervalParts> interval(int i) const;
    // A jsonb, as text.
    [[nodiscard]] std::optional<std::string> jsonb(int i) const;
    // One dimension, no NULLs; `name` is for the message.
    [[nodiscard]] std::optional<TextArray> texts(int i, const char* name) const;
    // Of integers or dates; NULL is none.
    [[nodiscard]] std::vector<std::int32_t> integers(int i, const char* name) const;
    // A numeric that has to be the id of a request, or of something else.
    [[nodiscard]] std::int64_t id(int i, const char* of = "request") const;

    // By the name of the parameter; nothing when the function has none of that name.
    void read(const char* name, std::optional<std::string>& into) const;
    void read(const char* name, std::optional<bool>& into) const;
    void read(const char* name, std::optional<std::int32_t>& into) const;
    void read(const char* name, std::optional<core::IntervalParts>& into) const;
    void read(const char* name, std::optional<TextArray>& into) const;

private:
    [[nodiscard]] bool null(int i) const noexcept { return info_->args[i].isnull; }
    [[nodiscard]] Datum datum(int i) const noexcept { return info_->args[i].value; }
    [[nodiscard]] std::optional<int> find(const char* name) const;

    FunctionCallInfo info_;
};

[[nodiscard]] Datum text_result(std::string_view text);
[[nodiscard]] Datum jsonb_result(const std::string& text);  // jsonb
[[nodiscard]] Datum texts_result(const TextArray& texts);
// The label of an enum value of type jit_access.state.
[[nodiscard]] Datum state_result(std::string_view label);

}  // namespace jit::pg
