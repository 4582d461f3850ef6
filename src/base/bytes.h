// Bytes: views, little-endian integers and hexadecimal.
//
// Everything Holdfast writes to a disk or sends over a wire is little-endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace holdfast {

using Bytes = std::string;  // An owned run of bytes; std::string for its small-size storage.
using BytesView = std::string_view;

template <class T>
    requires std::is_integral_v<T>
void append_le(std::string& out, T value) {
    static_assert(std::endian::native == std::endian::little);
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    out.append(raw, sizeof value);
}

// Length as four bytes, then the bytes.
inline void append_sized(std::string& out, std::string_view bytes) {
    append_le(out, static_cast<std::uint32_t>(bytes.size()));
    out.append(bytes);
}

// Takes values off the front of a view. After the first read past the end every further read fails
// too, so a decoder may read a whole record and ask ok() once.
class ByteReader {
  public:
    explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

    template <class T>
        requires std::is_integral_v<T>
    T le() {
        T value{};
        if (rest_.size() < sizeof value) {
            ok_ = false;
            rest_ = {};
            return value;
        }
        std::memcpy(&value, rest_.data(), sizeof value);
        rest_.remove_prefix(sizeof value);
        return value;
    }

    std::string_view take(std::size_t count) {
        if (rest_.size() < count) {
            ok_ = false;
            rest_ = {};
            return {};
        }
        auto taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }

    std::string_view sized() { return take(le<std::uint32_t>()); }

    bool ok() const { return ok_; }
    bool done() const { return ok_ && rest_.empty(); }
    std::string_view rest() const { return rest_; }

  private:
    std::string_view rest_;
    bool ok_ = true;
};

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view hex);

}  // namespace holdfast
