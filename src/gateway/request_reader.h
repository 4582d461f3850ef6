// Reads requests from the bytes of one connection. Pure: bytes in, requests out.
//
// Our own and not Boost.Beast's parser, which accepts folded lines, bare line feeds, a repeated
// Content-Length, two Hosts or none, and reads a chunked body's trailer differently depending on
// how its bytes arrive: a fuzzer found that. The head is request_head.h's; a body is as long as its
// Content-Length says, or in chunks, without extensions and trailers, which no client of this
// interface sends. A request that is refused ends its connection: where the next one would begin is
// not to be trusted.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/message.h"
#include "gateway/request_head.h"

namespace holdfast::gateway {

struct ReaderLimits {
    std::size_t head_bytes_max = 32 << 10;  // Request line and header, the empty line included.
    std::size_t headers_max = 100;
    std::size_t body_bytes_max = 1 << 20;
};

class RequestReader {
  public:
    RequestReader() = default;
    explicit RequestReader(ReaderLimits limits) : limits_(limits) {}

    struct Complaint {
        int status;  // 400, 413 or 431
        std::string message;
    };
    enum class Progress { head, body, done };  // What is being read.
    using Outcome = std::expected<Progress, Complaint>;

    // Takes all of `bytes`: up to the end of the request, the rest is kept for the next. Not after
    // done, nor after a complaint.
    Outcome take(std::string_view bytes);

    // Whether any byte of the present request has come.
    bool begun() const { return head_ || !pending_.empty(); }
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
    Outcome read_head();
    Outcome read_body();
    Outcome read_chunks();
    std::expected<std::optional<std::string>, Complaint> take_line(std::size_t bytes_max);
    Outcome begin_chunk(std::string_view line);
    Outcome too_large() const;

    enum class Chunk { size, data, data_end, last_end };

    ReaderLimits limits_;
    std::string pending_;  // Bytes that have not been made sense of.
    std::size_t searched_ = 0;
    std::optional<RequestHead> head_;
    Chunk chunk_ = Chunk::size;
    std::size_t chunk_left_ = 0;
    bool done_ = false;
};

}  // namespace holdfast::gateway
