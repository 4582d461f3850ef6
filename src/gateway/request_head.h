// The head of a request: request line and header, judged and taken apart. Pure.
//
// Strict where two readers might frame a request differently, which is how one request is smuggled
// inside another (RFC 9112, sections 2.2, 3.2, 5.1, 5.2 and 6.3): refused are folded header lines,
// bare line feeds, space before a colon, two Content-Lengths (equal or not) or Hosts, none of the
// latter, Content-Length beside Transfer-Encoding, codings other than "chunked", and targets in
// another form than a path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "gateway/message.h"

namespace holdfast::gateway {

struct RequestHead {
    Request request;               // Its body is still to come.
    std::uint64_t body_bytes = 0;  // Unless in chunks.
    bool in_chunks = false;
    bool old = false;  // HTTP/1.0
    bool keep_alive = true;
    bool expects_continue = false;
};

// `head` ends in the empty line. The error is the first thing wrong, in words.
std::expected<RequestHead, std::string> parse_head(std::string_view head, std::size_t headers_max);

}  // namespace holdfast::gateway
