// Being told when something changes. The callbacks run where nothing may be looked up and nothing may fail.
#pragma once

#include <cstdint>

namespace jit::pg {

void on_membership_change(void (*told)() noexcept);
void on_relation_change(void (*told)(std::uint32_t relation) noexcept);  // 0 = any
// Once per process, when it first matters.
void on_session_end(void (*told)() noexcept);

}  // namespace jit::pg
