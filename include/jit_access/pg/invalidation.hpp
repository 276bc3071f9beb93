// Being told when something changes. The callbacks run where nothing may be looked up and nothing may fail.
#pragma once

#include <cstdint>

namespace jit::pg {

void when_memberships_change(void (*told)() noexcept);
void when_relations_change(void (*told)(std::uint32_t relation) noexcept);  // 0 = any
// Once per process, when it first matters.
void when_session_ends(void (*told)() noexcept);

}  // namespace jit::pg
