// Drift: roles and memberships that are not what the tables say. Superusers can make them; the worker sees them within
// one nap, puts them on the record and takes away what nobody approved.
#pragma once

namespace jit::drift {

void sweep();

}  // namespace jit::drift
