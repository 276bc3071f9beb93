#include "jit_access/enforcement/denied_attempt.hpp"

#include <array>
#include <optional>
#include <utility>

#include "jit_access/enforcement/admission.hpp"
#include "jit_access/enforcement/recorder.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/redact_secrets.hpp"

namespace jit::denied_attempt {

namespace {

constexpr std::string_view extension_class = "JA";

// A copy of a text in fixed memory, cut at a character boundary, because nothing may be allocated while an error is
// reported.
template <std::size_t Size>
class TextBuffer {
public:
    void operator=(std::string_view text) noexcept {
        size_ = pg::clip_at_character(text.data(), text.size(), bytes_.size());
        text.copy(bytes_.data(), size_);
    }
    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

private:
    std::array<char, Size> bytes_{};
    std::size_t size_ = 0;
};

struct PendingAttempt {
    TextBuffer<512> message;
    TextBuffer<4096> statement;
};
PendingAttempt pending;
bool has_pending = false;

void record(const enforcement::EffectiveGrants& grants, std::string_view sqlstate, std::string_view message,
            std::string_view statement) noexcept {
    recorder::record_refusal(grants, {.key = &pending, .text = statement}, sqlstate, message);
}

}  // namespace

void on_error_reported(const Error& error) noexcept {
    const bool has_extension_code = error.sqlstate.starts_with(extension_class);
    const bool is_raised_here = has_extension_code && error.source == ErrorSource::extension;
    const bool is_relayed_by_parallel_worker = has_extension_code && error.source == ErrorSource::relayed;
    if (!is_raised_here &&
        ((!is_relayed_by_parallel_worker && error.sqlstate != pg::sqlstate::insufficient_privilege) ||
         enforcement::holds_no_grant()))
        return;
    if (recorder::is_error_recorded(pg::command_start())) return;
    const auto* grants = enforcement::cached_grants();
    if (is_relayed_by_parallel_worker && grants == nullptr) return;
    if (is_raised_here || grants != nullptr || error.ends_session) {
        // Redaction parses the text and could raise an error, which is not allowed while another error is being
        // reported.
        const auto statement = pg::command_holds_code() || pg::may_hold_secrets(error.statement)
                                   ? "(not recorded: it may hold a secret)"
                                   : error.statement;
        record(grants != nullptr ? *grants : enforcement::no_grants(), error.sqlstate, error.message, statement);
        return;
    }
    pending.message = error.message;
    pending.statement = error.statement;
    has_pending = true;
    pg::request_idle_commit();
}

void record_and_throw(const core::Failure& failure) {
    static std::optional<std::int64_t> last_command;
    if (const auto command = pg::command_start(); std::exchange(last_command, command) != command) {
        const auto* grants = enforcement::cached_grants();
        record(grants != nullptr ? *grants : enforcement::no_grants(), core::entry(failure.code).sqlstate,
               failure.message, pg::redact_command());
    }
    throw failure;
}

void record_pending() {
    if (!std::exchange(has_pending, false)) return;
    const auto* grants = enforcement::current_grants();
    if (grants == nullptr) return;
    record(*grants, pg::sqlstate::insufficient_privilege, pending.message.view(),
           pg::redact_secrets(pending.statement.view()));
}

}  // namespace jit::denied_attempt
