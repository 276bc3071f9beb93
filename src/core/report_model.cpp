#include "jit_access/core/report_model.hpp"

#include <algorithm>

namespace jit::core {

namespace {

constexpr Html::Markup style = R"css(
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2330; --dim: #5d6878; --line: #dfe3ea; --tint: #f4f6f9;
  --grants: #2f6fb5; --uses: #7a9cc6; --bad: #b3261e; --good: #1e7a46; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181f; --ink: #e4e8ee; --dim: #98a3b3; --line: #2b323d; --tint: #1b2029;
  --grants: #6ea8e8; --uses: #47648a; --bad: #ff8a80; --good: #71d39b; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #111; --dim: #444; --line: #bbb; --tint: #f6f6f6;
  --grants: #2f6fb5; --uses: #7a9cc6; --bad: #a01810; --good: #17603a; } }
@page { size: A4; margin: 16mm 14mm; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2.5rem 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { margin: .3rem 0 .8rem; }
.dim, .about, caption { color: var(--dim); }
.range { font-size: 1.05rem; color: var(--dim); margin-bottom: 1.2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 1.4rem; font-size: .88rem; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.4rem, 1fr)); gap: .7rem; margin: 1.2rem 0; padding: 0; list-style: none; }
.figures li { background: var(--tint); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .85rem; break-inside: avoid; }
.figures b { display: block; font-size: 1.25rem; white-space: nowrap; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figures span { font-size: .8rem; color: var(--dim); }
.bad, .figures li.bad b { color: var(--bad); } .good { color: var(--good); }
.verdict { border-left: 4px solid var(--good); background: var(--tint); padding: .8rem 1rem; border-radius: 0 8px 8px 0; }
.verdict.bad { border-color: var(--bad); color: inherit; }
.verdict p { margin: .2rem 0; }
code { font: .82rem/1.4 ui-monospace, "Liberation Mono", monospace; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; margin: .6rem 0; }
svg text { fill: var(--dim); font: 11px system-ui, "Liberation Sans", sans-serif; }
.g { fill: var(--grants); } .u { fill: var(--uses); } .m { fill: var(--bad); } .axis { stroke: var(--line); }
table { border-collapse: collapse; width: 100%; font-size: .84rem; margin: .4rem 0 1rem; }
th, td { min-width: 4.6rem; text-align: left; vertical-align: top; padding: .38rem .55rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 600; white-space: nowrap; }
thead { display: table-header-group; } tr { break-inside: avoid; }
.n { min-width: 0; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
.control { white-space: nowrap; font-weight: 600; }
.control span { display: block; font-weight: 400; white-space: normal; min-width: 9rem; }
h2, caption { break-after: avoid; }
@media print { body { padding: 0; max-width: none; font-size: 10.5pt; } a { color: inherit; } }
)css";

std::string shown(std::int64_t value) {
    std::string text = std::to_string(value);
    return text;
}

std::string policy(Hasher& hasher) {
    const auto text = style.text();
    const auto digest = hasher.hash({std::as_bytes(std::span(text))});
    return "default-src 'none'; style-src 'sha256-" + to_base64(digest) + "'; base-uri 'none'; form-action 'none'";
}

void head(Html& to, const Page& page, Hasher& hasher) {
    to.markup("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    to.open("meta", {{"http-equiv", "Content-Security-Policy"}, {"content", policy(hasher)}}).markup("\n");
    to.markup(
        "<meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    to.element("title", page.framework + ", " + page.from + " to " + page.to).markup("\n<style>");
    to.markup(style).markup("</style>\n</head>\n<body>\n");
}

void introduction(Html& to, const Page& page) {
    to.markup("<header>\n").element("h1", page.framework);
    to.element("p", page.from + " to " + page.to, {{"class", "range"}}).markup("\n<dl>\n");
    for (const auto& [name, value] : page.facts) {
        to.element("dt", name).markup("<dd><bdi>").text(value).markup("</bdi></dd>\n");
    }
    to.markup("</dl>\n</header>\n<ul class=\"figures\">\n");
    for (const auto& figure : page.figures) {
        const bool bad = figure.wants_zero && figure.value != 0;
        to.open("li", {{"class", bad ? "bad" : ""}});
        to.open("b", {{"id", "figure-" + figure.name}, {"data-value", shown(figure.value)}})
            .number(figure.value)
            .close("b");
        to.element("span", figure.label).close("li").markup("\n");
    }
    to.markup("</ul>\n");
}

void verification(Html& to, const Page& page) {
    to.markup("<h2>The record</h2>\n");
    to.open("div", {{"class", page.verification.sound ? "verdict" : "verdict bad"}, {"id", "verification"}})
        .markup("\n");
    for (const auto& claim : page.verification.claims) to.element("p", claim).markup("\n");
    if (!page.verification.head.empty())
        to.markup("<p>Its head: ").element("code", page.verification.head, {{"id", "head"}}).markup("</p>\n");
    to.markup("</div>\n");
}

// ---- the timeline ---------------------------------------------------------------------------------------------------

constexpr std::int64_t width = 960;
constexpr std::int64_t left = 56;
constexpr std::int64_t band = 90;

struct Band {
    std::int64_t top;
    std::int64_t most;
    const char* name;
};

void rectangle(Html& to, std::int64_t x, std::int64_t y, std::int64_t w, std::int64_t h, const char* kind,
               const std::string& title) {
    to.open("rect", {{"class", kind}, {"x", shown(x)}, {"y", shown(y)}, {"width", shown(w)}, {"height", shown(h)}});
    to.element("title", title).close("rect").markup("\n");
}

void axis(Html& to, const Band& of) {
    const auto base = of.top + band;
    to.open("line",
            {{"class", "axis"}, {"x1", shown(left)}, {"x2", shown(width)}, {"y1", shown(base)}, {"y2", shown(base)}})
        .close("line");
    to.open("text", {{"x", "0"}, {"y", shown(of.top + 10)}}).number(of.most).close("text");
    to.element("text", of.name, {{"x", "0"}, {"y", shown(base)}}).markup("\n");
}

void bar(Html& to, const Band& of, std::int64_t x, std::int64_t w, std::int64_t value, const char* kind,
         const std::string& title) {
    if (value == 0) return;
    // Even the smallest value above zero is visible.
    const auto height = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(static_cast<double>(value) * static_cast<double>(band - 14) /
                                     static_cast<double>(of.most)));
    rectangle(to, x, of.top + band - height, w, height, kind, title);
}

void timeline(Html& to, const Page& page) {
    if (page.bars.empty()) return;
    Band grants{0, 1, "grants"};
    Band uses{band + 34, 1, "uses"};
    for (const auto& one : page.bars) {
        grants.most = std::max(grants.most, one.grants);
        uses.most = std::max(uses.most, one.statements);
    }
    to.markup(
        "<h2>Timeline</h2>\n<p class=\"about\">Grants that became active, and statements under grants; a red mark is "
        "an alert, a drift, "
        "a break of the chain or the like.</p>\n");
    to.open("svg", {{"viewBox", "0 0 " + shown(width) + ' ' + shown(2 * band + 60)},
                    {"role", "img"},
                    {"aria-label", "Timeline of grants and uses"}})
        .markup("\n");
    axis(to, grants);
    axis(to, uses);
    const auto count = static_cast<std::int64_t>(page.bars.size());
    const auto step = std::max<std::int64_t>(1, (count + 7) / 8);
    for (std::int64_t i = 0; i < count; ++i) {
        const auto& one = page.bars[static_cast<std::size_t>(i)];
        const auto x = left + (width - left) * i / count;
        const auto w = std::max<std::int64_t>(1, left + (width - left) * (i + 1) / count - x - 2);
        bar(to, grants, x, w, one.grants, "g", one.label + ": " + shown(one.grants) + " grants");
        bar(to, uses, x, w, one.statements, "u", one.label + ": " + shown(one.statements) + " statements");
        if (one.marks != 0) rectangle(to, x, band + 6, w, 8, "m", one.label + ": " + shown(one.marks) + " to look at");
        if (i % step == 0) to.element("text", one.label, {{"x", shown(x)}, {"y", shown(2 * band + 52)}}).markup("\n");
    }
    to.markup("</svg>\n");
}

// ---- tables ---------------------------------------------------------------------------------------------------------

void controls(Html& to, const Page& page) {
    to.markup(
        "<h2>Controls</h2>\n<p class=\"about\">The evidence that this database has for each control, and the evidence "
        "that it lacks. It is "
        "evidence, not a "
        "verdict: whether a control holds is for the auditor to decide.</p>\n");
    to.markup(
        "<table id=\"controls\">\n<thead><tr><th>control</th><th>evidence</th><th class=\"n\">count</th><th "
        "class=\"n\">exceptions</th>"
        "<th>exceptions are</th></tr></thead>\n");
    for (const auto& control : page.controls) {
        to.markup("<tbody>\n");
        bool first = true;
        for (const auto& evidence : control.evidence) {
            to.markup("<tr>");
            if (first) {
                to.open("td", {{"class", "control"},
                               {"rowspan", shown(static_cast<std::int64_t>(control.evidence.size()) + 1)}});
                to.text(control.control).element("span", control.title).close("td");
            }
            first = false;
            to.element("td", evidence.counts).markup("<td class=\"n\">").number(evidence.count).markup("</td>");
            to.open("td", {{"class", evidence.exceptions == 0 ? "n good" : "n bad"}})
                .number(evidence.exceptions)
                .close("td");
            to.element("td", evidence.excepts, {{"class", "dim"}}).markup("</tr>\n");
        }
        to.markup("<tr><td colspan=\"4\" class=\"dim\">Not covered: ")
            .text(control.not_covered)
            .markup("</td></tr>\n</tbody>\n");
    }
    to.markup("</table>\n");
}

void table(Html& to, const Page::Table& of) {
    to.element("h2", of.title).markup("\n").element("p", of.about, {{"class", "about"}}).markup("\n");
    if (of.rows.empty()) {
        to.markup("<p>None.</p>\n");
        return;
    }
    to.open("table", {{"id", of.name}}).markup("\n<thead><tr>");
    for (const auto& column : of.columns) to.element("th", column.name, {{"class", column.numeric ? "n" : ""}});
    to.markup("</tr></thead>\n<tbody>\n");
    for (const auto& row : of.rows) {
        to.markup("<tr>");
        for (const auto& cell : row) {
            if (cell.number)
                to.markup("<td class=\"n\">").number(*cell.number).markup("</td>");
            else
                to.markup("<td><bdi>").text(cell.text).markup("</bdi></td>");
        }
        to.markup("</tr>\n");
    }
    to.markup("</tbody>\n</table>\n");
    if (const auto more = of.all - static_cast<std::int64_t>(of.rows.size()); more > 0)
        to.markup("<p class=\"dim\">And ").number(more).markup(" more, which jit_report_csv has.</p>\n");
}

}  // namespace

std::string render(const Page& page, Hasher& hasher) {
    Html html;
    head(html, page, hasher);
    introduction(html, page);
    timeline(html, page);
    verification(html, page);
    controls(html, page);
    for (const auto& one : page.tables) table(html, one);
    html.markup("</body>\n</html>\n");
    return html.str();
}

}  // namespace jit::core
