// The core zone uses only standard C++20: no server header, no I/O, no clock, no globals. Every core header includes
// this file first, so a translation unit that has already included postgres.h does not compile.
#pragma once

#ifdef POSTGRES_H
#error "core/ must not be compiled together with postgres.h: put the server call behind include/jit_access/pg/"
#endif
