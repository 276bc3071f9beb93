// What runs in a dry run stays in it: nothing that a rollback would not take back, and nothing that a session under a
// grant may not do. Decided by the hooks, for every statement and every function at any depth, default deny.
//
// `judge`: a statement is only looked at, so nothing runs but what turns text into values. `run`: it runs, for a while.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

struct Node;
struct QueryDesc;

namespace jit::sandbox {

enum class Mode : std::uint8_t { off, judge, run };

extern Mode mode;
[[nodiscard]] inline bool active() noexcept { return mode != Mode::off; }

// What the hooks have found while a Scope was alive, also when the statement has caught the error of it.
struct Found {
    std::vector<std::string> missing;
    std::optional<std::string> refused;
};

class Scope {
public:
    Scope(Mode what, bool allows_code, Found& found) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
};

// What the extension does itself in between.
class Pause {
public:
    Pause() noexcept : before_(mode) { mode = Mode::off; }
    ~Pause() { mode = before_; }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

private:
    Mode before_;
};

// Whether the template that is tried allows code; nothing outside of a dry run.
[[nodiscard]] std::optional<bool> allows_code() noexcept;

// Throw `guarded`; only while active.
void check_function(std::uint32_t function);
void check_query(const QueryDesc* query);
void check_piece();  // of a query that has been started
void check_command(const Node* command);

void install();

}  // namespace jit::sandbox
