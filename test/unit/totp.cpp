// One-time codes: the vectors of the RFCs through the functions that the server uses, skew, single use and lock; and
// the functions that seal and show secrets.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE totp
#include "jit_access/core/totp.hpp"

#include <boost/test/unit_test.hpp>
#include <qrencode.h>

#include "jit_access/pg/oath.hpp"
#include "jit_access/pg/qr_code.hpp"
#include "jit_access/pg/seal.hpp"

using namespace jit;
using core::Admission;
using core::CodeHistory;
using core::CodeKind;

namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text(const core::Code6& code) { return {code.begin(), code.end()}; }

constexpr std::string_view rfc_secret = "12345678901234567890";
constexpr std::int64_t minute = 60'000'000;

// The step of a code, as the server determines it.
std::optional<std::uint64_t> step_of(std::string_view code, std::int64_t unix_seconds) {
    return core::step_of_code(code, core::step_at(unix_seconds),
                              [](std::uint64_t step) { return pg::one_time_code(bytes(rfc_secret), step); });
}

std::string code_at(std::int64_t unix_seconds) {
    return text(pg::one_time_code(bytes(rfc_secret), core::step_at(unix_seconds)));
}

}  // namespace

// RFC 6238, appendix B, SHA-1; of its eight digits the last six.
BOOST_AUTO_TEST_CASE(vectors_of_rfc_6238) {
    const std::pair<std::int64_t, std::string> vectors[] = {{59, "94287082"},         {1111111109, "07081804"},
                                                            {1111111111, "14050471"}, {1234567890, "89005924"},
                                                            {2000000000, "69279037"}, {20000000000, "65353130"}};
    for (const auto& [at, digits] : vectors) {
        BOOST_TEST(code_at(at) == digits.substr(2));
        BOOST_TEST(step_of(digits.substr(2), at).value() == static_cast<std::uint64_t>(at / 30));
    }
}

// RFC 4226, appendix D.
BOOST_AUTO_TEST_CASE(vectors_of_rfc_4226) {
    const std::string codes[] = {"755224", "287082", "359152", "969429", "338314",
                                 "254676", "287922", "162583", "399871", "520489"};
    for (std::uint64_t counter = 0; counter < std::size(codes); ++counter)
        BOOST_TEST(text(pg::one_time_code(bytes(rfc_secret), counter)) == codes[counter]);
}

BOOST_AUTO_TEST_CASE(a_code_may_be_one_step_early_or_late) {
    constexpr std::int64_t now = 1'234'567'890;
    for (const std::int64_t off : {-30, 0, 30}) BOOST_TEST(step_of(code_at(now + off), now).has_value());
    for (const std::int64_t off : {-3600, -90, -60, 60, 90, 3600})
        BOOST_TEST(!step_of(code_at(now + off), now).has_value());
    BOOST_TEST(core::step_at(59) == 1U);
    BOOST_TEST(core::step_at(60) == 2U);
    BOOST_TEST(core::step_at(-5) == 1U);
}

BOOST_AUTO_TEST_CASE(a_code_counts_once) {
    CodeHistory history;
    BOOST_TEST((core::admit_code(history, 100, 0, 0) == Admission::accepted));
    BOOST_TEST((core::admit_code(history, 100, 0, 0) == Admission::wrong));
    BOOST_TEST((core::admit_code(history, 99, 0, 0) == Admission::wrong));
    BOOST_TEST((core::admit_code(history, 101, 0, 0) == Admission::accepted));
    BOOST_TEST(history.last_step == 101U);
}

BOOST_AUTO_TEST_CASE(a_code_of_before_the_start_does_not_count) {
    CodeHistory history;
    BOOST_TEST((core::admit_code(history, 100, 100, 0) == Admission::wrong));
    BOOST_TEST((core::admit_code(history, 101, 100, 0) == Admission::accepted));
}

