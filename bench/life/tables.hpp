// The story as files for COPY, in its text format.
#pragma once

#include <cstdio>

#include "jit_access/core/chain.hpp"
#include "stream.hpp"

namespace life {

// Rows in the text format of COPY; NULL is \N.
class CopyFile {
public:
    explicit CopyFile(std::FILE* file) : file_(file) {}

    CopyFile& null();
    CopyFile& text(std::string_view value);
    CopyFile& text_or_null(std::string_view value) { return value.empty() ? null() : text(value); }
    CopyFile& number(std::int64_t value);
    CopyFile& moment(std::int64_t value);  // microseconds since 2000-01-01
    CopyFile& moment_or_null(std::int64_t value) { return value == 0 ? null() : moment(value); }
    CopyFile& length(std::int64_t microseconds);
    CopyFile& flag(bool value) { return text(value ? "t" : "f"); }
    CopyFile& list(const std::vector<std::string_view>& values);
    CopyFile& list(const std::vector<std::int64_t>& values);
    void end_row();
    void flush();

private:
    void begin_field();
    std::FILE* file_;
    std::string row_;
    bool first_ = true;
};

// The last record of a chain, which the generated records continue.
struct Head {
    std::int64_t seq = 0;
    jit::core::Digest digest{};
};

void write_record(const Stream& stream, Head head, std::FILE* to);
// template, person, request, decision, review and planted, as DIRECTORY/NAME.copy
void write_tables(const Story& story, const std::string& node, const std::string& directory);

}  // namespace life
