// The events: requests with their outcome, and the records that are not uses of a grant.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "world.hpp"

namespace life {

using Index = std::size_t;
using Members = std::vector<std::pair<std::string, std::string>>;

// An object in the form of jsonb, which has shorter keys first.
[[nodiscard]] std::string json(Members members);

struct Session {
    int pid = 0;
    Instant start = 0;
    std::string client;
    std::string tool;
};

// A record. In its texts %ID% stands for the id of the request.
struct Note {
    Instant at = 0;
    std::string kind;
    std::optional<Index> request;
    std::string login;
    std::string detail;
    std::optional<Index> session;  // of a statement; a control event has none
    bool under_grant = false;
    std::string tag;
    std::string statement;
    std::string sqlstate;
};

struct Decision {
    Index person = 0;
    bool approves = true;
    std::string comment;
    Instant at = 0;
};

struct Request {
    std::int64_t id = 0;
    Index person = 0;
    Index tmpl = 0;
    Index session = 0;
    Instant requested_at = 0;
    std::int64_t duration = 0;
    std::string reason;
    std::string ticket;
    std::string digest;
    std::string rule;
    bool break_glass = false;
    std::vector<Decision> decisions;
    std::string state;
    Instant activated_at = 0;  // 0: never
    Instant ends_at = 0;
    std::int64_t extended = 0;
    Instant closed_at = 0;
    std::string closed_by;
    std::string close_reason;
    // The review of a break-glass grant; nothing: not reviewed yet.
    std::optional<Decision> review;
    std::string verdict;
    // How it is used.
    Instant used_from = 0;
    Instant used_to = 0;
    double effort = 0;
    std::int64_t rows = 0;
};

struct Planted {
    std::string rule;
    std::optional<Index> person;
    std::optional<Index> request;
    Instant from = 0;
    Instant to = 0;
    std::string note;
};

enum class Outcome { usual, approved, denied, cancelled, lapsed };

struct Need {
    Index person = 0;
    Index tmpl = 0;
    Instant at = 0;
    Instant until = 0;  // end of the working day
    bool on_call = false;
    bool break_glass = false;
    Outcome outcome = Outcome::usual;
    std::string client;  // an unusual address; empty: the usual one
};

class Story {
public:
    Story(const World& world, Instant until) : world_(world), until_(until) {}

    // Adds a request with everything that follows from it. Returns nothing if it would not have ended in time.
    std::optional<Index> ask(const Need& need, Random& random);
    void tell(Note note) { notes.push_back(std::move(note)); }
    Index open_session(Index person, Instant start, Random& random, const std::string& client = {});
    // Adds a refused statement, in a session of its own or of a grant.
    void refuse(Index session, Index person, Instant at, std::string sqlstate, const std::string& message,
                std::string statement, std::optional<Index> request = std::nullopt);
    // Adds this number of wrong codes and then a right one.
    Instant step_up(Index session, Index person, Instant at, int wrong, Random& random);
    void finish();  // sorts everything by time and numbers the requests

    [[nodiscard]] Index approver_of(Index person, Index tmpl, Random& random) const;
    [[nodiscard]] const World& world() const { return world_; }

    std::vector<Request> requests;
    std::vector<Note> notes;
    std::vector<Session> sessions;
    std::vector<Planted> planted;
    std::int64_t first_request = 1;

private:
    void decide(Index request, const Need& need, Random& random);
    void approve(Request& request, Index number, Random& random);
    void activate(Index number, Instant at, const std::string& by);
    void use(Index number, const Need& need, Random& random);
    void close(Index number, std::string state, Instant at, const std::string& by, const std::string& reason);
    void control(Instant at, const char* kind, Index request, const std::string& by, Members detail);
    void stumble(Index number, Random& random);

    const World& world_;
    Instant until_;
};

inline const std::string worker = "jit_access";

// Add ordinary work (days.cpp), and this number of anomalies of each kind (planted.cpp).
void live(Story& story);
void plant(Story& story, int of_each);

}  // namespace life
