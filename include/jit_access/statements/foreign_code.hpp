// Functions whose code may change the process in which it runs: those in procedural languages other than PL/pgSQL, such
// as plperl, which can have signals ignored. Calls of them are wrapped, so that the session can put back what they have
// changed (session::foreign_code_ends()).
//
// Functions in C and of the server are trusted, and SQL and PL/pgSQL can do nothing of the kind. DO and CREATE FUNCTION
// run such code, too: through the language's inline handler and validator, which are wrapped in the same way.
#pragma once

namespace jit::foreign_code {

// Installs the hooks of functions; once, when the library is loaded.
void install();
// A function has changed.
void invalidate() noexcept;

}  // namespace jit::foreign_code
