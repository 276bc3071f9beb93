// Rulings: these functions collect the facts about a request, from which core::decide() makes the ruling.
//
// All functions run SQL and need a transaction. Before for_new_request(), for_break_glass() and for_request() the
// caller calls contention::lock_for_caps(), so that the usage that is counted cannot change before the transaction
// ends.
#pragma once

#include "jit_access/core/policy.hpp"
#include "jit_access/grants/request.hpp"

namespace jit::ruling {

[[nodiscard]] core::Policy policy_of(const templates::Template& tmpl);

// The rules that apply to this template and this person. Memberships that come from a grant do not count. Windows are
// evaluated at `start`, the moment at which the grant would begin. If the requester acts in this session, the networks
// of the rules are compared with the client of this session. Otherwise the requester's client is unknown; it was
// checked when the request was made.
enum class Actor { requester, other };
[[nodiscard]] std::vector<core::Rule> applicable_rules(const principal::Person& person, const templates::Template& tmpl,
                                                       std::int64_t start, Actor actor);

// A request that is about to be made; there are no decisions yet. Durations are microseconds.
[[nodiscard]] core::Ruling for_new_request(const principal::Person& requester, const templates::Template& tmpl,
                                           std::int64_t duration,
                                           const std::optional<pg::Instant>& starts_at = std::nullopt);

// The same for a break-glass grant, which starts at once and needs no approval.
[[nodiscard]] core::Ruling for_break_glass(const principal::Person& responder, const templates::Template& tmpl,
                                           std::int64_t duration);

// A stored request with its decisions. Each decision is checked again: whether the approver is still an approver, and
// whether the grant that would be given now is the one that was approved.
enum class Purpose : std::uint8_t {
    decision,                 // an approval was just stored
    activation,               // a scheduled grant is due
    activation_by_requester,  // the requester activates it; the client of this session is checked
};
[[nodiscard]] core::Ruling for_request(const request::Request& request, const templates::Template& tmpl,
                                       Purpose purpose);

// Throws the first objection, if there is one. An objection to the client's address is put on the record even if the
// calling code hides the error.
void require_no_objections(const core::Ruling& ruling);

}  // namespace jit::ruling
