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

// As date_trunc() knows them.
constexpr config_enum_entry periods[] = {
    {"month", 0, false}, {"week", 1, false}, {"day", 2, false}, {nullptr, 0, false}};

}  // namespace

const char* record_period() noexcept { return periods[record_partition].name; }

void define() {
    DefineCustomEnumVariable("jit_access.audit_durability", "What a use has to survive before its statement runs.",
                             "process: a crash of any process; fsync: one of the machine as well.", &audit_durability,
                             durability_process, durabilities, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("jit_access.database", "Database that holds the extension, its tables and its worker.",
                               nullptr, &database, "postgres", PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "jit_access.journal_directory", "Directory of the journal of uses.",
        "Empty means jit_access inside the data directory. With replication, name an absolute path outside it.",
        &journal_directory, "", PGC_POSTMASTER, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("jit_access.anchor_file", "File to which the checkpoints of the record are appended.",
                               "Empty means anchors in the directory of the journal. Better on another machine's disk.",
                               &anchor_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("jit_access.checkpoint_key_file",
                               "File with the key of the checkpoints, in hexadecimal.",
                               "Empty means key in the directory of the journal, made when there is none.",
                               &checkpoint_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.checkpoint_interval", "How often the record is dated by a checkpoint.",
                            "Also on demand, by jit_audit_checkpoint().", &checkpoint_interval, 3600, 1, 86400,
                            PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.journal_size", "Size of the journal.",
                            "It has to hold the uses of the longest time the worker may be away.", &journal_size, 64, 1,
                            16384, PGC_POSTMASTER, GUC_UNIT_MB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.journal_wait",
                            "How long a statement under a grant waits for room in the journal.",
                            "Then it fails; it never runs unrecorded.", &journal_wait, 5000, 0, 600000, PGC_SIGHUP,
                            GUC_UNIT_MS, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("jit_access.log_parameters",
                             "Puts on the record what clients bind to the parameters of their statements.",
                             "They may hold what should not be kept: personal data, passwords.", &log_parameters, false,
                             PGC_SUSET, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.max_grants", "How many grants can be live at a time in the whole cluster.",
                            nullptr, &max_grants, 10000, 1, 1000000, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable("jit_access.record_partition", "How long the record fills one partition.",
                             "Records are dropped by the partition, see jit_access.record_retention.",
                             &record_partition, 0, periods, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.record_retention", "How many days records are kept; 0 means for ever.",
                            "A partition is dropped when its last record is older.", &record_retention, 0, 0, 36500,
                            PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "jit_access.second_factor_key_file", "File with the key that seals second factors, in hexadecimal.",
        "Empty means second_factor_key in the directory of the journal, made when the first one is "
        "enrolled.",
        &second_factor_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.second_factor_lifetime", "How long a session has stepped up after jit_step_up.",
                            "For requests, decisions and the first use of grants within that time.",
                            &second_factor_lifetime, 300, 1, 86400, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.statement_limit", "How many bytes of a statement the record keeps.",
                            "The length of the whole statement is always kept.", &statement_limit, 8192, 64, 65536,
                            PGC_SUSET, GUC_UNIT_BYTE, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jit_access.worker_naptime", "How long the worker sleeps at most.",
                            "Deadlines and new records wake it; this bounds how late it notices anything else.",
                            &worker_naptime, 10, 1, 3600, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
    MarkGUCPrefixReserved("jit_access");
}

}  // namespace jit::settings
