#include "stream.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <queue>

namespace life {

namespace {

using jit::core::AuditRecord;

// The remaining work under one grant.
struct Work {
    Index request;
    Random random;
    std::int64_t statements;
    std::int64_t rows;
    std::int64_t large;  // statements among them that move most of the rows
    Instant at;          // of the next one
};

struct Statement {
    std::string text;
    std::string_view tag;
    std::size_t table = 0;
    std::string_view privilege;
    bool inside = false;  // run by a function
};

// The outcome of a use that was still running when it was taken over.
struct Late {
    Instant at;
    std::int64_t position;
    std::int64_t rows;
    std::int64_t duration;
    bool operator>(const Late& other) const { return at > other.at; }
};

template <class T, class Order>
using Heap = std::priority_queue<T, std::vector<T>, Order>;

class Writer {
public:
    Writer(const Stream& stream, const std::function<void(AuditRecord&)>& put)
        : stream_(stream), story_(stream.story), put_(put) {}

    void run() {
        share_out();
        std::size_t note = 0;
        std::size_t request = 0;
        for (;;) {
            const auto now =
                std::min({note < story_.notes.size() ? story_.notes[note].at : never,
                          request < order_.size() ? story_.requests[order_[request]].used_from : never,
                          at_work_.empty() ? never : at_work_.top().at, late_.empty() ? never : late_.top().at});
            if (now == never) return;
            if (request < order_.size() && story_.requests[order_[request]].used_from == now)
                begin(order_[request++]);
            else if (note < story_.notes.size() && story_.notes[note].at == now)
                write(story_.notes[note++]);
            else if (!late_.empty() && late_.top().at == now)
                write_late();
            else
                work();
        }
    }

private:
    static constexpr Instant never = std::numeric_limits<Instant>::max();
    struct Later {
        bool operator()(const Work& a, const Work& b) const {
            return a.at != b.at ? a.at > b.at : a.request > b.request;
        }
    };

    // Distributes the requested number of records over the grants.
    void share_out() {
        counts_.assign(story_.requests.size(), 0);
        double all = 0;
        std::int64_t used = 0;
        for (Index i = 0; i < story_.requests.size(); ++i) {
            if (story_.requests[i].effort == 0) continue;
            order_.push_back(i);
            all += story_.requests[i].effort;
            ++used;
        }
        const auto to_share =
            std::max<std::int64_t>(0, stream_.rows - static_cast<std::int64_t>(story_.notes.size()) - used);
        for (const auto i : order_)
            counts_[i] = 1 + static_cast<std::int64_t>(static_cast<double>(to_share) * story_.requests[i].effort / all);
        std::stable_sort(order_.begin(), order_.end(),
                         [&](Index a, Index b) { return story_.requests[a].used_from < story_.requests[b].used_from; });
    }

    // Returns the next of n moments that are spread evenly over the remaining time.
    static Instant next_moment(Random& random, Instant from, Instant to, std::int64_t n) {
        const double part = 1 - std::pow(1 - random.uniform(), 1.0 / static_cast<double>(n));
        return from + static_cast<Instant>(part * static_cast<double>(to - from));
    }

    void begin(Index number) {
        const auto& request = story_.requests[number];
        Work made{number, Random(story_.world().seed, 4, number), counts_[number], request.rows, 0, 0};
        made.large = std::min<std::int64_t>(made.statements, 1 + made.random.poisson(3));
        made.at = next_moment(made.random, request.used_from, request.used_to, made.statements);
        at_work_.push(std::move(made));
    }

    static std::int64_t rows_of_next(Work& work) {
        const bool large =
            work.random.uniform() * static_cast<double>(work.statements) < static_cast<double>(work.large);
        std::int64_t rows = std::min<std::int64_t>(work.rows, work.random.chance(0.8) ? 1 : work.random.between(0, 6));
        if (large) {
            rows = work.large == 1 ? work.rows
                                   : static_cast<std::int64_t>(static_cast<double>(work.rows) * work.random.uniform());
            --work.large;
        }
        work.rows -= rows;
        --work.statements;
        return rows;
    }

    Statement make_statement(const Template& tmpl, Random& random) {
        Statement made;
        made.table = static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(tmpl.tables.size()) - 1));
        const auto& table = tmpl.tables[made.table];
        const auto& column = random.pick(table.columns);
        const auto number = std::to_string(random.between(1, 5'000'000));
        made.tag = "SELECT";
        made.privilege = "SELECT";
        made.inside = random.chance(0.02);
        if (tmpl.writes && random.chance(0.35)) {
            made.tag = "UPDATE";
            made.privilege = "SELECT,UPDATE";
            made.text =
                "UPDATE " + table.name + " SET status = 'corrected', note = 'OPS-" + number + "' WHERE id = " + number;
            return made;
        }
        switch (random.between(0, 5)) {
            case 0: made.text = "SELECT count(*) FROM " + table.name + " WHERE " + column + " IS NOT NULL"; break;
            case 1:
                made.text = "SELECT id, status, " + column + " FROM " + table.name +
                            " WHERE created_at > now() - interval '" + std::to_string(random.between(1, 30)) +
                            " days' ORDER BY created_at DESC LIMIT 200";
                break;
            case 2: made.text = "SELECT * FROM " + table.name + " WHERE " + column + " = $1"; break;
            case 3: made.text = "SELECT status, count(*) FROM " + table.name + " GROUP BY status"; break;
            default: made.text = "SELECT * FROM " + table.name + " WHERE id = " + number;
        }
        return made;
    }

