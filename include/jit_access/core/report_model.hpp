// The report as a page for a browser and for paper: what it says is in the model below, every text of which may be
// somebody's. It has no script, loads nothing, and tells the browser so.
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
        std::string name;  // what a test finds it by
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
    // One bar; its time may be several days.
    struct Bar {
        std::string label;
        std::int64_t grants = 0;
        std::int64_t statements = 0;
        std::int64_t marks = 0;  // what wants attention
    };
    struct Column {
        std::string name;
        bool numeric = false;
    };
    // What stands in a cell: text, or a number.
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
        std::int64_t all = 0;  // of which these are the first
    };
    // What is known of the record being whole, and what is not.
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
