// Anomalies of 15 kinds, each within otherwise ordinary work of people for whom it is unusual.
#include <algorithm>
#include <functional>
#include <set>

#include "story.hpp"

namespace life {

namespace {

class Planter {
public:
    explicit Planter(Story& story) : story_(story), world_(story.world()), usual_(story.requests.size()) {}

    void plant_all(int turn) {
        turn_ = turn;
        repeated_requests();
        unusual_hours();
        unusual_template();
        repeated_denials();
        refusal_burst();
        new_network();
        failed_second_factor();
        self_approval();
        trap_approval();
        break_glass();
        unusual_rows();
        drift();
        of_the_server("record_lag", "record lagged", [&](Random& r) {
            return Members{{"seconds", std::to_string(r.between(90, 1200))}};
        });
        of_the_server("chain_broken", "chain broken", [&](Random& r) {
            return Members{{"at", std::to_string(r.between(1000, 90000))},
                           {"what", "this record or an earlier one was changed"}};
        });
        of_the_server("clock_jump", "clock jumped", [&](Random& r) {
            return Members{{"by", (r.chance(0.5) ? "-" : "") + std::to_string(r.between(2, 58)) + "m"}};
        });
    }

private:
    using Fits = std::function<bool(const Person&)>;

    struct Place {
        Index person;
        Day day;
        Instant at;  // in the working hours of the person
        Instant until;
        std::size_t tmpl;  // the most usual one of the person that needs no rule and no code
    };

    Random random_for(int kind) const { return Random(world_.seed, 3, turn_, kind); }

    std::size_t plain_template(const Person& person) const {
        for (const auto t : person.templates)
            if (!world_.templates[t].rule && !world_.templates[t].second_factor && world_.templates[t].approvals == 1)
                return t;
        return person.templates.front();
    }

    static bool is_there(const Person& person, Day day) {
        return !is_weekend(day) && !is_holiday(sites.at(person.site), day) &&
               (!person.trip || day < *person.trip - std::chrono::days(1) ||
                day > *person.trip + std::chrono::days(8)) &&
               std::none_of(person.away.begin(), person.away.end(),
                            [&](Day from) { return day >= from && day < from + std::chrono::days(7); });
    }

    // A person without another anomaly, on a day in the second half.
    Place place(Random& random, const Fits& fits) {
        const auto days = (world_.end - world_.first).count();
        for (int tries = 0;; ++tries) {
            const auto person =
                static_cast<Index>(random.between(0, static_cast<std::int64_t>(world_.people.size()) - 1));
            const auto& who = world_.people[person];
            const Day day = world_.first + std::chrono::days(random.between(days / 2, days - 4));
            const bool suits = fits(who) && !who.templates.empty() && is_there(who, day) && who.joined == world_.first;
            if (tries < 20'000 && (!suits || used_.contains(person))) continue;
            used_.insert(person);
            const auto& site = sites.at(who.site);
            const double starts = who.shifts ? 9 : who.starts;
            return {person, day, local_time(site, day, starts + 1 + 5 * random.uniform()),
                    local_time(site, day, starts + 9), plain_template(who)};
        }
    }

    void note(const char* rule, std::optional<Index> person, std::optional<Index> request, Instant from, Instant to,
              std::string what) {
        story_.planted.push_back({rule, person, request, from, to, std::move(what)});
    }

    // An ordinary grant of the person, which carries the anomaly.
    std::optional<Index> grant(const Place& where, Random& random, const std::string& client = {}) {
        return story_.ask({.person = where.person,
                           .tmpl = where.tmpl,
                           .at = where.at,
                           .until = where.until,
                           .outcome = Outcome::approved,
                           .client = client},
                          random);
    }
    void note_grant(const char* rule, Index made, std::string what) {
        const auto& request = story_.requests[made];
        note(rule, request.person, made, request.requested_at, request.closed_at, std::move(what));
    }

    static bool regular(const Person& person) { return !person.shifts && !person.on_call; }

    void repeated_requests() {
        auto random = random_for(1);
        const auto where = place(random, regular);
        const auto count = random.between(8, 14);
        auto at = where.at;
        for (int i = 0; i < count; ++i, at += random.between(200, 420) * second)
            story_.ask({.person = where.person,
                        .tmpl = where.tmpl,
                        .at = at,
                        .until = where.until,
                        .outcome = Outcome::cancelled},
                       random);
        note("repeated_requests", where.person, std::nullopt, where.at, at,
             std::to_string(count) + " requests for one template, taken back each time");
    }

    void unusual_hours() {
        auto random = random_for(2);
        auto where = place(random, [&](const Person& p) { return p.is_regular(world_.first); });
        where.at = local_time(sites.at(world_.people[where.person].site), where.day, 1.5 + 2 * random.uniform());
        where.until = where.at + 2 * hour;
        if (const auto made = grant(where, random))
            note_grant("unusual_hours", *made, "at night, by a person who works by day");
    }

    void unusual_template() {
        auto random = random_for(3);
        auto where = place(random, regular);
        const auto& who = world_.people[where.person];
        for (int tries = 0; tries < 1000; ++tries) {
            where.tmpl =
                static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(world_.templates.size()) - 1));
            const auto& tmpl = world_.templates[where.tmpl];
            const bool usual = std::find(who.templates.begin(), who.templates.end(), where.tmpl) != who.templates.end();
            if (!usual && tmpl.team != who.team && tmpl.team != (who.team + 1) % world_.teams.size() &&
                !tmpl.second_factor)
                break;
        }
        if (const auto made = grant(where, random))
            note_grant("unusual_template", *made, "of another team, never asked for before");
    }

