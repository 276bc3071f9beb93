// The policy as a document: people, windows, templates and rules as one JSON document.
//
// The document is a declaration: a setting that it omits gets its default and does not keep its previous value. Objects
// that exist but are not in the document are not dropped; the import reports them. Importing the same document twice
// changes nothing the second time. The document contains no secrets. policy_export.hpp writes it, policy_import.hpp
// reads it.
#pragma once

#include <string>

namespace jit::policy_file {

// Queries for the rows of jit_access.rule and jit_access.time_window, each row as one JSON object in the form it has in
// the document. The export writes these objects; the import compares them with what it is about to store. A WHERE
// clause can be appended.
inline constexpr const char* rule_documents = R"sql(
    SELECT pg_catalog.jsonb_build_object(
               'name', name, 'effect', effect, 'templates', template_names, 'role', role_name,
               'max_duration', max_duration, 'max_risk', max_risk, 'networks', networks::text[], 'windows', windows)
    FROM jit_access.rule
)sql";
inline constexpr const char* window_documents = R"sql(
    SELECT pg_catalog.to_jsonb(w)
    FROM (SELECT name, kind, time_zone, starts, lasts, weekdays, first_day, last_day, days
          FROM jit_access.time_window) w
)sql";

}  // namespace jit::policy_file
