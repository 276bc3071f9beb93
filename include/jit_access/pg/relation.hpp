// Names of relations for the record, in a cache per process, so that a repeated statement reads no catalog and
// allocates nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace jit::pg {

// While an object of this class exists, identifiers are quoted only where needed, regardless of quote_all_identifiers,
// so that an object has only one name on the record.
class MinimalQuoting {
public:
    MinimalQuoting() noexcept;
    ~MinimalQuoting();
    MinimalQuoting(const MinimalQuoting&) = delete;
    MinimalQuoting& operator=(const MinimalQuoting&) = delete;

private:
    bool before_;
};

// The schema-qualified, quoted name. A later call may evict it from the cache, so copy it or use it at once. Needs a
// transaction if the name is not in the cache, and may then throw server errors.
[[nodiscard]] std::string_view relation_name(std::uint32_t relation);

// Removes a relation, or all of them (0), from the cache. For invalidation callbacks.
void forget_relation_names(std::uint32_t relation) noexcept;

}  // namespace jit::pg
