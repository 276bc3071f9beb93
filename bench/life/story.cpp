#include "story.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "jit_access/core/duration.hpp"
#include "jit_access/core/encoding.hpp"

namespace life {

namespace {

using jit::core::format_duration;

constexpr std::array reasons{"customer complains about a wrong total",
                             "reconcile with the bank",
                             "look into a slow page",
                             "numbers of the board report",
                             "stuck job",
                             "follow-up of the incident",
                             "check a data fix",
                             "question of finance",
                             "duplicate rows",
                             "monthly closing",
                             "failed import",
                             "support case"};
constexpr std::array no_thanks{"please take the read-only template", "no ticket", "wait for the release",
                               "this is done already", "ask for less time"};
constexpr std::array done{"solved", "done", "not needed any more", "found it"};
constexpr std::array lengths{30 * minute, hour, hour, 2 * hour, 2 * hour, 4 * hour, 8 * hour};

template <class T>
auto any(const T& of, Random& random) {
    return of.at(static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(of.size()) - 1)));
}

std::string hexadecimal(Random& random) {
    std::string text;
    for (int i = 0; i < 64; ++i) text += jit::core::hex_digit(static_cast<unsigned>(random.next() % 16));
    return text;
}

std::int64_t seconds(Random& random, double from, double to) {
    return static_cast<std::int64_t>((from + (to - from) * random.uniform()) * static_cast<double>(second));
}

}  // namespace

std::string json(Members members) {
    std::erase_if(members, [](const auto& member) { return member.second.empty(); });
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
        return a.first.size() != b.first.size() ? a.first.size() < b.first.size() : a.first < b.first;
    });
    std::string text = "{";
    for (const auto& [key, value] : members) {
        text += (text.size() > 1 ? ", \"" : "\"") + key + "\": \"";
        for (const char c : value) text += (c == '"' || c == '\\' ? std::string("\\") : std::string()) + c;
        text += '"';
    }
    return text + "}";
}

Index Story::open_session(Index person, Instant start, Random& random, const std::string& client) {
    sessions.push_back({static_cast<int>(random.between(2000, 4'000'000)), start,
                        client.empty() ? address_of(world_, person, day_of(start), random) : client,
                        tool_of(world_.people[person])});
    return sessions.size() - 1;
}

void Story::control(Instant at, const char* kind, Index request, const std::string& by, Members detail) {
    tell({.at = at, .kind = kind, .request = request, .login = by, .detail = json(std::move(detail))});
}

void Story::refuse(Index session, Index person, Instant at, std::string sqlstate, const std::string& message,
                   std::string statement, std::optional<Index> request) {
    tell({.at = at,
          .kind = "refusal",
          .request = request,
          .login = world_.people[person].login,
          .detail = json({{"reason", message}}),
          .session = session,
          .under_grant = request.has_value(),
          .tag = {},
          .statement = std::move(statement),
          .sqlstate = std::move(sqlstate)});
}

Instant Story::step_up(Index session, Index person, Instant at, int wrong, Random& random) {
    const auto& login = world_.people[person].login;
    for (; wrong > 0; --wrong, at += seconds(random, 8, 40))
        refuse(session, person, at, "JA020", "the code of \"" + login + "\" is not accepted", "SELECT jit_step_up($1)");
    tell({.at = at,
          .kind = "use",
          .request = std::nullopt,
          .login = login,
          .detail = {},
          .session = session,
          .tag = "SELECT",
          .statement = "SELECT jit_step_up($1)"});
    return at + seconds(random, 5, 20);
}

// Returns another approver from the team of the template, or from any team if that team has none.
Index Story::approver_of(Index person, Index tmpl, Random& random) const {
    std::vector<Index> all;
    std::vector<Index> team;
    for (Index p = 0; p < world_.people.size(); ++p) {
        if (p == person || !world_.people[p].approves) continue;
        all.push_back(p);
        if (world_.people[p].team == world_.templates[tmpl].team) team.push_back(p);
    }
    if (!team.empty()) return random.pick(team);
    return all.empty() ? (person + 1) % world_.people.size() : random.pick(all);
}

