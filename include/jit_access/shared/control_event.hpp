// Control events: requests, decisions, activations, ends, changes of templates. An event is a row of jit_access.event,
// written in the transaction that it describes, so it exists if and only if that transaction commits. The worker moves
// it to the record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace jit::control_event {

using Detail = std::vector<std::pair<const char*, std::optional<std::string>>>;

// Writes an event and wakes the worker at commit. `kind` is a past participle (requested, approved, activated), `id` is
// that of the request, if the event belongs to one. Details without a value are left out. Throws server errors.
void write(const char* kind, std::optional<std::int64_t> id, const std::string& actor, const Detail& detail = {});

}  // namespace jit::control_event
