// Names of relations for the record, cached so that a repeated statement looks nothing up and allocates nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace jit::pg {

// While it lives, names are quoted where needed alone, whatever the session has set quote_all_identifiers to: on the
// record a thing has one name.
class MinimalQuoting {
public:
    MinimalQuoting() noexcept;
    ~MinimalQuoting();
    MinimalQuoting(const MinimalQuoting&) = delete;
    MinimalQuoting& operator=(const MinimalQuoting&) = delete;

private:
    bool before_;
};

// Schema-qualified and quoted where needed; valid until the next call for another relation may evict it, so copy or use
// at once within one statement of at most 64 relations. Needs a transaction on a miss.
[[nodiscard]] std::string_view relation_name(std::uint32_t relation);

void forget_relation_names(std::uint32_t relation) noexcept;  // 0 = all

}  // namespace jit::pg
