// Names, limits of texts, and the checks of user input: reasons, tickets, comments, template names. A text is checked
// once, by the function that takes it as an argument.
#pragma once

#include "jit_access/core/zone.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jit::core {

inline constexpr std::size_t max_reason = 2000;  // bytes
inline constexpr std::size_t max_person_name = 200;
inline constexpr std::size_t max_template_name = 40;  // bytes; leaves room for the prefix of the role
inline constexpr std::string_view template_role_prefix = "jit_template_";
inline constexpr std::string_view grant_role_prefix = "jit_grant_";
inline constexpr std::string_view gate_role_prefix = "jit_gate_";
inline constexpr std::string_view login_role_prefix = "jit_login_";
inline constexpr std::string_view quarantine_role_prefix = "jit_quarantine_";
inline constexpr std::string_view drill_role_prefix = "jit_drill_";
inline constexpr std::string_view drill_template = "jit_drill";
inline constexpr std::string_view managed_role_prefix = "jit_";
inline constexpr std::string_view marker_role = "jit_marker";
inline constexpr std::string_view admin_role = "jit_admin";
inline constexpr std::string_view auditor_role = "jit_auditor";
inline constexpr std::string_view monitor_role = "jit_monitor";

static_assert(template_role_prefix.size() + max_template_name <= 63, "a role name has 63 bytes");

[[nodiscard]] std::string join(const std::vector<std::string>& items, std::string_view separator = ", ");

// Returns the reason why a text entered by a user is refused, as a DETAIL sentence; nothing if the text is accepted.
// Hidden characters (unicode.hpp: controls including tab and newline, bidirectional overrides, characters without width
// or glyph) are refused, because they could make a reason or an item of a template look like a different text to an
// approver or auditor. A text that is only white space counts as empty.
[[nodiscard]] std::optional<std::string> fault_in_text(std::string_view text, std::size_t longest = max_reason);

// The same, but checks only the characters and not whether the text is empty or too long.
[[nodiscard]] std::optional<std::string> fault_in_characters(std::string_view text);

// The same for the name of a template: lower-case letters, digits, underscores and hyphens, beginning with a letter.
[[nodiscard]] std::optional<std::string> fault_in_template_name(std::string_view name);

}  // namespace jit::core
