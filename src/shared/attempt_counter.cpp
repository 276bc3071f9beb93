#include "jit_access/shared/attempt_counter.hpp"

#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::attempt_counter {

namespace {

constexpr std::int64_t window_us = 60'000'000;
constexpr std::size_t max_probes = 16;

bool is_over(const LoginAttempts& entry, std::int64_t now) noexcept {
    return now - entry.window.load(std::memory_order_relaxed) >= window_us;
}

bool has_folded(const LoginAttempts& entry) noexcept {
    for (const auto& kind : entry.kinds)
        if (kind.folded.load(std::memory_order_relaxed) != 0) return true;
    return entry.folded_others.load(std::memory_order_relaxed) != 0;
}

// Returns the entry of the login; otherwise claims one that is free, or whose minute is over and whose counts are
// recorded. If two sessions of a login claim two entries at the same time, the limit applies to each entry separately.
// Returns null if all are in use.
LoginAttempts* find_or_claim(std::uint32_t login, std::int64_t now) noexcept {
    auto& entries = shared_state->attempts;
    const auto start = (login * std::size_t{2654435761U}) % entries.size();
    const auto at = [&](std::size_t probe) -> LoginAttempts& { return entries[(start + probe) % entries.size()]; };
    for (std::size_t probe = 0; probe < max_probes; ++probe)
        if (at(probe).login.load() == login) return &at(probe);
    for (std::size_t probe = 0; probe < max_probes; ++probe) {
        LoginAttempts& entry = at(probe);
        auto owner = entry.login.load();
        if (owner != 0 && (!is_over(entry, now) || has_folded(entry))) continue;
        if (entry.login.compare_exchange_strong(owner, login)) return &entry;
        if (owner == login) return &entry;
    }
    return nullptr;
}

// Begins a new minute if the last one is over. Of several concurrent sessions only one resets the counts.
void renew_window(LoginAttempts& entry, std::int64_t now) noexcept {
    auto window = entry.window.load();
    if (now - window < window_us || !entry.window.compare_exchange_strong(window, now)) return;
    entry.refusals.store(0);
    entry.requests.store(0);
}

// A SQLSTATE has five characters of six bits each; the rest of the key is the grant.
std::uint64_t key_of(std::string_view sqlstate, std::uint64_t grant) noexcept {
    std::uint64_t key = grant;
    for (const char c : sqlstate) key = (key << 6) | (static_cast<std::uint64_t>(c - '0') & 63);
    return key;
}

// Returns the counter of this kind; otherwise claims one that is free or was not used in this minute. Returns null if
// all are in use.
AttemptKind* find_or_claim(LoginAttempts& entry, std::uint64_t key, std::int64_t window) noexcept {
    for (auto& kind : entry.kinds)
        if (kind.key.load() == key) return &kind;
    for (auto& kind : entry.kinds) {
        auto used_by = kind.key.load();
        if (used_by != 0 && (kind.folded.load() != 0 || kind.recorded_in.load() == window)) continue;
        if (!kind.key.compare_exchange_strong(used_by, key)) continue;
        kind.recorded_in.store(0);
        return &kind;
    }
    return nullptr;
}

void fold(LoginAttempts& entry, std::atomic<std::uint64_t>& counter) noexcept {
    const auto now = pg::wall_clock();
    std::int64_t none = 0;
    entry.first_folded.compare_exchange_strong(none, now);
    entry.last_folded.store(now);
    counter.fetch_add(1);
}

std::string sqlstate_of(std::uint64_t key) {
    std::string text(5, '0');
    for (std::size_t i = 5; i-- > 0; key >>= 6) text[i] = static_cast<char>('0' + (key & 63));
    return text;
}

std::uint64_t grant_of(std::uint64_t key) noexcept { return key >> 30; }

// The counts of a login that are not on the record yet, as read at one moment.
struct Folded {
    std::array<std::uint64_t, std::tuple_size_v<decltype(LoginAttempts::kinds)>> by_kind{};
    std::uint64_t others = 0;
    std::uint64_t total = 0;
    std::string text;
};

Folded read_folded(const LoginAttempts& entry) {
    Folded folded{.others = entry.folded_others.load()};
    folded.total = folded.others;
    for (std::size_t i = 0; i < entry.kinds.size(); ++i) {
        const auto count = folded.by_kind[i] = entry.kinds[i].folded.load();
        if (count == 0) continue;
        folded.total += count;
        const auto key = entry.kinds[i].key.load();
        folded.text += (folded.text.empty() ? "" : ", ") + sqlstate_of(key);
        if (grant_of(key) != 0) folded.text += " of grant " + std::to_string(grant_of(key));
        folded.text += ": " + std::to_string(count);
    }
    if (folded.others != 0)
        folded.text += (folded.text.empty() ? "others: " : ", others: ") + std::to_string(folded.others);
    return folded;
}

void subtract(LoginAttempts& entry, const Folded& folded) noexcept {
    for (std::size_t i = 0; i < entry.kinds.size(); ++i) entry.kinds[i].folded.fetch_sub(folded.by_kind[i]);
    entry.folded_others.fetch_sub(folded.others);
    if (!has_folded(entry)) entry.first_folded.store(0);
}

void record_folded(LoginAttempts& entry) {
    const auto folded = read_folded(entry);
    if (folded.total == 0) return;
    const pg::RoleId login{entry.login.load()};
    const auto error = task::run_in_transaction([&] {
        const auto name = pg::role_name(login).value_or("role " + std::to_string(login.oid));
        const auto since = pg::query_row("SELECT jit_access.utc($1)", {pg::Instant{entry.first_folded.load()}}).value();
        const auto until = pg::query_row("SELECT jit_access.utc($1)", {pg::Instant{entry.last_folded.load()}}).value();
        control_event::write("attempts folded", std::nullopt, name,
                             {{"attempts", std::to_string(folded.total)},
                              {"reason", folded.text},
                              {"from", since.get<std::string>(0)},
                              {"to", until.get<std::string>(0)}});
    });
    // If the transaction failed, the counts stay for the next call.
    if (!error) subtract(entry, folded);
}

}  // namespace