    void repeated_denials() {
        auto random = random_for(4);
        const auto where = place(random, [](const Person& p) { return regular(p) && p.templates.size() > 1; });
        const auto count = random.between(5, 7);
        auto at = where.at;
        for (int i = 0; i < count; ++i, at += random.between(12, 25) * minute) {
            const auto& usual = world_.people[where.person].templates;
            story_.ask({.person = where.person,
                        .tmpl = usual[static_cast<std::size_t>(i) % usual.size()],
                        .at = at,
                        .until = where.until,
                        .outcome = Outcome::denied},
                       random);
        }
        note("repeated_denials", where.person, std::nullopt, where.at, at, std::to_string(count) + " denials in hours");
    }

    void refusal_burst() {
        auto random = random_for(5);
        const auto where = place(random, regular);
        const auto made = grant(where, random);
        if (!made) return;
        const auto& request = story_.requests[*made];
        const auto count = random.between(30, 60);
        const auto step = std::min<Instant>(8 * second, (request.used_to - request.used_from) / (count + 1));
        auto at = request.used_from + second;
        for (int i = 0; i < count; ++i, at += step) {
            const std::string table = "hidden.t" + std::to_string(i + 1);
            story_.refuse(request.session, request.person, at, "42501", "permission denied for schema hidden",
                          "SELECT * FROM " + table + " LIMIT 1", *made);
        }
        note("refusal_burst", request.person, made, request.used_from, at,
             std::to_string(count) + " refused statements in minutes");
    }

    void new_network() {
        auto random = random_for(6);
        const auto where = place(random, [](const Person& p) { return regular(p) && !p.trip; });
        const std::string client = "185." + std::to_string(100 + 10 * turn_ + random.between(0, 9)) + "." +
                                   std::to_string(random.between(1, 250)) + "." +
                                   std::to_string(random.between(2, 250));
        if (const auto made = grant(where, random, client))
            note_grant("new_network", *made, "from a network not used before");
    }

    void failed_second_factor() {
        auto random = random_for(7);
        const auto where = place(random, regular);
        const auto& login = world_.people[where.person].login;
        const auto session = story_.open_session(where.person, where.at - minute, random);
        auto at = where.at;
        const auto count = random.between(6, 10);
        for (int i = 0; i < count; ++i, at += random.between(10, 45) * second)
            story_.refuse(session, where.person, at, "JA020",
                          i < 5 ? "the code of \"" + login + "\" is not accepted"
                                : "no code of \"" + login + "\" is accepted for a while",
                          "SELECT jit_step_up($1)");
        note("failed_second_factor", where.person, std::nullopt, where.at, at,
             std::to_string(count) + " wrong codes, none right");
    }

    void self_approval() {
        auto random = random_for(8);
        const auto where = place(random, [](const Person& p) { return p.approves && !p.shifts; });
        const auto made = grant(where, random);
        if (!made) return;
        const auto& request = story_.requests[*made];
        const auto at = request.requested_at + random.between(3, 9) * second;
        const auto count = random.between(1, 3);
        for (int i = 0; i < count; ++i) {
            story_.refuse(request.session, request.person, at + i * 4 * second, "JA006",
                          "cannot decide about your own request", "SELECT jit_approve(%ID%)", *made);
            story_.notes.back().under_grant = false;  // there is no grant yet
        }
        note("self_approval", request.person, std::nullopt, at, at + count * 4 * second, "approves their own request");
    }

