#include "http/response_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace holdfast::http {

namespace {

constexpr std::size_t chunk_line_bytes_max = 4096;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// RFC 9110, section 5.6.2.
bool is_token_char(char c) {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || marks.contains(c);
}

// Visible ASCII, space, tab, and the bytes beyond ASCII that old servers send.
bool is_field_char(char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, to_lower, to_lower);
}

std::string_view trim(std::string_view text) {
    auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Text of a peer, safe to show.
std::string shown(std::string_view text) {
    std::string out(text.substr(0, 60));
    for (char& c : out) {
        if (c < ' ' || c > '~') c = '?';
    }
    return out;
}

std::unexpected<Error> not_http(std::string why) {
    return fail(Errc::invalid, "the answer is not proper HTTP/1.1: " + std::move(why));
}

Result<void> parse_status_line(std::string_view line, ResponseHead& head) {
    bool form = line.size() >= 12 && line.starts_with("HTTP/1.") && is_digit(line[7]) &&
                line[8] == ' ' && std::ranges::all_of(line.substr(9, 3), is_digit) &&
                (line.size() == 12 || line[12] == ' ');
    if (!form) return not_http(fmt::format("it begins with \"{}\"", shown(line)));
    if (!std::ranges::all_of(line.substr(12), is_field_char)) {
        return not_http("there are control characters in its first line");
    }
    head = {};
    head.minor_version = line[7] - '0';
    std::from_chars(line.data() + 9, line.data() + 12, head.status);
    if (head.status < 100 || head.status > 599) {
        return not_http(fmt::format("its status is {}", head.status));
    }
    head.reason = line.size() > 13 ? line.substr(13) : std::string_view();
    return {};
}

Result<Header> parse_header(std::string_view line) {
    if (line.front() == ' ' || line.front() == '\t') return not_http("it has a folded header");
    auto colon = line.find(':');
    auto name = line.substr(0, colon);
    if (colon == std::string_view::npos || name.empty() ||
        !std::ranges::all_of(name, is_token_char)) {
        return not_http(fmt::format("it has the header line \"{}\"", shown(line)));
    }
    auto value = trim(line.substr(colon + 1));
    if (!std::ranges::all_of(value, is_field_char)) {
        return not_http(fmt::format("there are control characters in its header {}", name));
    }
    return Header{std::string(name), std::string(value)};
}

struct Framing {
    bool chunked = false;
    std::optional<std::uint64_t> length;
};

Result<Framing> parse_framing(const ResponseHead& head) {
    Framing framing;
    for (const auto& [name, value] : head.headers) {
        if (same_name(name, "transfer-encoding")) {
            if (framing.chunked) return not_http("it has two Transfer-Encoding headers");
            if (head.minor_version == 0) return not_http("Transfer-Encoding in HTTP/1.0");
            if (!same_name(value, "chunked")) {
                return not_http(fmt::format("its Transfer-Encoding is \"{}\"", shown(value)));
            }
            framing.chunked = true;
        }
        if (same_name(name, "content-length")) {
            if (framing.length) return not_http("it has two Content-Length headers");
            std::uint64_t length = 0;
            auto end = value.data() + value.size();
            auto [stop, error] = std::from_chars(value.data(), end, length);
            if (error != std::errc{} || stop != end) {
                return not_http(fmt::format("its Content-Length is \"{}\"", shown(value)));
            }
            framing.length = length;
        }
    }
    if (framing.chunked && framing.length) {
        return not_http("it has both Content-Length and Transfer-Encoding");
    }
    return framing;
}

}  // namespace

const std::string* find_header(const Headers& headers, std::string_view name) {
    auto found = std::ranges::find_if(
        headers, [&](const Header& header) { return same_name(header.name, name); });
    return found == headers.end() ? nullptr : &found->value;
}

Result<ResponseParser::Step> ResponseParser::feed(std::string_view bytes) {
    HF_CHECK(state_ != State::failed);
    auto taken = step(bytes);
    if (!taken) state_ = State::failed;
    return taken;
}

// Goes on through what has no body to hand out, so that a call without progress means "need more".
Result<ResponseParser::Step> ResponseParser::step(std::string_view bytes) {
    std::size_t consumed = 0;
    for (;;) {
        auto before = state_;
        auto rest = bytes.substr(consumed);
        Result<Step> taken;
        switch (state_) {
            case State::head:
                taken = take_head(rest);
                break;
            case State::chunk_size:
                taken = take_chunk_size(rest);
                break;
            case State::chunk_end:
                taken = take_chunk_end(rest);
                break;
            case State::trailers:
                taken = take_trailers(rest);
                break;
            case State::done:
                return Step{consumed, {}};
            default:
                taken = take_body(rest);
                break;
        }
        if (!taken) return taken;
        consumed += taken->consumed;
        if (!taken->body.empty()) return Step{consumed, taken->body};
        if (state_ == before && (taken->consumed == 0 || consumed == bytes.size())) {
            return Step{consumed, {}};
        }
    }
}

Result<void> ResponseParser::count_head(std::size_t bytes) {
    head_bytes_ += bytes;
    if (head_bytes_ > options_.head_bytes_max) {
        return fail(Errc::exhausted, fmt::format("the answer's headers are longer than {} bytes",
                                                 options_.head_bytes_max));
    }
    return {};
}