bool admit_refusal(std::string_view sqlstate, std::uint64_t grant) noexcept {
    const auto rate = static_cast<std::uint32_t>(settings::attempt_rate);
    if (rate == 0) return true;
    const auto now = pg::boot_clock();
    LoginAttempts* entry = find_or_claim(pg::session_user().oid, now);
    if (entry == nullptr) return true;
    renew_window(*entry, now);
    const auto window = entry->window.load();
    const auto count = entry->refusals.fetch_add(1) + 1;
    AttemptKind* kind = find_or_claim(*entry, key_of(sqlstate, grant), window);
    if (kind == nullptr) {
        // There are more kinds than counters. A refusal without a counter is still recorded until the refusals in this
        // minute exceed twice the rate.
        if (count <= 2 * rate) return true;
        fold(*entry, entry->folded_others);
        return false;
    }
    const bool is_first = kind->recorded_in.exchange(window) != window;
    if (is_first || count <= rate) return true;
    fold(*entry, kind->folded);
    return false;
}

bool admit_request() noexcept {
    const auto rate = static_cast<std::uint32_t>(settings::attempt_rate);
    if (rate == 0) return true;
    const auto now = pg::boot_clock();
    LoginAttempts* entry = find_or_claim(pg::session_user().oid, now);
    if (entry == nullptr) return true;
    renew_window(*entry, now);
    return entry->requests.fetch_add(1) < rate;
}

void record_folded() {
    for (auto& entry : shared_state->attempts)
        if (entry.login.load(std::memory_order_relaxed) != 0 && has_folded(entry)) record_folded(entry);
}

}  // namespace jit::attempt_counter
