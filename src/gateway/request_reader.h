// Reads requests from the bytes of one connection. Pure: bytes in, requests out.
//
// Boost.Beast parses, but accepts what must not be: folded header lines, bare line feeds, space
// before a colon, a repeated Content-Length, two Hosts or none, Content-Length beside
// Transfer-Encoding. Two readers may frame such a request differently, which is how one request is
// smuggled inside another (RFC 9112, sections 2.2, 3.2, 5.1, 5.2, 6.3). So the head is judged first
// as it came, by check_head(), and only a clean one reaches Beast, which then decodes the body. A
// request that is refused ends its connection: where the next one would begin is not to be trusted.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/message.h"

namespace holdfast::gateway {

struct ReaderLimits {
    std::size_t head_bytes_max = 32 << 10;  // Request line and header, the empty line included.
    std::size_t headers_max = 100;
    std::size_t body_bytes_max = 1 << 20;
};

// The first thing wrong with a head that ends in an empty line.
std::optional<std::string> check_head(std::string_view head, std::size_t headers_max);

class RequestReader {
  public:
    explicit RequestReader(ReaderLimits limits = {});
    ~RequestReader();
    RequestReader(const RequestReader&) = delete;
    RequestReader& operator=(const RequestReader&) = delete;

    struct Complaint {
        int status;  // 400, 413 or 431
        std::string message;
    };
    enum class Progress { head, body, done };  // What is being read.

    // Takes all of `bytes`: up to the end of the request, the rest is kept for the next. Not after
    // done, nor after a complaint.
    std::expected<Progress, Complaint> take(std::string_view bytes);

    // Whether any byte of the present request has come.
    bool begun() const;
    // The client waits for "100 Continue" before it sends the body. True once per request.
    bool take_expects_continue();

    struct Whole {
        Request request;
        bool keep_alive = true;  // The client wants to send another.
        bool chunks = true;      // The client understands a chunked answer (HTTP/1.1).
    };
    // The request, once done. The reader then begins the next one with the bytes that were kept:
    // call take({}) to have them looked at.
    Whole release();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::gateway
