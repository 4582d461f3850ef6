// Reads one HTTP/1.x response from a stream of bytes, however they are cut. Pure: no I/O.
//
// Strict, because a response that two readers may frame differently is how one answer is taken for
// another: refused are bare line feeds, folded headers, space before the colon, a second
// Content-Length (equal or not), Content-Length beside Transfer-Encoding, codings other than
// "chunked", and Transfer-Encoding in HTTP/1.0. Interim answers (1xx) are skipped, but for 101,
// which nobody here asks for. RFC 9112, sections 2 to 7.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast::http {

struct Header {
    std::string name;   // As sent; compared without regard to case.
    std::string value;  // Without the space around it.

    bool operator==(const Header&) const = default;
};
using Headers = std::vector<Header>;

// The value of the first header of that name, whatever its case. Points into `headers`.
const std::string* find_header(const Headers& headers, std::string_view name);

struct ResponseHead {
    int minor_version = 1;  // Of HTTP/1.
    int status = 0;
    std::string reason;
    Headers headers;
};

class ResponseParser {
  public:
    struct Options {
        std::size_t head_bytes_max = 64 * 1024;  // Also of all interim heads and of the trailers.
        std::size_t header_count_max = 128;
        std::uint64_t body_bytes_max = 16 * 1024 * 1024;
        bool answers_head = false;  // The request was HEAD: whatever the headers say, no body.
    };

    explicit ResponseParser(const Options& options) : options_(options) {}

    struct Step {
        std::size_t consumed = 0;
        std::string_view body;  // Points into what was fed.
    };
    // Takes bytes off the front: at most one piece of body a call, so call again with the rest
    // until nothing is consumed. After done() nothing is. Errc::invalid: not HTTP as above, final.
    // Errc::exhausted: a limit is passed, final.
    Result<Step> feed(std::string_view bytes);

    // The peer has closed. Errc::unavailable if something is missing.
    Result<void> end();

    bool head_done() const { return state_ > State::head; }
    const ResponseHead& head() const { return head_; }  // Whole once head_done().
    bool done() const { return state_ == State::done; }
    std::uint64_t body_bytes() const { return body_bytes_; }

  private:
    enum class State {
        head,
        sized_body,
        body_until_close,
        chunk_size,
        chunk_body,
        chunk_end,
        trailers,
        done,
        failed,
    };

    Result<Step> step(std::string_view bytes);
    Result<Step> take_head(std::string_view bytes);
    Result<Step> take_body(std::string_view bytes);
    Result<Step> take_chunk_size(std::string_view bytes);
    Result<Step> take_chunk_end(std::string_view bytes);
    Result<Step> take_trailers(std::string_view bytes);
    Result<std::optional<std::string>> take_line(std::string_view& bytes, std::size_t limit);
    Result<void> begin_body();
    Result<void> count_head(std::size_t bytes);

    Options options_;
    State state_ = State::head;
    ResponseHead head_;
    std::string line_;  // The part of a line that has arrived.
    bool status_line_done_ = false;
    std::size_t head_bytes_ = 0;
    std::uint64_t missing_ = 0;  // Of a sized body, or of the current chunk.
    std::uint64_t body_bytes_ = 0;
};

}  // namespace holdfast::http
