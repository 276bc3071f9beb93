// The page of the report: hostile text in every place that holds text, and the policy for the browser.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE report_model
#include "jit_access/core/report_model.hpp"

#include <boost/test/unit_test.hpp>

#include <set>

#include "verify/hasher.hpp"

using namespace jit::core;

namespace {

const std::string hostile = "\"'><script>x</script><img src=x onerror=y>\xE2\x80\xAE`--></style>";

Page page_of(const std::string& text) {
    Page page;
    page.framework = page.from = page.to = text;
    page.facts = {{text, text}};
    page.figures = {{text, text, 3, true}, {"good", text, 0, true}};
    page.controls = {{text, text, {{text, 1, 0, text}, {text, 2, 5, text}}, text}};
    page.bars = {{text, 1, 1'000'000, 0}, {text, 0, 3, 2}};
    page.tables = {{text, text, text, {{text, false}, {"n", true}}, {{{text, std::nullopt}, {{}, 7}}}, 9},
                   {"none", text, text, {{text, false}}, {}, 0}};
    page.verification = {true, {text}, text};
    return page;
}

std::string rendered(const Page& page) {
    jit::verify::OpenSslHasher hasher;
    return render(page, hasher);
}

// Names of elements and attributes as a browser finds them: the page has no other '<'.
std::set<std::string> tags(const std::string& html) {
    std::set<std::string> found;
    for (auto at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1))
        found.insert(html.substr(at + 1, html.find_first_of(" >\n", at + 1) - at - 1));
    return found;
}

}  // namespace

BOOST_AUTO_TEST_CASE(text_makes_no_element) {
    BOOST_TEST((tags(rendered(page_of(hostile))) == tags(rendered(page_of("plain")))));
    const auto html = rendered(page_of(hostile));
    for (const char c : html) BOOST_REQUIRE((c == '\n' || (c >= 0x20 && c < 0x7F)));
    BOOST_TEST(html.find("onerror=y>") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_same_number_of_quotes_whatever_is_in_them) {
    const auto quotes = [](const std::string& html) { return std::count(html.begin(), html.end(), '"'); };
    BOOST_TEST(quotes(rendered(page_of(hostile))) == quotes(rendered(page_of("plain"))));
}

BOOST_AUTO_TEST_CASE(the_policy_names_the_style_by_its_hash) {
    const auto html = rendered(page_of("plain"));
    const auto from = html.find("<style>") + 7;
    const auto style = html.substr(from, html.find("</style>") - from);
    jit::verify::OpenSslHasher hasher;
    const auto digest = hasher.hash({std::as_bytes(std::span(style))});
    const auto hash = to_base64(std::as_bytes(std::span(digest)));
    BOOST_TEST(html.find("default-src &#x0027;none&#x0027;; style-src &#x0027;sha256-" + hash + "&#x0027;;") !=
               std::string::npos);
    BOOST_TEST(html.find("style=\"") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_wants_attention_is_marked) {
    auto page = page_of("plain");
    BOOST_TEST(rendered(page).find("class=\"verdict\"") != std::string::npos);
    page.verification.sound = false;
    const auto html = rendered(page);
    BOOST_TEST(html.find("class=\"verdict bad\"") != std::string::npos);
    BOOST_TEST(html.find("<li class=\"bad\"><b id=\"figure-plain\" data-value=\"3\">") != std::string::npos);
    BOOST_TEST(html.find("<li class=\"\"><b id=\"figure-good\" data-value=\"0\">") != std::string::npos);
    BOOST_TEST(html.find("And 8 more") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nothing_at_all_is_a_page) {
    const auto html = rendered({});
    BOOST_TEST(html.starts_with("<!DOCTYPE html>"));
    BOOST_TEST(html.ends_with("</html>\n"));
}
