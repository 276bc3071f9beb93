// The settings (GUCs) of the extension. docs/reference.md describes them for administrators.
//
// The server owns the variables and changes them when it reads its configuration; the rest of the code only reads them.
// An empty file or directory name stands for the default named here.
#pragma once

namespace jit::settings {

extern char* database;                // name of the control database
extern char* journal_directory;       // default: jit_access in the data directory
extern char* anchor_file;             // default: anchors in the directory of the journal
extern char* checkpoint_key_file;     // default: key in the directory of the journal
extern char* second_factor_key_file;  // default: second_factor_key in the directory of the journal
extern int attempt_rate;              // attempts of a login per minute; 0 = no limit
enum Durability { durability_process, durability_fsync };
extern int audit_durability;        // Durability
extern int checkpoint_interval;     // seconds
extern int journal_size;            // megabytes
extern int journal_wait;            // milliseconds
extern bool log_parameters;         // whether values of parameters are recorded
extern int max_grants;              // slots in shared memory
extern int record_partition;        // see record_period()
extern int record_retention;        // days; 0 = no limit
extern int second_factor_lifetime;  // seconds
extern int statement_limit;         // bytes of a statement that are recorded
extern int worker_naptime;          // seconds

// The unit of time after which a partition of the record is closed, as date_trunc() names it: month, week or day.
[[nodiscard]] const char* record_period() noexcept;

// Defines the settings. Called by _PG_init.
void define();

}  // namespace jit::settings