    void trap_approval() {
        auto random = random_for(9);
        const auto where = place(random, [](const Person& p) { return p.approves && !p.shifts; });
        const auto& login = world_.people[where.person].login;
        const auto session = story_.open_session(where.person, where.at - 9 * minute, random);
        const auto number = std::to_string(story_.first_request +
                                           random.between(0, static_cast<std::int64_t>(story_.requests.size()) - 1));
        story_.refuse(session, where.person, where.at, "JA018",
                      "request " + number + " is approved only by a statement that \"" + login + "\" has sent",
                      "SELECT * FROM public.open_tickets");
        note("trap_approval", where.person, std::nullopt, where.at, where.at + second,
             "a view approves in the name of its reader");
    }

    void break_glass() {
        auto random = random_for(10);
        auto where = place(random, [](const Person& p) { return p.on_call.has_value(); });
        const auto& who = world_.people[where.person];
        const Instant first = start_of(world_.first);
        while (static_cast<int>((where.at - first) / (7 * day_length)) % 4 != *who.on_call) where.at -= 7 * day_length;
        where.at = local_time(sites.at(who.site), day_of(where.at), 20 + 3 * random.uniform());
        const auto made = story_.ask(
            {.person = where.person, .tmpl = where.tmpl, .at = where.at, .until = where.at + hour, .break_glass = true},
            random);
        if (!made) return;
        auto& request = story_.requests[*made];
        note("break_glass", request.person, made, request.requested_at, request.closed_at, "no approver was available");
        if (turn_ == 3) return;  // still to be reviewed
        const auto by = story_.approver_of(where.person, where.tmpl, random);
        request.review =
            Decision{by, true, "looked at what was done", request.closed_at + random.between(600, 2400) * minute};
        request.verdict = "justified";
        story_.tell({.at = request.review->at,
                     .kind = "reviewed",
                     .request = *made,
                     .login = world_.people[by].login,
                     .detail = json({{"verdict", request.verdict}, {"comment", request.review->comment}})});
    }

    // Far more rows than any other grant of this template has moved.
    void unusual_rows() {
        auto random = random_for(11);
        const auto where = place(random, regular);
        std::int64_t most = 0;
        for (Index i = 0; i < usual_; ++i)
            if (story_.requests[i].tmpl == where.tmpl) most = std::max(most, story_.requests[i].rows);
        const auto made = grant(where, random);
        if (!made) return;
        auto& request = story_.requests[*made];
        request.rows = most * random.between(15, 40) + 5000;
        request.effort = std::max(request.effort, 0.3);
        note_grant("unusual_rows", *made,
                   std::to_string(request.rows) + " rows, of the most before: " + std::to_string(most));
    }

    void drift() {
        auto random = random_for(12);
        const auto where = place(random, regular);
        const auto& other = world_.people[(where.person + 1) % world_.people.size()].login;
        if (turn_ % 2 == 0) {
            const auto& tmpl = world_.templates[where.tmpl];
            story_.tell({.at = where.at,
                         .kind = "drift",
                         .request = std::nullopt,
                         .login = worker,
                         .detail = json({{"role", "life_template_" + tmpl.name},
                                         {"member", other},
                                         {"what", "granted by hand; revoked"}})});
            note("drift", std::nullopt, std::nullopt, where.at, where.at + minute,
                 "the role of a template granted by hand");
            return;
        }
        const auto made = grant(where, random);
        if (!made) return;
        const auto& request = story_.requests[*made];
        story_.tell(
            {.at = request.used_from,
             .kind = "drift",
             .request = *made,
             .login = worker,
             .detail = json({{"role", "jit_grant_%ID%"}, {"member", other}, {"what", "granted by hand; revoked"}})});
        note("drift", request.person, made, request.used_from, request.used_from + minute,
             "the role of a grant given to another user");
    }

    void of_the_server(const char* rule, const char* kind, const std::function<Members(Random&)>& detail) {
        auto random = random_for(20 + static_cast<int>(rule[0]) + static_cast<int>(rule[1]));
        const auto days = (world_.end - world_.first).count();
        const auto at = start_of(world_.first) + random.between(days / 2 * 24, (days - 3) * 24) * hour +
                        random.between(0, 3599) * second;
        story_.tell({.at = at, .kind = kind, .request = std::nullopt, .login = worker, .detail = json(detail(random))});
        note(rule, std::nullopt, std::nullopt, at, at + minute, kind);
    }

    Story& story_;
    const World& world_;
    Index usual_;  // requests of the usual life come first
    int turn_ = 0;
    std::set<Index> used_;
};

}  // namespace

void plant(Story& story, int of_each) {
    Planter planter(story);
    for (int turn = 0; turn < of_each; ++turn) planter.plant_all(turn);
}

}  // namespace life
