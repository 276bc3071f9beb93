// CREATE EXTENSION: refuses where the extension could not keep its promise, and makes the group roles.
#pragma once

namespace jit::install {

void check();

}  // namespace jit::install
