// The worker's life: confirm, stop, settle, take over the record, sleep to the next deadline.
#pragma once

namespace jit::worker {

[[noreturn]] void run();

}  // namespace jit::worker
