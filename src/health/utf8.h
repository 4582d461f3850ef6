// Bytes that anybody may have written, made fit for JSON.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::health {

// With U+FFFD in the place of each byte that is not part of well-formed UTF-8 (RFC 3629).
std::string to_utf8(std::string_view bytes);

}  // namespace holdfast::health
