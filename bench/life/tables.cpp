#include "tables.hpp"

#include <memory>
#include <stdexcept>

#include "../../src/verify/hasher.hpp"

namespace life {

using jit::core::AuditRecord;
using jit::core::ColumnInfo;

void CopyFile::begin_field() {
    if (!first_) row_ += '\t';
    first_ = false;
}

CopyFile& CopyFile::null() {
    begin_field();
    row_ += "\\N";
    return *this;
}

CopyFile& CopyFile::text(std::string_view value) {
    begin_field();
    for (const char c : value) {
        if (c == '\\' || c == '\t' || c == '\n' || c == '\r') row_ += '\\';
        row_ += c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : c;
    }
    return *this;
}

CopyFile& CopyFile::number(std::int64_t value) {
    begin_field();
    row_ += std::to_string(value);
    return *this;
}

CopyFile& CopyFile::moment(std::int64_t value) {
    begin_field();
    row_ += to_text(value);
    return *this;
}

CopyFile& CopyFile::length(std::int64_t microseconds) {
    begin_field();
    row_ += std::to_string(microseconds) + " us";
    return *this;
}

CopyFile& CopyFile::list(const std::vector<std::string_view>& values) {
    std::string text = "{";
    for (const auto value : values) {
        text += text.size() > 1 ? ",\"" : "\"";
        for (const char c : value) {
            if (c == '"' || c == '\\') text += '\\';
            text += c;
        }
        text += '"';
    }
    return this->text(text + "}");
}

CopyFile& CopyFile::list(const std::vector<std::int64_t>& values) {
    std::string text = "{";
    for (const auto value : values) text += (text.size() > 1 ? "," : "") + std::to_string(value);
    return this->text(text + "}");
}

void CopyFile::end_row() {
    row_ += '\n';
    first_ = true;
    if (row_.size() > 60'000) flush();
}

void CopyFile::flush() {
    if (std::fwrite(row_.data(), 1, row_.size(), file_) != row_.size()) throw std::runtime_error("cannot write");
    row_.clear();
}

namespace {

// Visitor that writes one field for each column of the record.
class ToCopy {
public:
    explicit ToCopy(CopyFile& to) : to_(to) {}

    void operator()(const ColumnInfo& column, std::int64_t value) {
        column.type == jit::core::SqlType::timestamptz ? to_.moment(value) : to_.number(value);
    }
    void operator()(const ColumnInfo&, std::int32_t value) { to_.number(value); }
    void operator()(const ColumnInfo&, std::string_view value) { to_.text(value); }
    void operator()(const ColumnInfo&, const jit::core::Uuid& value) { to_.text(jit::core::to_text(value)); }
    void operator()(const ColumnInfo&, const jit::core::Span& value) { to_.length(value.microseconds); }
    template <class T>
    void operator()(const ColumnInfo&, const std::vector<T>& values) {
        to_.list(values);
    }
    template <class T>
    void operator()(const ColumnInfo& column, const std::optional<T>& value) {
        if (value)
            (*this)(column, *value);
        else
            to_.null();
    }

private:
    CopyFile& to_;
};

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

class Files {
public:
    explicit Files(std::string directory) : directory_(std::move(directory)) {}
    template <class Body>
    void write(const std::string& name, Body&& body) {
        const std::unique_ptr<std::FILE, Close> file(std::fopen((directory_ + "/" + name + ".copy").c_str(), "w"));
        if (!file) throw std::runtime_error("cannot write " + directory_ + "/" + name + ".copy");
        CopyFile to(file.get());
        body(to);
        to.flush();
    }

private:
    std::string directory_;
};

void write_templates(CopyFile& to, const World& world) {
    for (const auto& tmpl : world.templates) {
        std::vector<std::string> privileges;
        for (const auto& table : tmpl.tables)
            privileges.push_back((tmpl.writes ? "SELECT, INSERT, UPDATE, DELETE ON " : "SELECT ON ") + table.name);
        const std::vector<std::string_view> views(privileges.begin(), privileges.end());
        to.number(tmpl.id)
            .text(tmpl.name)
            .text("life_template_" + tmpl.name)
            .text(tmpl.set_role ? "set_role" : "inherit")
            .flag(tmpl.set_role);
        to.list(views)
            .number(tmpl.approvals)
            .text(tmpl.risk)
            .list(tmpl.second_factor ? std::vector<std::string_view>{"request"} : std::vector<std::string_view>{});
        to.moment(start_of(world.first) + (tmpl.id % 1000) * second).end_row();
    }
}

void write_people(CopyFile& to, const World& world) {
    for (const auto& person : world.people)
        to.text(person.login).text("life_team_" + world.teams[person.team]).flag(person.approves).end_row();
}

// Every team may request templates that are not of high risk; only its own team may request the others.
void write_parts(CopyFile& to, const World& world) {
    for (const auto& tmpl : world.templates) {
        for (const auto& team : world.teams)
            if (tmpl.risk != "high" || team == world.teams[tmpl.team])
                to.number(tmpl.id).text("requester").text("life_team_" + team).end_row();
        for (const auto& person : world.people) {
            if (person.team != tmpl.team) continue;
            if (person.approves) to.number(tmpl.id).text("approver").text(person.login).end_row();
            if (person.on_call) to.number(tmpl.id).text("responder").text(person.login).end_row();
        }
    }
}

void write_request(CopyFile& to, const Story& story, const Request& request, const std::string& node) {
    const auto& world = story.world();
    const bool active = request.activated_at != 0;
    std::vector<std::string> reasons;
    if (!request.rule.empty())
        reasons.push_back("rule \"" + request.rule + "\" allows it without an approval");
    else if (request.break_glass)
        reasons.emplace_back("it is a break-glass: it needs no approval, and a review follows");
    else if (active)
        reasons.push_back("it has the " + std::to_string(request.decisions.size()) +
                          (request.decisions.size() == 1 ? " approval" : " approvals") + " it needs");
    to.number(request.id).number(world.templates[request.tmpl].id).text(world.people[request.person].login);
    to.text(request.reason)
        .text_or_null(request.ticket)
        .length(request.duration)
        .text(request.digest)
        .text_or_null(request.rule);
    to.flag(request.break_glass);
    active ? to.list(std::vector<std::string_view>(reasons.begin(), reasons.end())) : to.null();
    to.text(request.state).moment(request.requested_at).moment(request.requested_at + day_length);
    to.moment_or_null(request.activated_at).moment_or_null(request.ends_at);
    active ? to.text(node) : to.null();
    to.number(static_cast<std::int64_t>(request.decisions.size())).length(request.extended);
    to.moment(request.closed_at)
        .text(request.closed_by)
        .text_or_null(request.close_reason)
        .text(active ? "done" : "none")
        .end_row();
}

void write_decisions(CopyFile& to, const Story& story) {
    for (const auto& request : story.requests)
        for (const auto& decision : request.decisions)
            to.number(request.id)
                .text(story.world().people[decision.person].login)
                .text(decision.approves ? "approve" : "deny")
                .text_or_null(decision.comment)
                .text(request.digest)
                .moment(decision.at)
                .end_row();
}

void write_reviews(CopyFile& to, const Story& story) {
    for (const auto& request : story.requests) {
        if (!request.break_glass) continue;
        to.number(request.id).text(story.world().people[request.person].login).moment(request.requested_at);
        to.moment(request.requested_at + request.duration + 3 * day_length);
        if (request.review)
            to.text(story.world().people[request.review->person].login)
                .text(request.verdict)
                .text(request.review->comment)
                .moment(request.review->at);
        else
            to.null().null().null().null();
        to.end_row();
    }
}

void write_planted(CopyFile& to, const Story& story) {
    for (const auto& planted : story.planted) {
        to.text(planted.rule);
        planted.person ? to.text(story.world().people[*planted.person].login) : to.null();
        planted.request ? to.number(story.requests[*planted.request].id) : to.null();
        to.moment(planted.from).moment(planted.to).text(planted.note).end_row();
    }
}

}  // namespace

void write_tables(const Story& story, const std::string& node, const std::string& directory) {
    Files files(directory);
    files.write("person", [&](CopyFile& to) { write_people(to, story.world()); });
    files.write("template", [&](CopyFile& to) { write_templates(to, story.world()); });
    files.write("part", [&](CopyFile& to) { write_parts(to, story.world()); });
    files.write("request", [&](CopyFile& to) {
        for (const auto& request : story.requests) write_request(to, story, request, node);
    });
    files.write("decision", [&](CopyFile& to) { write_decisions(to, story); });
    files.write("review", [&](CopyFile& to) { write_reviews(to, story); });
    files.write("planted", [&](CopyFile& to) { write_planted(to, story); });
}

void write_record(const Stream& stream, Head head, std::FILE* to) {
    jit::verify::OpenSslHasher hasher;
    CopyFile file(to);
    std::vector<std::byte> bytes;
    stream.run([&](AuditRecord& entry) {
        entry.seq = ++head.seq;
        jit::core::canonical_bytes(entry, bytes);
        head.digest = jit::core::next_head(hasher, head.digest, bytes);
        jit::core::for_each_column(entry, ToCopy(file));
        file.text("\\x" + jit::core::to_hex(head.digest)).end_row();
    });
    file.flush();
    if (std::fflush(to) != 0) throw std::runtime_error("cannot write the record");
}

}  // namespace life
