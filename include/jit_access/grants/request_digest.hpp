// The digest of a request: SHA-256 over everything an approver is shown. An approval is stored with the digest and
// counts only as long as the digest of the request is the same, so nothing can change between an approval and the
// grant.
//
// The digest covers requester, template and version, the privileges of the template's role beyond its own items, scope,
// start, the duration that was asked for, reason and ticket. If an approver shortens the duration, the digest does not
// change. Needs a transaction.
#pragma once

#include <string>

#include "jit_access/grants/request.hpp"

namespace jit::request_digest {

// Returns the digest in hexadecimal.
[[nodiscard]] std::string compute(const request::Request& request, const templates::Template& tmpl);

// Returns the digest of a request as it is now, for jit_request_digest(); nothing if the request does not exist or the
// session user may not see it. Takes no lock.
[[nodiscard]] std::optional<std::string> compute_current(std::int64_t id);

}  // namespace jit::request_digest
