// Control events: written in the transaction they describe, taken over into the record by the worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace jit::control_event {

using Detail = std::vector<std::pair<const char*, std::optional<std::string>>>;

// `kind` is a past participle: requested, approved, activated, ... Absent details are left out.
void write(const char* kind, std::optional<std::int64_t> id, const std::string& actor, const Detail& detail = {});

}  // namespace jit::control_event
