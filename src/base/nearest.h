// "Did you mean ...?": the known word nearest to what was typed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace holdfast {

// By Damerau-Levenshtein distance (optimal string alignment); nothing if none is within a third of
// the word's length, at least 2. Ties go to the earlier word.
std::optional<std::string_view> nearest_word(std::string_view typed,
                                             std::span<const std::string_view> known);

}  // namespace holdfast
