// Arguments and results of an SQL function as C++ values. NULL is nullopt. Used by the room `api` only.
//
// `i` counts from 0. The caller guarantees that the argument has the type that the name of the method says. Methods
// throw invalid_argument for values that the extension rejects. They may also throw server errors.
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
    [[nodiscard]] std::optional<std::int32_t> integer(int i) const;  // or a date: days since 2000-01-01
    [[nodiscard]] std::optional<std::int64_t> bigint(int i) const;
    [[nodiscard]] std::optional<Instant> instant(int i) const;
    [[nodiscard]] std::optional<std::int64_t> time(int i) const;  // microseconds since midnight
    [[nodiscard]] std::optional<core::IntervalParts> interval(int i) const;
    [[nodiscard]] std::optional<std::string> jsonb(int i) const;  // as text
    // An array of one dimension without NULLs. `name` appears in the message of an error.
    [[nodiscard]] std::optional<TextArray> texts(int i, const char* name) const;
    // The same for integers or dates; NULL gives an empty vector.
    [[nodiscard]] std::vector<std::int32_t> integers(int i, const char* name) const;
    // A numeric that must be a valid id. `kind` names the object in the message. The SQL functions take numeric so that
    // integer and bigint arguments resolve to one function.
    [[nodiscard]] std::int64_t id(int i, const char* kind = "request") const;

    // Reads the parameter of this name. Leaves `value` unchanged if the function has no such parameter.
    void read(const char* name, std::optional<std::string>& value) const;
    void read(const char* name, std::optional<bool>& value) const;
    void read(const char* name, std::optional<std::int32_t>& value) const;
    void read(const char* name, std::optional<core::IntervalParts>& value) const;
    void read(const char* name, std::optional<TextArray>& value) const;

private:
    [[nodiscard]] bool is_null(int i) const noexcept { return info_->args[i].isnull; }
    [[nodiscard]] Datum datum(int i) const noexcept { return info_->args[i].value; }
    [[nodiscard]] std::optional<int> find(const char* name) const;

    FunctionCallInfo info_;
};

[[nodiscard]] Datum text_result(std::string_view text);
[[nodiscard]] Datum jsonb_result(const std::string& text);
[[nodiscard]] Datum texts_result(const TextArray& texts);
// The value of the enum jit_access.state with this label.
[[nodiscard]] Datum state_result(std::string_view label);

}  // namespace jit::pg
