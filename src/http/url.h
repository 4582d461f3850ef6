// A URL as Holdfast's own client takes it: http and https, absolute, nothing hidden in it.
//
// A subset of RFC 3986 on purpose. User information is refused (it ends up in logs), so are spaces,
// control characters and anything that is not ASCII: what is parsed here is written into a request
// line, and a URL from a service's file must not be able to write a second one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::http {

struct Url {
    enum class Scheme { http, https };
    Scheme scheme = Scheme::http;
    std::string host;          // A name in lower case, or an address; IPv6 without its brackets.
    std::uint16_t port = 80;   // 443 for https, unless the URL says otherwise.
    std::string target = "/";  // Path and query, percent-encoded as they came; begins with '/'.

    // The value of the Host header: brackets around IPv6, the port only if it is not the scheme's.
    std::string authority() const;

    bool operator==(const Url&) const = default;
};

// Errc::invalid says what is wrong and shows an example. At most 2,048 bytes. A fragment is
// dropped: it is not the server's business.
Result<Url> parse_url(std::string_view text);
std::string format_url(const Url& url);

// Whether the text may stand in a request line as it is: begins with '/', holds visible ASCII only.
bool is_request_target(std::string_view text);

}  // namespace holdfast::http
