#include "jit_access/chores.hpp"

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"

namespace jit::chores {

const std::string actor = "jit_access";

std::optional<std::string> alone(const std::function<void()>& body) {
    return pg::in_transaction_of_own([&] {
        if (!pg::is_standby()) pg::commit_locally();
        body();
    });
}

void try_to(const std::string& what, const std::function<void()>& body) {
    if (const auto fault = alone(body)) pg::log_line("could not " + what + ": " + *fault);
}

std::vector<std::int64_t> ids(const char* sql, std::initializer_list<pg::Argument> args) {
    std::vector<std::int64_t> found;
    const auto fault = alone([&] {
        for (const auto& row : pg::query(sql, args)) found.push_back(row.get<std::int64_t>(0));
    });
    if (!fault) return found;
    pg::log_line("could not look at the requests: " + *fault);
    return {};
}

}  // namespace jit::chores