// A line without its CRLF, once it has all arrived; takes it off `bytes`.
Result<std::optional<std::string>> ResponseParser::take_line(std::string_view& bytes,
                                                             std::size_t limit) {
    auto feed = bytes.find('\n');
    auto part = bytes.substr(0, feed == std::string_view::npos ? feed : feed + 1);
    if (line_.size() + part.size() > limit) {
        return fail(Errc::exhausted,
                    fmt::format("a line of the answer is longer than {} bytes", limit));
    }
    line_.append(part);
    bytes.remove_prefix(part.size());
    if (feed == std::string_view::npos) return std::nullopt;
    if (!line_.ends_with("\r\n")) return not_http("a line ends without a carriage return");
    line_.resize(line_.size() - 2);
    return std::exchange(line_, {});
}

Result<ResponseParser::Step> ResponseParser::take_head(std::string_view bytes) {
    auto rest = bytes;
    while (!rest.empty()) {
        auto size = rest.size();
        HF_TRY(auto line, take_line(rest, options_.head_bytes_max));
        HF_TRY_VOID(count_head(size - rest.size()));
        if (!line) break;
        if (!status_line_done_) {
            HF_TRY_VOID(parse_status_line(*line, head_));
            status_line_done_ = true;
        } else if (!line->empty()) {
            if (head_.headers.size() == options_.header_count_max) {
                return fail(Errc::exhausted, fmt::format("the answer has more than {} headers",
                                                         options_.header_count_max));
            }
            HF_TRY(auto header, parse_header(*line));
            head_.headers.push_back(std::move(header));
        } else if (head_.status < 200) {
            if (head_.status == 101) return not_http("it switches protocols unasked");
            status_line_done_ = false;
        } else {
            HF_TRY_VOID(begin_body());
            break;
        }
    }
    return Step{bytes.size() - rest.size(), {}};
}

Result<void> ResponseParser::begin_body() {
    HF_TRY(auto framing, parse_framing(head_));
    missing_ = framing.length.value_or(0);
    if (options_.answers_head || head_.status == 204 || head_.status == 304) {
        state_ = State::done;
    } else if (framing.chunked) {
        state_ = State::chunk_size;
    } else if (!framing.length) {
        state_ = State::body_until_close;
    } else if (missing_ > options_.body_bytes_max) {
        return fail(Errc::exhausted, fmt::format("the answer has {} bytes, more than {}", missing_,
                                                 options_.body_bytes_max));
    } else {
        state_ = missing_ > 0 ? State::sized_body : State::done;
    }
    return {};
}

Result<ResponseParser::Step> ResponseParser::take_body(std::string_view bytes) {
    auto piece = bytes;
    if (state_ != State::body_until_close && piece.size() > missing_) {
        piece = piece.substr(0, static_cast<std::size_t>(missing_));
    }
    if (piece.size() > options_.body_bytes_max - body_bytes_) {
        return fail(Errc::exhausted,
                    fmt::format("the answer is longer than {} bytes", options_.body_bytes_max));
    }
    body_bytes_ += piece.size();
    if (state_ != State::body_until_close) {
        missing_ -= piece.size();
        if (missing_ == 0) state_ = state_ == State::chunk_body ? State::chunk_end : State::done;
    }
    return Step{piece.size(), piece};
}

Result<ResponseParser::Step> ResponseParser::take_chunk_size(std::string_view bytes) {
    auto rest = bytes;
    HF_TRY(auto line, take_line(rest, chunk_line_bytes_max));
    Step step{bytes.size() - rest.size(), {}};
    if (!line) return step;
    // What follows the size are extensions, which a recipient ignores.
    auto digits = trim(std::string_view(*line).substr(0, line->find(';')));
    std::uint64_t size = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
    bool well_formed = error == std::errc{} && end == digits.data() + digits.size() &&
                       line->front() != ' ' && line->front() != '\t' &&
                       std::ranges::all_of(*line, is_field_char);
    if (!well_formed) return not_http(fmt::format("a chunk's size is \"{}\"", shown(*line)));
    if (size > options_.body_bytes_max - body_bytes_) {
        return fail(Errc::exhausted,
                    fmt::format("the answer is longer than {} bytes", options_.body_bytes_max));
    }
    missing_ = size;
    state_ = size > 0 ? State::chunk_body : State::trailers;
    return step;
}

Result<ResponseParser::Step> ResponseParser::take_chunk_end(std::string_view bytes) {
    auto taken = bytes.substr(0, 2 - line_.size());
    line_.append(taken);
    if (line_ != std::string_view("\r\n").substr(0, line_.size())) {
        return not_http("a chunk is longer than it says");
    }
    if (line_.size() == 2) {
        line_.clear();
        state_ = State::chunk_size;
    }
    return Step{taken.size(), {}};
}

Result<ResponseParser::Step> ResponseParser::take_trailers(std::string_view bytes) {
    auto rest = bytes;
    HF_TRY(auto line, take_line(rest, options_.head_bytes_max));
    HF_TRY_VOID(count_head(bytes.size() - rest.size()));
    if (line && line->empty()) state_ = State::done;
    if (line && !line->empty()) HF_TRY_VOID(parse_header(*line));
    return Step{bytes.size() - rest.size(), {}};
}

Result<void> ResponseParser::end() {
    HF_CHECK(state_ != State::failed);
    if (state_ == State::body_until_close) state_ = State::done;
    if (state_ == State::done) return {};
    bool nothing = state_ == State::head && head_bytes_ == 0;
    state_ = State::failed;
    return fail(Errc::unavailable, nothing
                                       ? "the connection was closed without an answer"
                                       : "the connection was closed in the middle of the answer");
}

}  // namespace holdfast::http
