// The record of a story in the order of time: its notes, and the statements that run under its grants. The statements
// are generated while they are written, because there may be ten million of them.
#pragma once

#include <functional>

#include "jit_access/core/audit_record.hpp"
#include "story.hpp"

namespace life {

struct Stream {
    const Story& story;
    jit::core::Uuid node{};
    std::int64_t rows = 0;  // of the whole record, approximately

    // The record is valid during the call.
    void run(const std::function<void(jit::core::AuditRecord&)>& put) const;
};

}  // namespace life