// A failed attempt before the request.
void Story::stumble(Index number, Random& random) {
    const auto& request = requests[number];
    const auto at = request.requested_at - seconds(random, 10, 60);
    const auto& tmpl = world_.templates[request.tmpl].name;
    const auto& login = world_.people[request.person].login;
    switch (random.between(0, 3)) {
        case 0:
            refuse(request.session, request.person, at, "JA002", "template \"" + tmpl + "s\" does not exist",
                   "SELECT jit_request('" + tmpl + "s', '2h')");
            break;
        case 1:
            refuse(request.session, request.person, at, "JA009",
                   "the duration is over the maximum of template \"" + tmpl + "\"",
                   "SELECT jit_request('" + tmpl + "', '12h')");
            break;
        case 2:
            refuse(request.session, request.person, at, "JA001", "invalid duration",
                   "SELECT jit_request('" + tmpl + "', '1 month')");
            break;
        default:
            refuse(request.session, request.person, at, "JA004",
                   "\"" + login + "\" may not request template \"backups\"", "SELECT jit_request('backups', '1h')");
    }
}

std::optional<Index> Story::ask(const Need& need, Random& random) {
    const auto before = std::pair(notes.size(), sessions.size());
    const auto& tmpl = world_.templates[need.tmpl];
    const auto number = requests.size();
    auto& request = requests.emplace_back();
    request.person = need.person;
    request.tmpl = need.tmpl;
    request.requested_at = need.at;
    request.session = open_session(need.person, need.at - seconds(random, 30, 3600), random, need.client);
    request.duration = need.on_call || need.break_glass ? hour : any(lengths, random);
    request.reason = any(reasons, random);
    if (random.chance(0.4)) request.ticket = "OPS-" + std::to_string(random.between(1000, 9999));
    request.digest = hexadecimal(random);
    request.break_glass = need.break_glass;
    if (need.outcome == Outcome::usual && random.chance(0.02)) stumble(number, random);
    if (tmpl.second_factor) {
        const double luck = random.uniform();
        const auto ready = step_up(request.session, need.person, need.at,
                                   luck < 0.01   ? 2
                                   : luck < 0.06 ? 1
                                                 : 0,
                                   random);
        request.requested_at = ready;
    }
    control(requests[number].requested_at, need.break_glass ? "break-glass" : "requested", number,
            world_.people[need.person].login,
            {{"template", tmpl.name},
             {"duration", format_duration(request.duration)},
             {"reason", request.reason},
             {"ticket", request.ticket},
             {"digest", request.digest}});
    decide(number, need, random);
    if (requests[number].closed_at + 5 * minute < until_) return number;
    requests.pop_back();
    notes.resize(before.first);
    sessions.resize(before.second);
    return std::nullopt;
}

void Story::decide(Index number, const Need& need, Random& random) {
    auto& request = requests[number];
    const auto& login = world_.people[need.person].login;
    const auto& tmpl = world_.templates[need.tmpl];
    const auto soon = request.requested_at + seconds(random, 0.002, 0.004);
    if (need.break_glass) {
        activate(number, soon, login);
        use(number, need, random);
        return;
    }
    if (need.on_call || (tmpl.rule && need.outcome == Outcome::usual)) {
        request.rule = need.on_call ? "on_call" : "everyday_reading";
        control(soon, "allowed", number, "rule " + request.rule,
                {{"rule", request.rule}, {"reasons", "rule \"" + request.rule + "\" allows it without an approval"}});
        activate(number, soon + 200, "rule " + request.rule);
        use(number, need, random);
        return;
    }
    const double luck = need.outcome == Outcome::usual ? random.uniform() : 1;
    if (luck < 0.03 || need.outcome == Outcome::denied) {
        const auto by = approver_of(need.person, need.tmpl, random);
        const auto at = request.requested_at + seconds(random, 60, 1200);
        request.decisions.push_back({by, false, any(no_thanks, random), at});
        close(number, "denied", at, world_.people[by].login, request.decisions.back().comment);
    } else if (luck < 0.05 || need.outcome == Outcome::cancelled) {
        close(number, "cancelled", request.requested_at + seconds(random, 40, 170), login,
              random.chance(0.5) ? "typed the wrong one" : "");
    } else if (luck < 0.075 || need.outcome == Outcome::lapsed) {
        close(number, "lapsed", request.requested_at + day_length + seconds(random, 0.01, 0.5), worker,
              "it was not decided in time");
    } else {
        for (int i = 0; i < tmpl.approvals; ++i) approve(request, number, random);
        activate(number, request.decisions.back().at + 300, world_.people[request.decisions.back().person].login);
        use(number, need, random);
    }
}

