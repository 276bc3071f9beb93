// The objects that a statement touches, in the form in which they are recorded: collected by name, with the privileges
// that the statement needs on each object, and the part of these privileges that its user has without any grant.
//
// Used by describe_query and describe_command only. One statement is described at a time, so there is one collection
// per process; the result is valid until the next statement is described. Needs a transaction; lookups may throw.
// Names are looked up without locks and without regard to privileges. The statement itself checks whether an object
// exists, and whether the user may use it.
#pragma once

#include <array>
#include <span>

#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/pg/version_shims.hpp"

namespace jit::describe {

// The objects, each listed once. If there are more than fit, those that need the grant are preferred. A name is copied,
// because the cache of names may replace one entry while another is added.
class StatementObjects {
public:
    void clear() noexcept { count_ = stored_ = 0, used_ = 0; }
    // `standing`: the part of `privileges` that needs no grant.
    void add(Oid relation, std::uint32_t privileges, std::uint32_t standing);
    // An object that has no OID yet, or is not a relation.
    void add(std::string_view name, std::uint32_t privileges);

    [[nodiscard]] bool has(Oid relation) noexcept { return find(relation) != nullptr; }
    [[nodiscard]] std::span<const core::ObjectUse> stored() const noexcept { return {uses_.data(), stored_}; }
    // Returns the number of all added objects, including those beyond core::max_objects.
    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

private:
    core::ObjectUse* find(Oid relation) noexcept;
    [[nodiscard]] bool has_room(std::string_view name) const noexcept;
    // Removes the last object whose privileges are all standing. Returns false if there is none.
    bool remove_standing() noexcept;
    void append(std::string_view name, std::uint32_t privileges, std::uint32_t standing, Oid relation);

    std::uint32_t count_ = 0;
    std::uint32_t stored_ = 0;
    std::size_t used_ = 0;
    std::array<core::ObjectUse, core::max_objects> uses_;
    std::array<Oid, core::max_objects> relations_;
    std::array<char, 8192> text_;
};

// The objects of the statement that is being described.
extern StatementObjects objects;

// The statement's own part of the source text, without blanks around it and without its semicolon.
[[nodiscard]] std::string_view statement_text(const char* source, int location, int length) noexcept;
[[nodiscard]] std::uint32_t recorded_privileges(AclMode mode) noexcept;
// The bound parameters as "$1 = '…', $2 = NULL" if jit_access.log_parameters is on. Empty for variables of plpgsql,
// which have no parameter list of this kind, and if a one-time code may be among the parameters.
[[nodiscard]] std::string_view bound_parameters(ParamListInfoData* parameters, const char* source);
// Whether the statement runs inside something that the client has sent, although no recorded statement contains it.
// Statements sent by a client have a portal; deferred triggers at commit, functions called by the fast-path message and
// functions evaluated by the planner have none.
[[nodiscard]] bool runs_without_portal() noexcept;

// Adds a relation with these privileges. Which of them are standing is looked up for the whole relation.
void add_relation(Oid relation, std::uint32_t privileges);

}  // namespace jit::describe
