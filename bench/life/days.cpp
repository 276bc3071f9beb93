// Ordinary work, which raises no alert.
#include <algorithm>

#include "story.hpp"

namespace life {

namespace {

constexpr int weeks_of_rota = 4;
constexpr double asks_again = 0.6;  // after a denial, or without a decision

class Life {
public:
    Life(Story& story, Index person) : story_(story), me_(person), who_(story.world().people[person]) {}

    void live() {
        for (Day day = who_.joined; day < story_.world().end; day += std::chrono::days(1)) {
            Random random(story_.world().seed, 2, me_, day.time_since_epoch().count());
            if (is_away(day)) continue;
            if (who_.shifts)
                shift(day, random);
            else
                office_day(day, random);
            if (is_on_call(day)) pages(day, random);
        }
    }

private:
    [[nodiscard]] const Site& site(Day day) const {
        const bool travels = who_.trip && day >= *who_.trip && day < *who_.trip + std::chrono::days(7);
        return sites.at(travels ? visits.at(who_.site) : who_.site);
    }
    [[nodiscard]] bool is_away(Day day) const {
        return std::any_of(who_.away.begin(), who_.away.end(),
                           [&](Day from) { return day >= from && day < from + std::chrono::days(7); });
    }
    [[nodiscard]] int week(Day day) const { return static_cast<int>((day - story_.world().first).count() / 7); }
    [[nodiscard]] bool is_on_call(Day day) const { return who_.on_call && week(day) % weeks_of_rota == *who_.on_call; }

    // People use many templates in their first weeks, and everyone does so in the first weeks of the record.
    std::size_t next_template(Random& random) {
        if (taken_ < who_.templates.size() && random.chance(0.4)) return who_.templates[taken_++];
        return who_.templates[random.pick_first(who_.templates.size())];
    }

    void ask(Instant at, Instant until, bool on_call, Random& random) {
        if (who_.templates.empty()) return;
        const Need need{.person = me_, .tmpl = next_template(random), .at = at, .until = until, .on_call = on_call};
        const auto made = story_.ask(need, random);
        if (!made) return;
        const auto& request = story_.requests[*made];
        if (request.activated_at != 0 || request.state == "cancelled" || !random.chance(asks_again)) return;
        const auto again = request.state == "lapsed" ? request.closed_at + random.between(1, 90) * minute
                                                     : request.closed_at + random.between(3, 30) * minute;
        if (request.state == "denied" ? again < until : !is_weekend(day_of(again)) && !is_away(day_of(again)))
            story_.ask({.person = me_, .tmpl = need.tmpl, .at = again, .until = again + 2 * hour}, random);
    }

    void hours(Day day, double from, double to, double mean, Random& random) {
        for (int count = random.poisson(mean); count > 0; --count)
            ask(local_time(site(day), day, from + (to - from) * random.uniform()), local_time(site(day), day, to + 1),
                false, random);
    }

    void office_day(Day day, Random& random) {
        if (is_weekend(day)) {
            if (who_.weekends && weekday_of(day) == 5 && (saturdays_ < 2 || random.chance(0.4))) {
                ++saturdays_;
                hours(day, 10, 15, 1.5, random);
            }
            return;
        }
        if (is_holiday(site(day), day) || random.chance(0.04)) return;
        hours(day, who_.starts, who_.starts + 8, who_.rate, random);
        if (who_.late && (evenings_ < 3 || random.chance(0.2))) {
            ++evenings_;
            hours(day, 19.5, 22.5, 1.2, random);
        }
    }

    // Early, late and night shifts, each for a week, on five of seven days.
    void shift(Day day, Random& random) {
        const auto turn = static_cast<std::size_t>(week(day)) + me_ / 8;
        if ((static_cast<std::size_t>(weekday_of(day)) + me_ / 8) % 7 >= 5) return;
        constexpr double begins[] = {6, 14, 22};
        hours(day, begins[turn % 3], begins[turn % 3] + 7.5, who_.rate * 1.3, random);
    }

    // On-call work at night or on a free day.
    void pages(Day day, Random& random) {
        const auto at = [&](double from, double to) {
            const auto moment = local_time(site(day), day, from + (to - from) * random.uniform());
            ask(moment, moment + 50 * minute, true, random);
        };
        if (random.chance(0.5)) at(22, 30);
        if (random.chance(0.2)) at(19, 22);
        if (is_weekend(day) && random.chance(0.5)) at(8, 20);
    }

    Story& story_;
    Index me_;
    const Person& who_;
    std::size_t taken_ = 0;
    int saturdays_ = 0;
    int evenings_ = 0;
};

}  // namespace

void live(Story& story) {
    const auto& world = story.world();
    for (Index person = 0; person < world.people.size(); ++person) {
        Life(story, person).live();
        const auto& who = world.people[person];
        if (who.joined == world.first) continue;
        const auto at = local_time(sites.at(who.site), who.joined, 9.3);
        story.tell(
            {.at = at, .kind = "second factor enrolled", .request = std::nullopt, .login = who.login, .detail = "{}"});
        story.tell({.at = at + minute,
                    .kind = "second factor confirmed",
                    .request = std::nullopt,
                    .login = who.login,
                    .detail = "{}"});
    }
    for (const auto& tmpl : world.templates) {
        std::string privileges =
            "USAGE ON SCHEMA " + tmpl.tables.front().name.substr(0, tmpl.tables.front().name.find('.'));
        for (const auto& table : tmpl.tables)
            privileges +=
                std::string(tmpl.writes ? "; SELECT, INSERT, UPDATE, DELETE ON " : "; SELECT ON ") + table.name;
        story.tell(
            {.at = start_of(world.first) + (tmpl.id % 1000) * second,
             .kind = "template created",
             .request = std::nullopt,
             .login = "postgres",
             .detail =
                 json({{"template", tmpl.name}, {"role", "life_template_" + tmpl.name}, {"privileges", privileges}})});
    }
}

}  // namespace life