void Story::approve(Request& request, Index number, Random& random) {
    auto by = approver_of(request.person, request.tmpl, random);
    for (int tries = 0; tries < 20 && !request.decisions.empty() && by == request.decisions.back().person; ++tries)
        by = approver_of(request.person, request.tmpl, random);
    if (!request.decisions.empty() && by == request.decisions.back().person) return;
    const auto delay = std::clamp(random.lognormal(4, 0.9), 0.3, 60.0) * static_cast<double>(minute);
    const auto after = request.decisions.empty() ? request.requested_at : request.decisions.back().at;
    request.decisions.push_back({by, true, random.chance(0.3) ? "fine" : "", after + static_cast<Instant>(delay)});
    const auto& made = request.decisions.back();
    control(made.at, "approved", number, world_.people[by].login,
            {{"comment", made.comment}, {"duration", format_duration(request.duration)}, {"digest", request.digest}});
}

void Story::activate(Index number, Instant at, const std::string& by) {
    auto& request = requests[number];
    request.activated_at = at;
    request.ends_at = at + request.duration;
    control(at, "activated", number, by, {});
}

// Uses a grant until the work is done, the day ends or the grant ends.
void Story::use(Index number, const Need& need, Random& random) {
    auto& request = requests[number];
    const auto& tmpl = world_.templates[need.tmpl];
    const auto& login = world_.people[need.person].login;
    request.used_from = request.activated_at + seconds(random, 5, 300);
    const auto work =
        static_cast<Instant>(std::clamp(random.lognormal(25, 0.9), 2.0, 400.0) * static_cast<double>(minute));
    request.used_to = std::min(
        {request.used_from + work, request.ends_at - second, std::max(need.until, request.used_from + 10 * minute)});
    request.effort = random.chance(0.06) ? 0 : tmpl.effort * random.lognormal(1, 1.1);
    request.rows = static_cast<std::int64_t>(random.lognormal(tmpl.rows, tmpl.tail));
    if (request.used_to + 10 * minute > request.ends_at && random.chance(0.3)) {
        request.extended = 30 * minute;
        control(request.ends_at - seconds(random, 60, 500), "extended", number, login,
                {{"by", format_duration(request.extended)}, {"reason", "a little more"}});
        request.ends_at += request.extended;
    }
    for (int clusters = random.poisson(0.15); clusters > 0; --clusters) {
        auto at = request.used_from +
                  static_cast<Instant>(random.uniform() * static_cast<double>(request.used_to - request.used_from));
        for (auto count = random.between(1, 2); count > 0; --count, at += seconds(random, 3, 30))
            if (at < request.used_to)
                refuse(request.session, need.person, at, "42501", "permission denied for schema ops",
                       "SELECT * FROM ops.settings", number);
    }
    const auto given_back = request.used_to + seconds(random, 20, 300);
    if (given_back < request.ends_at && random.chance(0.45)) {
        close(number, "revoked", given_back, login, random.chance(0.5) ? any(done, random) : "");
    } else if (given_back < request.ends_at && random.chance(0.02)) {
        const auto by = approver_of(need.person, need.tmpl, random);
        close(number, "revoked", given_back, world_.people[by].login, "that should do");
    } else {
        close(number, "ended", request.ends_at + seconds(random, 0.001, 0.02), worker, "deadline reached");
        if (random.chance(0.03))
            refuse(request.session, need.person, request.ends_at + seconds(random, 5, 200), "JA010",
                   "grant %ID% has ended", "SELECT count(*) FROM " + tmpl.tables.front().name, number);
    }
}

void Story::close(Index number, std::string state, Instant at, const std::string& by, const std::string& reason) {
    auto& request = requests[number];
    request.state = std::move(state);
    request.closed_at = at;
    request.closed_by = by;
    request.close_reason = reason;
    control(at, request.state.c_str(), number, by, {{"reason", reason}});
    if (request.activated_at != 0)
        control(at + 90'000 + static_cast<Instant>(number % 400'000), "cleaned up", number, worker, {});
}

void Story::finish() {
    std::vector<Index> order(requests.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](Index a, Index b) { return requests[a].requested_at < requests[b].requested_at; });
    for (Index i = 0; i < order.size(); ++i) requests[order[i]].id = first_request + static_cast<std::int64_t>(i);
    for (auto& note : notes)
        for (auto* text : {&note.detail, &note.statement})
            for (auto at = text->find("%ID%"); note.request && at != std::string::npos; at = text->find("%ID%"))
                text->replace(at, 4, std::to_string(requests[*note.request].id));
    std::erase_if(notes, [&](const Note& note) { return note.at >= until_; });
    std::stable_sort(notes.begin(), notes.end(), [](const Note& a, const Note& b) { return a.at < b.at; });
}

}  // namespace life
