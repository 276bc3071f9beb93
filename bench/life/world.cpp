#include "world.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace life {

namespace {

struct Shape {
    const char* name;
    const char* tables;  // schema, then tables
    double rows;
    double tail;
    double effort;
    const char* traits;  // w writes, s set_role, f second factor, r rule, h high risk, 2 two approvals, x rare
};

// Four templates for each team; more than 30 templates repeat these with a number.
constexpr std::array shapes{
    Shape{"orders_read", "shop orders order_lines customers", 180, 1.1, 1, "r"},
    Shape{"orders_repair", "shop orders order_lines", 12, 0.8, 0.6, "w"},
    Shape{"customers_read", "crm customers addresses consents", 90, 1.0, 1, "f"},
    Shape{"orders_migration", "shop orders order_lines shipments", 900, 1.4, 0.8, "wsh2x"},
    Shape{"billing_read", "billing invoices invoice_lines dunning", 240, 1.2, 1.2, ""},
    Shape{"billing_correct", "billing invoices credit_notes", 8, 0.7, 0.5, "wf"},
    Shape{"ledger_read", "ledger entries accounts periods", 1500, 1.4, 1, ""},
    Shape{"ledger_close", "ledger periods entries", 60, 0.6, 0.3, "wh2x"},
    Shape{"payments_read", "pay payments attempts refunds", 150, 1.1, 1.4, ""},
    Shape{"payments_refund", "pay refunds payments", 5, 0.6, 0.4, "wf"},
    Shape{"fraud_cases", "fraud cases signals decisions", 320, 1.3, 1, ""},
    Shape{"card_tokens", "pay tokens", 3, 0.5, 0.2, "hf2x"},
    Shape{"support_lookup", "crm customers orders_of tickets", 25, 0.8, 1.6, "r"},
    Shape{"support_fix", "crm tickets addresses", 6, 0.6, 0.6, "w"},
    Shape{"support_export", "crm tickets events", 800, 1.2, 0.4, ""},
    Shape{"support_erase", "crm customers consents", 2, 0.4, 0.2, "whx"},
    Shape{"reports_read", "dwh sales_daily cohorts stock_daily", 6000, 1.5, 1, "r"},
    Shape{"events_raw", "dwh events sessions", 25000, 1.6, 0.8, ""},
    Shape{"experiments", "dwh experiments assignments", 4000, 1.4, 0.8, ""},
    Shape{"people_stats", "hr headcount absences", 120, 0.8, 0.3, "hfx"},
    Shape{"platform_debug", "ops jobs locks settings", 70, 1.0, 1.2, "r"},
    Shape{"platform_maintain", "ops jobs partitions", 10, 0.8, 0.6, "ws"},
    Shape{"queue_inspect", "ops messages dead_letters", 500, 1.3, 1, ""},
    Shape{"schema_change", "ops versions", 2, 0.5, 0.3, "wsh2x"},
    Shape{"stock_read", "stock items movements places", 350, 1.1, 1, ""},
    Shape{"stock_correct", "stock items movements", 9, 0.7, 0.5, "w"},
    Shape{"shipping_read", "ship parcels routes carriers", 210, 1.0, 1.1, "r"},
    Shape{"shipping_repair", "ship parcels", 7, 0.7, 0.4, "wx"},
    Shape{"accounts_read", "iam accounts sessions devices", 130, 1.0, 1, "f"},
    Shape{"accounts_unlock", "iam accounts", 3, 0.5, 0.4, "wf"},
    Shape{"audit_read", "iam audit_events", 2500, 1.4, 0.7, ""},
    Shape{"keys_rotate", "iam keys", 2, 0.4, 0.2, "wshf2x"},
};
constexpr std::array team_names{"orders",    "billing",  "payments",  "support",
                                "analytics", "platform", "logistics", "identity"};
constexpr std::size_t on_shifts = 3;  // support
constexpr std::array first_names{"anna",  "bilal", "chen",  "daria", "emeka", "farah", "gustav", "hana",
                                 "ivan",  "julia", "kofi",  "lena",  "marco", "nadia", "omar",   "paula",
                                 "quinn", "ravi",  "sofia", "tomas", "usha",  "vera",  "wei",    "yara",
                                 "zoran", "alma",  "bruno", "clara", "dev",   "elif"};
constexpr std::array last_names{"keller", "okafor", "lindt",  "novak", "haddad", "moreau", "silva", "berg",  "tanaka",
                                "iyer",   "walsh",  "conti",  "meyer", "dubois", "khan",   "ortiz", "smith", "varga",
                                "olsen",  "rossi",  "brandt", "chan",  "nair",   "doyle",  "fisch"};
constexpr std::array columns{"id", "created_at", "status", "customer_id", "amount", "updated_at", "note", "region"};
constexpr std::array tools{"psql", "DBeaver 23.2.5 - SQLEditor <Script-1.sql>", "pgAdmin 4 - CONN:5127643",
                           "DataGrip 2026.2", "psql"};

bool has(const char* traits, char trait) { return std::string_view(traits).find(trait) != std::string_view::npos; }

std::vector<Table> tables_of(const char* text) {
    std::vector<std::string> words;
    for (std::string_view rest = text; !rest.empty();) {
        const auto end = std::min(rest.find(' '), rest.size());
        words.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    std::vector<Table> tables;
    for (std::size_t i = 1; i < words.size(); ++i) {
        Table table{words[0] + "." + words[i], {}};
        for (std::size_t c = 0; c < columns.size(); ++c)
            if (c < 3 || (c + i) % 2 == 0) table.columns.emplace_back(columns[c]);
        tables.push_back(std::move(table));
    }
    return tables;
}

Template make_template(std::size_t number, std::int64_t id) {
    const Shape& shape = shapes[number % shapes.size()];
    Template made;
    made.id = id;
    made.name = shape.name;
    if (number >= shapes.size()) made.name += "_" + std::to_string(number / shapes.size() + 1);
    made.team = number % shapes.size() / 4;
    made.tables = tables_of(shape.tables);
    made.rows = shape.rows;
    made.tail = shape.tail;
    made.effort = shape.effort;
    made.writes = has(shape.traits, 'w');
    made.set_role = has(shape.traits, 's');
    made.second_factor = has(shape.traits, 'f');
    made.rule = has(shape.traits, 'r');
    made.risk = has(shape.traits, 'h') ? "high" : made.rule ? "low" : "medium";
    made.approvals = has(shape.traits, '2') ? 2 : 1;
    made.rare = has(shape.traits, 'x');
    return made;
}

std::string name_for(Random& random, std::set<std::string>& taken) {
    for (int tries = 0;; ++tries) {
        std::string name = first_names[static_cast<std::size_t>(random.between(0, first_names.size() - 1))];
        name += std::string("_") + last_names[static_cast<std::size_t>(random.between(0, last_names.size() - 1))];
        if (tries > 50) name += std::to_string(taken.size());
        if (taken.insert(name).second) return name;
    }
}

// Returns the templates that a person uses: those of the team in the person's own order, and sometimes one of another
// team.
std::vector<std::size_t> usual_templates(const World& world, std::size_t team, Random& random) {
    std::vector<std::size_t> own;
    std::vector<std::size_t> others;
    for (std::size_t t = 0; t < world.templates.size(); ++t) {
        const bool common = !world.templates[t].rare;
        if (world.templates[t].team == team && (common || random.chance(0.15))) own.push_back(t);
        if (world.templates[t].team == (team + 1) % world.teams.size() && common) others.push_back(t);
    }
    for (std::size_t i = own.size(); i > 1; --i) std::swap(own[i - 1], own[random.next() % i]);
    if (!others.empty() && (own.empty() || random.chance(0.3))) own.push_back(random.pick(others));
    if (own.empty()) own.push_back(static_cast<std::size_t>(random.next() % world.templates.size()));
    return own;
}

Person make_person(const World& world, std::size_t number, int days, std::set<std::string>& taken) {
    Random random(world.seed, 1, number);
    Person made;
    made.login = name_for(random, taken);
    made.team = number % world.teams.size();
    const auto in_team = number / world.teams.size();
    // Two thirds of a team work at one site, the others elsewhere.
    made.site = random.chance(0.67) ? made.team % sites.size() : static_cast<std::size_t>(random.between(0, 4));
    made.joined = world.first;
    made.starts = 8 + 2 * random.uniform();
    made.rate = std::clamp(random.lognormal(0.75, 0.5), 0.25, 2.5);
    made.shifts = made.team == on_shifts;
    if (!made.shifts && in_team < 4) made.on_call = static_cast<int>(in_team);
    made.approves = in_team >= 2 && in_team < 6;
    const bool joins = !made.shifts && in_team > 8 && random.chance(0.07);
    if (joins) made.joined += std::chrono::days(random.between(days / 6, days * 2 / 3));
    made.late = !made.shifts && random.chance(0.15);
    made.weekends = !made.shifts && random.chance(0.12);
    made.remote = random.chance(0.25);
    made.six = random.chance(0.3);
    made.tool = static_cast<std::size_t>(random.between(0, tools.size() - 1));
    made.templates = usual_templates(world, made.team, random);
    for (int weeks = random.chance(0.6) ? 1 : 0; weeks > 0; --weeks)
        made.away.push_back(world.first + std::chrono::days(random.between(days / 4, days - 1)));
    if (!made.remote && !made.shifts && !joins && random.chance(0.07))
        made.trip = world.first + std::chrono::days(random.between(days / 2, std::max(days / 2, days - 8)));
    return made;
}

}  // namespace

World make_world(const Size& size, Day end, std::int64_t first_template) {
    World world;
    world.seed = size.seed;
    world.first = end - std::chrono::days(size.days);
    world.end = end;
    world.teams.assign(team_names.begin(), team_names.end());
    for (int t = 0; t < size.templates; ++t)
        world.templates.push_back(make_template(static_cast<std::size_t>(t), first_template + t));
    std::set<std::string> taken;
    for (int p = 0; p < size.people; ++p)
        world.people.push_back(make_person(world, static_cast<std::size_t>(p), size.days, taken));
    return world;
}

// Offices and VPN gateways are networks that many people share; each home has a network of its own.
std::string address_of(const World& world, std::size_t person, Day day, Random& random) {
    const Person& who = world.people[person];
    const bool travels = who.trip && day >= *who.trip && day < *who.trip + std::chrono::days(7);
    const auto site = travels ? visits.at(who.site) : who.site;
    const auto host = [&] { return std::to_string(random.between(10, 250)); };
    const auto own = std::to_string(20 + person % 200);
    if (who.remote && random.chance(0.6)) {
        if (who.six) return "2a02:8108:" + own + ":" + std::to_string(1 + person) + "::" + host();
        return std::to_string(77 + person / 200) + "." + own + "." + std::to_string(person % 251) + "." + host();
    }
    if (who.remote || random.chance(0.25)) return "172.20." + std::to_string(site) + "." + host();
    return "10." + std::to_string(10 + site) + "." + std::to_string(who.team / 2) + "." + host();
}

const char* tool_of(const Person& person) { return tools.at(person.tool); }

}  // namespace life
