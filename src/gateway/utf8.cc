#include <cstdint>

#include "gateway/shown.h"

namespace holdfast::gateway {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

// Length of the well-formed sequence that begins here, or 0 (RFC 3629, section 4).
std::size_t sequence_bytes(std::string_view bytes) {
    auto at = [&](std::size_t i) -> std::uint8_t {
        return i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : std::uint8_t{0};
    };
    auto follows = [&](std::size_t i) { return (at(i) & 0xC0) == 0x80; };
    auto first = at(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        bool overlong = first == 0xE0 && at(1) < 0xA0;
        bool surrogate = first == 0xED && at(1) > 0x9F;
        return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        bool overlong = first == 0xF0 && at(1) < 0x90;
        bool beyond = first == 0xF4 && at(1) > 0x8F;
        return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

}  // namespace

std::string to_utf8(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    while (!bytes.empty()) {
        auto length = sequence_bytes(bytes);
        out += length == 0 ? replacement : bytes.substr(0, length);
        bytes.remove_prefix(length == 0 ? 1 : length);
    }
    return out;
}

}  // namespace holdfast::gateway
