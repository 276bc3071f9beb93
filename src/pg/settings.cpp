#include "jit_access/pg/settings.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace jit::settings {

char* database = nullptr;
char* journal_directory = nullptr;
char* anchor_file = nullptr;
char* checkpoint_key_file = nullptr;
int attempt_rate = 60;
int audit_durability = durability_process;
int checkpoint_interval = 3600;
int journal_size = 64;
int journal_wait = 5000;
bool log_parameters = false;
int max_grants = 10000;
int record_partition = 0;
int record_retention = 0;
char* second_factor_key_file = nullptr;
int second_factor_lifetime = 300;
int statement_limit = 8192;
int worker_naptime = 10;

namespace {

const config_enum_entry durabilities[] = {
    {"process", durability_process, false}, {"fsync", durability_fsync, false}, {nullptr, 0, false}};

// The names are passed to date_trunc().
constexpr config_enum_entry periods[] = {
    {"month", 0, false}, {"week", 1, false}, {"day", 2, false}, {nullptr, 0, false}};

}  // namespace

const char* record_period() noexcept { return periods[record_partition].name; }

// Descriptions have the form of PostgreSQL's own: one short sentence, then details.
void define() {
    DefineCustomIntVariable("jit_access.attempt_rate",
                            "Sets the number of attempts of a login per minute that are recorded one by one.",
                            "Refusals above it are counted, except the first of each kind, and further requests are "
                            "refused. Zero sets no limit.",
                            &attempt_rate, 60, 0, 1000000, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable(
        "jit_access.audit_durability", "Selects the failures that the record of a use survives.",
        "With process, a crash of any server process; with fsync, also a crash of the machine. The "
        "record of the intent reaches this level before the statement runs.",
        &audit_durability, durability_process, durabilities, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("jit_access.database", "Sets the control database.",
                               "It holds the extension with its tables, and the worker connects to it.", &database,
                               "postgres", PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("jit_access.journal_directory", "Sets the directory of the journal.",
                               "An empty string means jit_access in the data directory. With replication, use an "
                               "absolute path outside of the data directory.",
                               &journal_directory, "", PGC_POSTMASTER, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "jit_access.anchor_file", "Sets the file to which the checkpoints of the record are appended.",
        "An empty string means anchors in the directory of the journal. Prefer a disk of another "
        "machine.",
        &anchor_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("jit_access.checkpoint_key_file",
                               "Sets the file that holds the key of the checkpoints, in hexadecimal.",
                               "An empty string means key in the directory of the journal. The file is created if it "
                               "does not exist.",
                               &checkpoint_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.checkpoint_interval", "Sets the time between checkpoints of the record.",
                            "jit_audit_checkpoint() makes one on demand.", &checkpoint_interval, 3600, 1, 86400,
                            PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.journal_size", "Sets the size of the journal.",
                            "It must hold the uses of the longest time for which the worker may be away.",
                            &journal_size, 64, 1, 16384, PGC_POSTMASTER, GUC_UNIT_MB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.journal_wait",
                            "Sets the maximum time that a statement under a grant waits for room in the journal.",
                            "The statement then fails; it never runs unrecorded.", &journal_wait, 5000, 0, 600000,
                            PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("jit_access.log_parameters", "Records the values of the parameters of statements.",
                             "They may contain data that must not be kept, such as personal data or passwords.",
                             &log_parameters, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.max_grants", "Sets the maximum number of live grants in the cluster.", nullptr,
                            &max_grants, 10000, 1, 1000000, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable("jit_access.record_partition",
                             "Sets the period after which a new partition of the record begins.",
                             "Old records are dropped by the partition, see jit_access.record_retention.",
                             &record_partition, 0, periods, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.record_retention", "Sets the number of days for which records are kept.",
                            "Zero keeps them without a limit. A partition is dropped when its last record is older.",
                            &record_retention, 0, 0, 36500, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("jit_access.second_factor_key_file",
                               "Sets the file that holds the key of the second factors, in hexadecimal.",
                               "An empty string means second_factor_key in the directory of the journal. The file is "
                               "created when the first second factor is enrolled.",
                               &second_factor_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.second_factor_lifetime",
                            "Sets the time for which a session has stepped up after jit_step_up().",
                            "It holds for requests, decisions and the first use of grants.", &second_factor_lifetime,
                            300, 1, 86400, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.statement_limit", "Sets the number of bytes of a statement that are recorded.",
                            "The length of the whole statement is always recorded.", &statement_limit, 8192, 64, 65536,
                            PGC_SUSET, GUC_UNIT_BYTE, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.worker_naptime", "Sets the maximum time that the worker sleeps.",
                            "Deadlines and new records wake it. Other changes, such as drift, are noticed after this "
                            "time.",
                            &worker_naptime, 10, 1, 3600, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
    MarkGUCPrefixReserved("jit_access");
}

}  // namespace jit::settings
