// Comma-separated values: RFC 4180, and no cell that a spreadsheet would take for a formula.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE csv
#include "jit_access/core/csv.hpp"

#include <boost/test/unit_test.hpp>

using namespace jit::core;
using namespace std::string_literals;

namespace {

// Reads a line by RFC 4180.
std::vector<std::string> read(const std::string& line) {
    std::vector<std::string> cells{""};
    bool quoted = false;
    for (std::size_t i = 0; i + 2 < line.size() || quoted; ++i) {
        const char c = line.at(i);
        if (c == '"' && quoted && line.at(i + 1) == '"')
            cells.back() += line.at(++i);
        else if (c == '"')
            quoted = !quoted;
        else if (c == ',' && !quoted)
            cells.emplace_back();
        else
            cells.back() += c;
    }
    return cells;
}

}  // namespace

BOOST_AUTO_TEST_CASE(lines_end_with_cr_lf) {
    BOOST_TEST(csv_line({"a", "b", "c"}) == "a,b,c\r\n");
    BOOST_TEST(csv_line({""}) == "\r\n");
    BOOST_TEST(csv_line({"", ""}) == ",\r\n");
}

BOOST_AUTO_TEST_CASE(quotes_where_they_are_needed) {
    BOOST_TEST(csv_cell("plain text") == "plain text");
    BOOST_TEST(csv_cell("a,b") == "\"a,b\"");
    BOOST_TEST(csv_cell("say \"no\"") == "\"say \"\"no\"\"\"");
    BOOST_TEST(csv_cell("\"") == "\"\"\"\"");
    BOOST_TEST(csv_cell("two\r\nlines") == "\"two\r\nlines\"");
    BOOST_TEST(csv_cell(" padded ") == "\" padded \"");
    BOOST_TEST(csv_cell("Köln 障害") == "Köln 障害");
}

BOOST_AUTO_TEST_CASE(no_cell_is_a_formula) {
    BOOST_TEST(csv_cell("=1+1") == "'=1+1");
    BOOST_TEST(csv_cell("@SUM(A1)") == "'@SUM(A1)");
    BOOST_TEST(csv_cell("=HYPERLINK(\"http://x\",\"y\")") == "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
    for (const auto& beginning :
         {"="s, "+"s, "-"s, "@"s, "|"s, "\t"s, "\r"s, "\n"s, "\v"s, "\f"s, "＝"s, "＋"s, "－"s, "＠"s})
        for (const auto& blanks : {""s, " "s, "   "s, "\u00A0"s, "\u3000 "s}) {
            const auto cell = csv_cell(blanks + beginning + "cmd|' /C calc'!A0");
            BOOST_TEST((cell.starts_with('\'') || cell.starts_with("\"'")), cell);
        }
    for (const char* text : {"a=1", "1-2", "someone@example.org", "'quoted'", "", " ", "ＡＢ"})
        BOOST_TEST(csv_cell(text).find("'" + std::string(text)) == std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(what_is_written_is_read_again) {
    const std::vector<std::string> cells{"a,b", "\"\"", "", "x\r\ny", " ", "ends with \"", "\"begins", "ä,ö"};
    BOOST_TEST(read(csv_line(cells)) == cells, boost::test_tools::per_element());
}
