// The table jit_access.record: rows written many at a time, the way COPY does, and read back as what they were.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "jit_access/core/chain.hpp"

namespace jit::pg {

// Appends, in the transaction it is made in. What is not finished is lost with the transaction.
class RecordWriter {
public:
    RecordWriter();  // throws
    ~RecordWriter();
    RecordWriter(const RecordWriter&) = delete;
    RecordWriter& operator=(const RecordWriter&) = delete;

    void add(const core::Entry& entry, const core::Digest& head);
    void finish();

private:
    struct State;
    State* state_;
};

// In order of their numbers; texts are valid during the call.
void read_record(std::int64_t from, std::int64_t to,
                 const std::function<void(const core::Entry& entry, core::Bytes head)>& visit);

// jsonb as the server writes it; throws for what is no JSON.
[[nodiscard]] std::string normal_json(const std::string& text);
// Text in the encoding of this database: what is not, is written as \xHH.
[[nodiscard]] bool is_valid_text(std::string_view text) noexcept;
[[nodiscard]] std::string escape_invalid(std::string_view text);

}  // namespace jit::pg
