// Refuses an object that was just created under a grant if it refers to functions, tables or schemas that its maker
// could use only through the grant. The server checks most of these privileges when the object is created and never
// again, so the object would keep the privilege after the end of the grant, or lend it to others.
//
// Called by guard_objects.hpp, in a transaction, outside of pg::call(). May throw server errors.
#pragma once

#include <cstdint>

namespace jit::guard {

enum class Maker : std::uint8_t {
    grant,  // the object belongs to the role of the grant, or to a role of the template
    login   // mode inherit: it belongs to the login
};

// Why the object is refused, as the DETAIL of the message; null if it is not.
[[nodiscard]] const char* why_references_refused(std::uint32_t object_class, std::uint32_t object, Maker maker);

// Whether an object is complete only at the end of its command: the rows that why_references_refused() reads are
// written after the object was announced.
[[nodiscard]] bool is_announced_early(std::uint32_t object_class, std::uint32_t object);

}  // namespace jit::guard
