// The record of a story, row by row in the order of time: its notes, and the statements that are run under its grants,
// which are made up while they are written, because there may be ten millions of them.
#pragma once

#include <functional>

#include "jit_access/core/audit_record.hpp"
#include "story.hpp"

namespace life {

struct Stream {
    const Story& story;
    jit::core::Uuid node{};
    std::int64_t rows = 0;  // of the whole record, about

    // Entries live during the call.
    void run(const std::function<void(jit::core::AuditRecord&)>& put) const;
};

}  // namespace life