    void work() {
        Work next = at_work_.top();
        at_work_.pop();
        const auto& request = story_.requests[next.request];
        const auto rows = rows_of_next(next);
        write_use(request, next, rows);
        if (next.statements == 0) return;
        next.at = std::max(next.at + 1, next_moment(next.random, next.at, request.used_to, next.statements));
        at_work_.push(std::move(next));
    }

    void fill_session(AuditRecord& entry, const Session& session, std::string_view login, std::string_view role) {
        position_ += 512;
        entry.node = stream_.node;
        entry.position = position_;
        entry.login = login;
        entry.role = role;
        entry.database = "shop";
        entry.client_addr = session.client;
        entry.application = session.tool;
        entry.pid = session.pid;
        entry.session_start = session.start;
        entry.depth = 0;
        entry.grants.emplace();
        entry.objects.emplace();
        entry.privileges.emplace();
        entry.standing_privileges.emplace();
    }

    void write_use(const Request& request, Work& work, std::int64_t rows) {
        const auto& tmpl = story_.world().templates[request.tmpl];
        const auto& login = story_.world().people[request.person].login;
        const auto statement = make_statement(tmpl, work.random);
        const auto role = tmpl.set_role ? "jit_grant_" + std::to_string(request.id) : login;
        AuditRecord entry;
        entry.kind = "use";
        entry.at = work.at;
        fill_session(entry, story_.sessions[request.session], login, role);
        entry.grant_id = request.id;
        entry.grants->push_back(request.id);
        entry.depth = statement.inside ? 1 : 0;
        entry.tag = statement.tag;
        entry.statement = statement.text;
        entry.statement_bytes = static_cast<std::int32_t>(statement.text.size());
        entry.objects->push_back(tmpl.tables[statement.table].name);
        entry.privileges->push_back(statement.privilege);
        entry.standing_privileges->push_back("");
        const auto taken = static_cast<std::int64_t>(work.random.lognormal(900, 1.3)) + rows * 2;
        end(entry, work, statement.inside ? std::min<std::int64_t>(rows, 1) : rows, taken);
        put_(entry);
    }

    void end(AuditRecord& entry, Work& work, std::int64_t rows, std::int64_t taken) {
        const double luck = work.random.uniform();
        if (luck < 0.001 && taken < minute) {
            late_.push({entry.at + std::max<std::int64_t>(taken, 2 * second), *entry.position, rows, taken});
            return;
        }
        const bool failed = rows <= 1 && luck > 0.98;
        constexpr std::string_view faults[] = {"42703", "42P01", "57014", "22012", "42501"};
        entry.outcome = failed ? "failed" : "completed";
        entry.sqlstate = failed ? faults[work.random.next() % 5] : "00000";
        entry.rows = failed ? 0 : rows;
        entry.duration = jit::core::Span{.microseconds = taken};
    }

    void write_late() {
        const auto ended = late_.top();
        late_.pop();
        position_ += 64;
        AuditRecord entry;
        entry.node = stream_.node;
        entry.position = position_;
        entry.kind = "outcome";
        entry.at = ended.at;
        entry.outcome = "completed";
        entry.sqlstate = "00000";
        entry.rows = ended.rows;
        entry.duration = jit::core::Span{.microseconds = ended.duration};
        entry.of_position = ended.position;
        put_(entry);
    }

    void write(const Note& note) {
        AuditRecord entry;
        entry.node = stream_.node;
        entry.kind = note.kind;
        entry.at = note.at;
        entry.login = note.login;
        entry.outcome = "completed";
        if (!note.detail.empty()) entry.detail = note.detail;
        if (note.session) {
            fill_session(entry, story_.sessions[*note.session], note.login, note.login);
            entry.tag = note.tag;
            entry.statement = note.statement;
            entry.statement_bytes = static_cast<std::int32_t>(note.statement.size());
            if (note.sqlstate.empty()) {  // a right code
                entry.sqlstate = "00000";
                entry.rows = 1;
                entry.duration = jit::core::Span{.microseconds = 400 + position_ % 900};
            } else {
                entry.outcome = "refused";
                entry.sqlstate = note.sqlstate;
            }
        }
        if (note.request && (!note.session || note.under_grant)) {
            entry.grant_id = story_.requests[*note.request].id;
            if (note.session && note.sqlstate != "JA010") entry.grants->push_back(*entry.grant_id);
        }
        put_(entry);
    }

    const Stream& stream_;
    const Story& story_;
    const std::function<void(AuditRecord&)>& put_;
    std::vector<std::int64_t> counts_;
    std::vector<Index> order_;  // requests that are used, by when
    Heap<Work, Later> at_work_;
    Heap<Late, std::greater<>> late_;
    std::int64_t position_ = 4096;
};

}  // namespace

void Stream::run(const std::function<void(AuditRecord&)>& put) const { Writer(*this, put).run(); }

}  // namespace life
