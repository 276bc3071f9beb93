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
    [[nodiscard]] std::optional<core::IntervalParts> interval(int i) const;
    // One dimension, no NULLs; `name` is for the message.
    [[nodiscard]] std::optional<TextArray> texts(int i, const char* name) const;
    // A numeric that has to be the id of a request.
    [[nodiscard]] std::int64_t id(int i) const;

private:
    [[nodiscard]] bool null(int i) const noexcept { return info_->args[i].isnull; }
    [[nodiscard]] Datum datum(int i) const noexcept { return info_->args[i].value; }

    FunctionCallInfo info_;
};

[[nodiscard]] Datum text_result(std::string_view text);
[[nodiscard]] Datum texts_result(const TextArray& texts);
// The label of an enum value of type jit_access.state.
[[nodiscard]] Datum state_result(std::string_view label);

}  // namespace jit::pg