BOOST_AUTO_TEST_CASE(wrong_codes_lock_out_for_longer_and_longer) {
    const std::pair<std::uint32_t, std::int64_t> waits[] = {{0, 0},   {1, 0},   {4, 0},   {5, 1},
                                                            {6, 2},   {7, 4},   {8, 8},   {9, 16},
                                                            {10, 32}, {11, 60}, {12, 60}, {4'000'000'000, 60}};
    for (const auto& [failures, minutes] : waits) BOOST_TEST(core::lock_after(failures) == minutes * minute);

    CodeHistory history;
    for (int i = 0; i < 5; ++i) BOOST_TEST((core::admit_code(history, std::nullopt, 0, 1000) == Admission::wrong));
    BOOST_TEST((core::admit_code(history, 100, 0, 1000) == Admission::locked));
    BOOST_TEST((core::admit_recovery(history, true, 1000 + minute - 1) == Admission::locked));
    BOOST_TEST(history.failures == 5U);  // attempts during a lock are not counted
    BOOST_TEST((core::admit_code(history, std::nullopt, 0, 1000 + minute) == Admission::wrong));
    BOOST_TEST((core::admit_code(history, 100, 0, 1000 + 3 * minute - 1) == Admission::locked));
    BOOST_TEST((core::admit_code(history, 100, 0, 1000 + 3 * minute) == Admission::accepted));
    BOOST_TEST(history.failures == 0U);
    BOOST_TEST((core::admit_recovery(history, false, 1000 + 3 * minute) == Admission::wrong));
    BOOST_TEST((core::admit_recovery(history, true, 1000 + 3 * minute) == Admission::accepted));
}

BOOST_AUTO_TEST_CASE(codes_have_a_strict_form) {
    for (const auto* good : {"000000", "123456", "999999"})
        BOOST_TEST((core::kind_of_code(good) == CodeKind::one_time));
    BOOST_TEST((core::kind_of_code("abcd-efgh-2345-wxyz") == CodeKind::recovery));
    for (const auto* bad :
         {"", "12345", "1234567", " 123456", "123456 ", "12 456", "12345a", "+12345", "12345\n", "-12345",
          "\xD9\xA1\xD9\xA2\xD9\xA3", "abcd-efgh-2345-wxy", "abcd-efgh-2345-wxyz ", "ABCD-efgh-2345-wxyz",
          "abcdeefghe2345ewxyz", "abcd-efgh-2345-wxy1", "abcd-efgh-2345-wxy\n"})
        BOOST_TEST((core::kind_of_code(bad) == CodeKind::malformed));
    BOOST_TEST((core::kind_of_code(std::string_view("12345\0", 6)) == CodeKind::malformed));
}

BOOST_AUTO_TEST_CASE(recovery_codes_are_base_32) {
    std::array<std::byte, core::recovery_bytes> random{};
    BOOST_TEST(core::recovery_code(random) == "aaaa-aaaa-aaaa-aaaa");
    random.fill(std::byte{0xFF});
    BOOST_TEST(core::recovery_code(random) == "7777-7777-7777-7777");
    for (std::size_t i = 0; i < random.size(); ++i) random[i] = static_cast<std::byte>(i * 37 + 11);
    const auto code = core::recovery_code(random);
    BOOST_TEST((core::kind_of_code(code) == CodeKind::recovery));
    std::string plain;
    for (const char c : code)
        if (c != '-') plain += static_cast<char>(c >= 'a' ? c - 'a' + 'A' : c);
    BOOST_TEST(plain == pg::base32(random));
}

BOOST_AUTO_TEST_CASE(codes_are_compared_whole) {
    const core::Code6 code{'1', '2', '3', '4', '5', '6'};
    BOOST_TEST(core::same_code(code, "123456"));
    for (const auto* other : {"023456", "123457", "12345", "1234567", ""}) BOOST_TEST(!core::same_code(code, other));
}

BOOST_AUTO_TEST_CASE(the_uri_is_what_authenticators_read) {
    BOOST_TEST(pg::otpauth_uri("jit_access", "alice@main", bytes(rfc_secret)) ==
               "otpauth://totp/jit_access:alice%40main?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=jit_access&"
               "algorithm=SHA1&digits=6&period=30");
    BOOST_TEST(
        pg::otpauth_uri("i", "a b&c?\n\xC3\xA4", bytes("x")).starts_with("otpauth://totp/i:a%20b%26c%3F%0A%C3%A4?"));
}

// The drawing, read back, is the symbol of the library with the quiet zone around it.
BOOST_AUTO_TEST_CASE(the_drawing_is_the_code) {
    const std::string uri = pg::otpauth_uri("jit_access", "alice", bytes(rfc_secret));
    QRcode* code = QRcode_encodeData(static_cast<int>(uri.size()), reinterpret_cast<const unsigned char*>(uri.data()),
                                     0, QR_ECLEVEL_L);
    BOOST_REQUIRE(code != nullptr);
    const int width = code->width + 8;
    std::string expected;
    for (int row = 0; row < width; ++row)
        for (int column = 0; column < width; ++column) {
            const int y = row - 4, x = column - 4;
            const bool inside = y >= 0 && x >= 0 && y < code->width && x < code->width;
            expected += inside && (code->data[y * code->width + x] & 1) != 0 ? '1' : '0';
        }
    QRcode_free(code);

    std::string ascii;
    const auto drawn = pg::qr_code(uri, pg::Drawing::ascii);
    for (std::size_t i = 0; i < drawn.size(); ++i) {
        if (drawn[i] == '\n') continue;
        ascii += drawn[i] == '#' ? '0' : '1';
        ++i;
    }
    BOOST_TEST(ascii == expected);

    std::vector<std::string> rows(2);
    std::string blocks;
    const auto half = pg::qr_code(uri, pg::Drawing::half_blocks);
    const auto end_of_line = [&] {
        blocks += rows[0] + rows[1];
        rows.assign(2, "");
    };
    for (std::size_t i = 0; i < half.size();) {
        if (half[i] == '\n') {
            end_of_line();
            ++i;
            continue;
        }
        const auto block = half[i] == ' ' ? std::string(" ") : half.substr(i, 3);
        i += block.size();
        rows[0] += block == "\u2588" || block == "\u2580" ? '0' : '1';
        rows[1] += block == "\u2588" || block == "\u2584" ? '0' : '1';
    }
    end_of_line();
    BOOST_TEST(blocks.substr(0, expected.size()) == expected);
}

BOOST_AUTO_TEST_CASE(a_sealed_secret_opens_only_with_its_key_and_its_owner) {
    pg::SealKey key{};
    key[0] = std::byte{1};
    pg::SealKey other = key;
    other[31] = std::byte{1};
    const pg::Nonce nonce{};
    const auto sealed = pg::seal(key, nonce, bytes("alice"), bytes(rfc_secret));
    BOOST_TEST(sealed.size() == 12 + rfc_secret.size() + 16);
    const auto opened = pg::open_sealed(key, bytes("alice"), sealed);
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST(std::string(reinterpret_cast<const char*>(opened->data()), opened->size()) == rfc_secret);
    BOOST_TEST(!pg::open_sealed(key, bytes("bob"), sealed).has_value());
    BOOST_TEST(!pg::open_sealed(other, bytes("alice"), sealed).has_value());
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto changed = sealed;
        changed[i] ^= std::byte{1};
        BOOST_TEST(!pg::open_sealed(key, bytes("alice"), changed).has_value());
        BOOST_TEST(!pg::open_sealed(key, bytes("alice"), std::span(sealed).first(i)).has_value());
    }
}
