#include "base/nearest.h"

#include <algorithm>
#include <vector>

namespace holdfast {

namespace {

// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
        std::swap(before_last, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::optional<std::string_view> nearest_word(std::string_view typed,
                                             std::span<const std::string_view> known) {
    constexpr std::size_t typed_bytes_max = 256;  // Longer words are nobody's slip of the finger.
    if (typed.empty() || typed.size() > typed_bytes_max) return std::nullopt;
    std::size_t distance_max = std::max<std::size_t>(2, typed.size() / 3);
    std::optional<std::string_view> nearest;
    for (auto word : known) {
        std::size_t distance = edit_distance(typed, word);
        bool any_word_would_do = distance >= std::max(typed.size(), word.size());
        if (distance > distance_max || any_word_would_do) continue;
        nearest = word;
        if (distance == 0) break;
        distance_max = distance - 1;
    }
    return nearest;
}

}  // namespace holdfast
