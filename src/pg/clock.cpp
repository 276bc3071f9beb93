#include "jit_access/pg/clock.hpp"

#include <ctime>
#include <fstream>

#include "jit_access/pg/server.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace jit::pg {

std::int64_t wall_clock() noexcept { return GetCurrentTimestamp(); }

std::int64_t boot_clock() noexcept {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;  // empty if the system has none; then boot times in the tables are not used
}

}  // namespace jit::pg
