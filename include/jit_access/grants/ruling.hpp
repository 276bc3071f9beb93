// The facts of a case, looked up for core/policy, and what an approval is bound to.
#pragma once

#include "jit_access/core/policy.hpp"
#include "jit_access/grants/request.hpp"

namespace jit::ruling {

[[nodiscard]] core::Policy policy_of(const templates::Template& of);

// The rules that name this template, or any, and a role of the person's, or none. A grant that he holds makes nobody a
// member here. Their windows are asked about the moment at which it would begin, their networks about the client of the
// requester: where somebody else acts, nobody knows that one, and they were asked when he did.
enum class Actor { requester, other };
[[nodiscard]] std::vector<core::Rule> applicable_rules(const principal::Person& who, const templates::Template& of,
                                                std::int64_t begin, Actor actor);

// A request that is about to be made: nobody has decided anything yet.
[[nodiscard]] core::Ruling for_new_request(const principal::Person& who, const templates::Template& of, std::int64_t duration,
                                   const std::optional<pg::Instant>& starts_at = std::nullopt);

// The same, at once and without an approval.
[[nodiscard]] core::Ruling for_break_glass(const principal::Person& who, const templates::Template& of,
                                          std::int64_t duration);

// A request as it stands, with the decisions there are. Who has already approved is looked at again: whether he still
// counts, and whether what would be given is still what he approved. It is about to be decided, or to become active.
enum class Purpose : std::uint8_t {
    decision,
    activation,
    activation_by_requester,  // by the requester himself, whose client is looked at
};
[[nodiscard]] core::Ruling for_request(const request::Request& request, const templates::Template& of,
                                      Purpose occasion);

// Throws the first objection. One to where somebody asks from is on the record even if the code hides the error.
void require_no_objections(const core::Ruling& ruling);

// SHA-256, in hexadecimal, of everything an approver is shown: requester, template and version, what its role has
// beyond the template's own items, scope, start, the duration that was asked for, reason and ticket.
[[nodiscard]] std::string digest(const request::Request& request, const templates::Template& of);

// The same for a request as it stands, if there is one that concerns the session user; no lock is taken.
[[nodiscard]] std::optional<std::string> current_digest(std::int64_t id);

}  // namespace jit::ruling
