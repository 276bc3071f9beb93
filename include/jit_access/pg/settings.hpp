// Every setting (GUC) of the extension, as the server keeps it. docs/reference.md describes them for administrators.
#pragma once

namespace jit::settings {

extern char* database;                // control database
extern char* journal_directory;       // empty: <data directory>/jit_access
extern char* anchor_file;             // empty: anchors in the directory of the journal
extern char* checkpoint_key_file;     // empty: key in the directory of the journal
extern char* second_factor_key_file;  // empty: second_factor_key there
enum Durability { durability_process, durability_fsync };
extern int audit_durability;     // Durability: what a use survives before its statement runs
extern int checkpoint_interval;  // seconds
extern int journal_size;         // megabytes
extern int journal_wait;         // milliseconds a statement waits for room before it fails
extern bool log_parameters;      // what clients bind to their statements is on the record
extern int max_grants;           // live at a time, in the cluster
extern int record_partition;     // how long a partition of the record is open, see record_period()
extern int record_retention;     // days; 0: for ever
// Seconds for which a session has stepped up.
extern int second_factor_lifetime;
extern int statement_limit;  // bytes of a statement that are kept
extern int worker_naptime;       // seconds the worker sleeps at most

// month, week or day.
[[nodiscard]] const char* record_period() noexcept;

void define();

}  // namespace jit::settings
