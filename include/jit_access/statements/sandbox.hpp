// The sandbox of a dry run: refuses statements whose effects a rollback does not undo, and statements that a session
// under a grant may not run. The hooks ask it for every statement and function at any depth. It refuses everything that
// is not known to be safe.
//
// One dry run at a time per process. The checks are called by hooks while is_active(), in a transaction, and throw
// `guarded`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

struct Node;
struct QueryDesc;

namespace jit::sandbox {

enum class Mode : std::uint8_t {
    off,
    check_only,  // a statement is analyzed; only functions that compute constants run
    execute      // the statement runs, and is rolled back
};

extern Mode mode;
[[nodiscard]] inline bool is_active() noexcept { return mode != Mode::off; }

// Collected while a Scope exists, even if the statement catches the error.
struct Findings {
    std::vector<std::string> missing;    // privileges
    std::optional<std::string> refusal;  // the first one
};

// Activates the sandbox for its lifetime. `findings` must outlive it.
class Scope {
public:
    Scope(Mode scope_mode, bool allows_code, Findings& findings) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
};

// Suspends the sandbox while code of the extension runs.
class Pause {
public:
    Pause() noexcept : before_(mode) { mode = Mode::off; }
    ~Pause() { mode = before_; }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

private:
    Mode before_;
};

// Whether the template of the dry run allows code; nothing outside of a dry run.
[[nodiscard]] std::optional<bool> allows_code() noexcept;

void check_function(std::uint32_t function);
void check_query(const QueryDesc* query);
void check_continued_query();  // a query that was started before
void check_command(const Node* command);

// Installs the hooks of functions and planned relations; once, when the library is loaded.
void install();

}  // namespace jit::sandbox
