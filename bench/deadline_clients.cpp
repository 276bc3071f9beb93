// Clients of the deadline benchmark: real sessions over libpq, each with its own login.
//
//   deadline_clients loop SESSIONS GRANTS     each session requests grants of 1 to 5 s, has them approved, and runs
//                                             SELECT in a loop until it is stopped; prints for each grant: id, time at
//                                             which the last answered statement was sent, time at which the connection
//                                             ended
//   deadline_clients sleep SESSIONS GRANTS    the same with one statement that would run for a minute
//   deadline_clients activate TEMPLATE COUNT  approves COUNT requests one after the other; prints milliseconds
//
// Times are of the wall clock of this machine, which is also the server's. A statement is late if it was sent at or
// after the deadline in the tables and was answered.
#include <libpq-fe.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

Connection connect(const std::string& user) {
    Connection connection(PQconnectdb(("user=" + user).c_str()), PQfinish);
    if (PQstatus(connection.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection.get()));
    PQsetNoticeProcessor(
        connection.get(), [](void*, const char*) {}, nullptr);
    return connection;
}

Result run(PGconn* connection, const std::string& sql) { return {PQexec(connection, sql.c_str()), PQclear}; }

bool answered(const Result& result) { return PQresultStatus(result.get()) == PGRES_TUPLES_OK; }

std::string value(PGconn* connection, const std::string& sql) {
    const auto result = run(connection, sql);
    if (!answered(result) || PQntuples(result.get()) != 1) throw std::runtime_error(PQerrorMessage(connection));
    return PQgetvalue(result.get(), 0, 0);
}

double unix_now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// Repeats the request, because the last grant of this login may not be cleaned up yet, and until then its sessions are
// refused.
std::string ask(PGconn* connection, double seconds) {
    const std::string sql = "SELECT jit_request('bench', interval '" + std::to_string(seconds) + " s')";
    for (;;) {
        const auto result = run(connection, sql);
        if (answered(result)) return PQgetvalue(result.get(), 0, 0);
        const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
        const std::string code = state != nullptr ? state : "";
        if (code != "JA010" && code != "JA011") throw std::runtime_error(PQerrorMessage(connection));
    }
}

std::mutex print_lock;
std::atomic<long> grants_left;

// One requester, who makes requests until all grants are used up.
void session(int number, bool sleeps) {
    std::mt19937 random(static_cast<unsigned>(number));
    std::uniform_real_distribution<double> seconds(1.0, 5.0);
    const auto approver = connect("approver");
    while (grants_left.fetch_sub(1) > 0) {
        const auto requester = connect("requester_" + std::to_string(number));
        const auto id = ask(requester.get(), seconds(random));
        value(approver.get(), "SELECT jit_approve(" + id + ")");
        std::string last = "0";
        if (sleeps) {
            (void)run(requester.get(), "SELECT count(*), pg_sleep(60) FROM bench.t");
        } else {
            for (;;) {
                const double sent = unix_now();
                if (!answered(run(requester.get(), "SELECT a FROM bench.t LIMIT 1"))) break;
                last = std::to_string(sent);
            }
        }
        const double end = unix_now();
        const std::lock_guard<std::mutex> lock(print_lock);
        std::printf("%s %s %.6f\n", id.c_str(), last.c_str(), end);
    }
}

void activate(const std::string& template_name, int count) {
    const auto approver = connect("approver");
    for (int i = 0; i < count; ++i) {
        const auto requester = connect("requester_" + std::to_string(i % 100));
        const auto id = value(requester.get(), "SELECT jit_request('" + template_name + "', '1h')");
        const auto start = std::chrono::steady_clock::now();
        value(approver.get(), "SELECT jit_approve(" + id + ")");
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
        std::printf("%.3f\n", took.count());
        value(requester.get(), "SELECT jit_revoke(" + id + ")");
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::string mode = argc == 4 ? argv[1] : "";
        if (mode == "activate") {
            activate(argv[2], std::atoi(argv[3]));
            return 0;
        }
        if (mode != "loop" && mode != "sleep") throw std::runtime_error("see the head of the source for the arguments");
        grants_left = std::atol(argv[3]);
        std::vector<std::thread> threads;
        for (int i = 0; i < std::atoi(argv[2]); ++i)
            threads.emplace_back([i, &mode] {
                try {
                    session(i, mode == "sleep");
                } catch (const std::exception& error) {
                    std::fprintf(stderr, "session %d: %s\n", i, error.what());
                    std::exit(1);
                }
            });
        for (auto& thread : threads) thread.join();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
