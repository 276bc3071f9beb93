// Functions whose code may change the process in which it runs: those in procedural languages other than PL/pgSQL, such
// as plperl, whose code can make the process ignore signals. Calls of such functions are wrapped, so that the session
// can undo what they have changed (session::foreign_code_ends()).
//
// Functions in C and those of the server are trusted, and code in SQL and PL/pgSQL cannot change the process in this
// way. DO and CREATE FUNCTION can also run code of a procedural language, through its inline handler and its validator,
// which are wrapped in the same way.
#pragma once

namespace jit::foreign_code {

// Installs the hooks of functions; once, when the library is loaded.
void install();
// Call when a function has changed.
void invalidate() noexcept;

}  // namespace jit::foreign_code
