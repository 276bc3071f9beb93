#include "jit_access/core/chain.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace jit::core {

namespace {

constexpr std::size_t max_findings = 20;

std::optional<std::int64_t> number_from(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string_view next_word(std::string_view& line) {
    const auto end = std::min(line.find(' '), line.size());
    const auto word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

// Returns the value of a key in JSON that to_detail() has written. For any other text, the result does not parse.
std::string_view value_in(std::string_view detail, std::string_view key) {
    const auto at = detail.find('"' + std::string(key) + "\": ");
    if (at == std::string_view::npos) return {};
    auto value = detail.substr(at + key.size() + 4);
    value = value.substr(0, value.find_first_of(",}"));
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    return value;
}

}  // namespace

Digest first_head(Hasher& hasher, const Uuid& chain) {
    return hasher.hash({bytes_of("jit_access chain 1\n"), bytes_of(chain)});
}

Digest next_head(Hasher& hasher, const Digest& head, Bytes bytes) {
    return hasher.hash({bytes_of("jit_access record 1\n"), head, bytes});
}

Digest checkpoint_mac(Hasher& hasher, Bytes key, const Checkpoint& checkpoint) {
    const auto seq = bytes_in_order<std::endian::big>(checkpoint.seq);
    const auto at = bytes_in_order<std::endian::big>(checkpoint.at);
    return hasher.mac(key,
                      {bytes_of("jit_access checkpoint 1\n"), bytes_of(checkpoint.chain), seq, at, checkpoint.head});
}

Digest dropped_mac(Hasher& hasher, Bytes key, const Uuid& chain, const Dropped& dropped) {
    const auto last = bytes_in_order<std::endian::big>(dropped.last);
    return hasher.mac(key, {bytes_of("jit_access dropped 1\n"), bytes_of(chain), last, dropped.head});
}

std::string to_detail(const Dropped& dropped) {
    return "{\"mac\": \"" + to_hex(dropped.mac) + "\", \"head\": \"" + to_hex(dropped.head) +
           "\", \"last\": " + std::to_string(dropped.last) + ", \"first\": " + std::to_string(dropped.first) + "}";
}

std::optional<Dropped> dropped_from(Bytes bytes) {
    const auto kind = column_of(bytes, "kind");
    if (!kind || text_of(*kind) != dropped_kind) return std::nullopt;
    const auto column = column_of(bytes, "detail");
    if (!column) return std::nullopt;
    const auto detail = text_of(*column);
    const auto first = number_from(value_in(detail, "first"));
    const auto last = number_from(value_in(detail, "last"));
    const auto head = array_from_hex<digest_size>(value_in(detail, "head"));
    const auto mac = array_from_hex<digest_size>(value_in(detail, "mac"));
    if (!first || !last || !head || !mac) return std::nullopt;
    return Dropped{*first, *last, *head, *mac};
}

std::string to_line(const Checkpoint& checkpoint) {
    return to_text(checkpoint.chain) + ' ' + std::to_string(checkpoint.seq) + ' ' + std::to_string(checkpoint.at) +
           ' ' + to_hex(checkpoint.head) + ' ' + to_hex(checkpoint.mac);
}

std::optional<Checkpoint> checkpoint_from_line(std::string_view line) {
    const auto chain = uuid_from_text(next_word(line));
    const auto seq = number_from(next_word(line));
    const auto at = number_from(next_word(line));
    const auto head = array_from_hex<digest_size>(next_word(line));
    const auto mac = array_from_hex<digest_size>(next_word(line));
    if (!chain || !seq || !at || !head || !mac || !line.empty()) return std::nullopt;
    return Checkpoint{*chain, *seq, *at, *head, *mac};
}

Verifier::Verifier(Hasher& hasher, const Uuid& chain, std::int64_t before, const Digest& head, Bytes key)
    : hasher_(hasher), chain_(chain), before_(before), last_(before), head_(head), key_(key.begin(), key.end()) {}

void Verifier::report(std::int64_t seq, std::string message) {
    if (findings_.size() < max_findings) findings_.push_back({seq, std::move(message)});
}

void Verifier::doubt(std::string note) {
    if (doubts_.size() < max_findings) doubts_.push_back("unauthenticated: " + std::move(note));
}

bool Verifier::add_checkpoint(const Checkpoint& checkpoint, const std::string& source, Kept kept) {
    const bool is_false = !key_.empty() && checkpoint_mac(hasher_, key_, checkpoint) != checkpoint.mac;
    if (is_false && kept == Kept::outside) {
        ++forged_[source];
        return false;
    }
    if (!is_authenticated(kept)) ++unauthenticated_[source];
    if (checkpoint.chain != chain_) {
        if (!other_chains_.insert(checkpoint.chain).second) return false;
        auto message = source + " knows another chain, " + to_text(checkpoint.chain);
        if (is_authenticated(kept))
            report(checkpoint.seq, message + ": the extension was dropped and created anew");
        else
            doubt(std::move(message));
        return false;
    }
    if (is_false) {
        report(checkpoint.seq, "a checkpoint in " + source + " was not made with the key");
        return false;
    }
    known_heads_.emplace(checkpoint.seq, KnownHead{checkpoint.head, source, kept});
    if (checkpoint.seq == last_) compare_with_known(last_, head_);
    return true;
}

Verdict Verifier::verdict() const {
    if (!findings_.empty()) return Verdict::broken;
    return anchored_to_ > 0 ? Verdict::sound : Verdict::self_consistent;
}

std::vector<std::string> Verifier::notes() const {
    std::vector<std::string> notes;
    for (const auto& [source, count] : forged_)
        notes.push_back("forged: " + source + " has " + std::to_string(count) +
                        (count == 1 ? " checkpoint" : " checkpoints") + " that the key did not make");
    for (const auto& [source, count] : unauthenticated_)
        notes.push_back("unauthenticated: " + source + " has " + std::to_string(count) +
                        (count == 1 ? " checkpoint" : " checkpoints") + ", and there is no key to check them with");
    notes.insert(notes.end(), doubts_.begin(), doubts_.end());
    return notes;
}

void Verifier::add_dropped(Bytes bytes) { dropped_ = dropped_from(bytes); }

bool Verifier::compare_with_known(std::int64_t seq, const Digest& head) {
    bool is_anchored = false;
    const auto [from, to] = known_heads_.equal_range(seq);
    for (auto known = from; known != to; ++known) {
        const auto& [known_head, source, kept] = known->second;
        if (known_head == head) {
            ++matching_checkpoints_;
            is_anchored |= kept == Kept::outside && is_authenticated(kept);
        } else if (is_authenticated(kept)) {
            report(seq, "the record does not match a checkpoint in " + source + ": it was rewritten, or has branched");
        } else {
            doubt("record " + std::to_string(seq) + " does not match a checkpoint in " + source);
        }
    }
    return is_anchored;
}

void Verifier::add_record(std::int64_t seq, Bytes bytes, const Digest& stored_head) {
    ++records_;
    if (seq <= last_) {
        report(seq, "duplicate or out of order");
        return;
    }
    const bool follows = seq - 1 == last_;
    if (follows && next_head(hasher_, head_, bytes) != stored_head)
        report(seq, "this record or an earlier one was changed");
    else if (!follows && first_)
        report(last_ + 1, "missing, up to the one before " + std::to_string(seq));
    else if (const auto dropped = dropped_from(bytes))
        dropped_ = dropped;
    if (!first_) keep_first(seq, bytes, stored_head);
    // Continues from the stored head, so that one change causes one finding and not a finding for every later record.
    last_ = seq;
    head_ = stored_head;
    if (compare_with_known(last_, head_)) anchored_to_ = last_;
}

// Records before the first one may have been dropped because of their age. Only a later record says so. The first
// record is therefore checked last.
void Verifier::keep_first(std::int64_t seq, Bytes bytes, const Digest& stored_head) {
    first_ = FirstRecord{seq, {}, stored_head};
    if (seq - 1 != before_) first_->bytes.assign(bytes.begin(), bytes.end());
}

bool Verifier::was_dropped_before(std::int64_t seq) const { return dropped_ && dropped_->last == seq - 1; }

void Verifier::check_beginning() {
    if (!first_) return;
    const auto begins = first_->seq;
    if (dropped_ && dropped_->last >= begins) {
        report(begins, "there, although the record says that it was dropped, up to " + std::to_string(dropped_->last));
        return;
    }
    if (begins - 1 == before_) return;
    if (!was_dropped_before(begins)) {
        // This finding is put before the others, because it is about the first records.
        const auto from = std::max(before_, dropped_ ? dropped_->last : 0) + 1;
        findings_.insert(findings_.begin(), {from, "missing, up to the one before " + std::to_string(begins)});
        if (findings_.size() > max_findings) findings_.pop_back();
        return;
    }
    dropped_to_ = dropped_->last;
    if (!key_.empty() && dropped_mac(hasher_, key_, chain_, *dropped_) != dropped_->mac)
        report(begins, "the records before it were dropped, and the record that says so was not made with the key");
    compare_with_known(dropped_->last, dropped_->head);
    if (next_head(hasher_, dropped_->head, first_->bytes) != first_->head)
        report(begins, "this record or an earlier one was changed");
}

void Verifier::end_of_record(std::int64_t to, std::optional<std::int64_t> next) {
    check_beginning();
    if (last_ >= to) return;
    if (next) {
        if (!first_ && was_dropped_before(*next))
            dropped_to_ = dropped_->last;
        else
            report(last_ + 1, "missing, up to the one before " + std::to_string(*next));
        return;
    }
    report_cut();
}

// Looks for checkpoints of records after the last record found. The newest authenticated checkpoint is reported as a
// finding. If there are newer unauthenticated checkpoints, only the newest of them becomes a note.
void Verifier::report_cut() {
    bool is_doubted = false;
    for (auto known = known_heads_.rbegin(); known != known_heads_.rend() && known->first > last_; ++known) {
        auto message = "missing: the record ends here, and a checkpoint in " + known->second.source +
                       " knows it up to " + std::to_string(known->first);
        if (is_authenticated(known->second.kept)) {
            report(last_ + 1, std::move(message));
            return;
        }
        if (!std::exchange(is_doubted, true)) doubt("record " + std::to_string(last_ + 1) + ": " + message);
    }
}

}  // namespace jit::core
