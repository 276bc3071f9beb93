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

constexpr std::string_view our_class = "JA";

template <std::size_t Size>
class Copy {
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

struct Kept {
    Copy<512> message;
    Copy<4096> statement;
};
Kept kept;
bool keeps = false;

void record(const enforcement::EffectiveGrants& grants, std::string_view sqlstate, std::string_view message,
            std::string_view statement) noexcept {
    recorder::refused(grants, {.key = &kept, .text = statement}, sqlstate, message);
}

}  // namespace

void seen(const Error& error) noexcept {
    const bool has_our_code = error.sqlstate.starts_with(our_class);
    const bool ours = has_our_code && error.raiser == Raiser::extension;
    const bool may_be_ours = has_our_code && error.raiser == Raiser::unknown_process;
    if (!ours &&
        ((!may_be_ours && error.sqlstate != pg::sqlstate::insufficient_privilege) || enforcement::holds_no_grant()))
        return;
    if (recorder::is_recorded(pg::command_start())) return;
    const auto* grants = enforcement::cached_grants();
    if (may_be_ours && grants == nullptr) return;
    if (ours || grants != nullptr || error.ends_session) {
        // To cut the secrets out could raise an error, which must not be while one is reported.
        const auto statement =
            pg::may_hold_secrets(error.statement) ? "(not recorded: it may hold a secret)" : error.statement;
        record(grants != nullptr ? *grants : enforcement::without_grant(), error.sqlstate, error.message, statement);
        return;
    }
    kept.message = error.message;
    kept.statement = error.statement;
    keeps = true;
    pg::request_idle_commit();
}

void refuse(const core::Failure& failure) {
    static std::optional<std::int64_t> last;
    if (const auto now = pg::command_start(); std::exchange(last, now) != now) {
        const auto* grants = enforcement::cached_grants();
        record(grants != nullptr ? *grants : enforcement::without_grant(), core::entry(failure.code).sqlstate,
               failure.message, pg::redact_secrets(pg::command_text()));
    }
    throw failure;
}

void record_kept() {
    if (!std::exchange(keeps, false)) return;
    const auto* grants = enforcement::current_grants();
    if (grants == nullptr) return;
    record(*grants, pg::sqlstate::insufficient_privilege, kept.message.view(),
           pg::redact_secrets(kept.statement.view()));
}

}  // namespace jit::denied_attempt
