#include "health/utf8.h"

#include <cstdint>

namespace holdfast::health {

namespace {

// The length of the UTF-8 sequence at the front, 0 if there is none.
std::size_t sequence_length(std::string_view bytes) {
    auto lead = static_cast<unsigned char>(bytes.front());
    std::size_t length = lead < 0x80       ? 1
                         : lead >> 5 == 6  ? 2
                         : lead >> 4 == 14 ? 3
                         : lead >> 3 == 30 ? 4
                                           : 0;
    if (length == 0 || bytes.size() < length) return 0;
    std::uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
    for (char c : bytes.substr(1, length - 1)) {
        if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) return 0;
        code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool valid = code >= least[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return valid ? length : 0;
}

}  // namespace

std::string to_utf8(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        auto length = sequence_length(bytes);
        if (length == 0) {
            out += "\xef\xbf\xbd";
            bytes.remove_prefix(1);
        } else {
            out += bytes.substr(0, length);
            bytes.remove_prefix(length);
        }
    }
    return out;
}

}  // namespace holdfast::health
