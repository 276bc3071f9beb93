// The report as an HTML page, for a browser and for paper: the model, and its rendering.
//
// Every text of the model may have been typed by a user. The page has no script and loads nothing. A
// Content-Security-Policy enforces this in the browser; it allows one style sheet, by its hash.
#pragma once

#include "jit_access/core/zone.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/html.hpp"

namespace jit::core {

struct Page {
    struct Figure {
        std::string name;  // id by which tests find it
        std::string label;
        std::int64_t value = 0;
        bool wants_zero = false;
    };
    struct Evidence {
        std::string counts;
        std::int64_t count = 0;
        std::int64_t exceptions = 0;
        std::string excepts;
    };
    struct Control {
        std::string control;
        std::string title;
        std::vector<Evidence> evidence;
        std::string not_covered;
    };
    // One bar of the timeline; it covers one or more days.
    struct Bar {
        std::string label;
        std::int64_t grants = 0;
        std::int64_t statements = 0;
        std::int64_t marks = 0;  // events that need attention
    };
    struct Column {
        std::string name;
        bool numeric = false;
    };
    // A text or a number.
    struct Cell {
        std::string text;
        std::optional<std::int64_t> number;
    };
    struct Table {
        std::string name;
        std::string title;
        std::string about;
        std::vector<Column> columns;
        std::vector<std::vector<Cell>> rows;
        std::int64_t all = 0;  // number of all rows; `rows` holds the first of them
    };
    // The claims about the integrity of the record: those that are proved, and those that are not.
    struct Verification {
        bool sound = false;
        std::vector<std::string> claims;
        std::string head;
    };

    std::string framework;
    std::string from;
    std::string to;
    std::vector<std::pair<std::string, std::string>> facts;
    std::vector<Figure> figures;
    std::vector<Control> controls;
    std::vector<Bar> bars;
    std::vector<Table> tables;
    Verification verification;
};

[[nodiscard]] std::string render(const Page& page, Hasher& hasher);

}  // namespace jit::core
