#include "gateway/request_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace holdfast::gateway {
namespace {

constexpr std::string_view token_marks = "!#$%&'*+-.^_`|~";

bool is_token_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || token_marks.contains(c);
}

bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, is_token_char);
}

bool is_visible(char c) {
    return c > 0x20 && c < 0x7f;
}

// Visible characters, space, tab, and bytes beyond ASCII.
bool is_value_char(char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Whether a list such as "keep-alive, Close" has the word.
bool lists(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        auto end = std::min(list.find(','), list.size());
        if (lower(trimmed(list.substr(0, end))) == word) return true;
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

// Takes line by line, and remembers what may stand only once.
class HeadParser {
  public:
    std::optional<std::string> request_line(std::string_view line) {
        auto method_end = line.find(' ');
        auto target_end = line.rfind(' ');
        if (method_end == line.npos || method_end == target_end) {
            return "the request line is not METHOD TARGET HTTP/1.1";
        }
        auto method = line.substr(0, method_end);
        auto target = line.substr(method_end + 1, target_end - method_end - 1);
        auto version = line.substr(target_end + 1);
        if (!is_token(method)) return "the method is no token";
        if (!target.starts_with('/') || !std::ranges::all_of(target, is_visible)) {
            return "the target is not a path that begins with /";
        }
        if (version != "HTTP/1.1" && version != "HTTP/1.0") return "the version is not HTTP/1.1";
        head.old = version == "HTTP/1.0";
        head.request.method = method;
        head.request.target = target;
        return std::nullopt;
    }

    std::optional<std::string> header(std::string_view line) {
        if (line.starts_with(' ') || line.starts_with('\t')) return "a header line is folded";
        auto colon = line.find(':');
        if (colon == line.npos || !is_token(line.substr(0, colon))) {
            return "a header line is not NAME: VALUE";
        }
        auto value = trimmed(line.substr(colon + 1));
        if (!std::ranges::all_of(value, is_value_char)) {
            return "a header's value has a control character";
        }
        head.request.headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
        return meaning(lower(line.substr(0, colon)), value);
    }

    std::optional<std::string> whole() {
        if (hosts_ != 1) return "there must be one Host header";
        if (lengths_ > 0 && head.in_chunks) {
            return "Content-Length and Transfer-Encoding exclude each other";
        }
        if (head.in_chunks && head.old) return "HTTP/1.0 has no Transfer-Encoding";
        head.keep_alive = !closes_ && !head.old;
        head.expects_continue = expects_ && !head.old;
        return std::nullopt;
    }

    RequestHead head;

  private:
    std::optional<std::string> meaning(const std::string& name, std::string_view value) {
        if (name == "host") ++hosts_;
        if (name == "connection") closes_ = closes_ || lists(value, "close");
        if (name == "expect") expects_ = lower(value) == "100-continue";
        if (name == "content-length") return length(value);
        if (name == "transfer-encoding") {
            if (lower(value) != "chunked") return "only the transfer coding \"chunked\" is known";
            if (head.in_chunks) return "Transfer-Encoding is given twice";
            head.in_chunks = true;
        }
        return std::nullopt;
    }

    std::optional<std::string> length(std::string_view value) {
        if (++lengths_ > 1) return "Content-Length is given twice";
        auto end = value.data() + value.size();
        auto [stopped, failed] = std::from_chars(value.data(), end, head.body_bytes);
        if (failed != std::errc() || stopped != end) return "Content-Length is no number";
        return std::nullopt;
    }

    int hosts_ = 0;
    int lengths_ = 0;
    bool closes_ = false;
    bool expects_ = false;
};

}  // namespace

std::expected<RequestHead, std::string> parse_head(std::string_view head, std::size_t headers_max) {
    HeadParser parser;
    std::size_t lines = 0;
    while (true) {
        auto end = head.find("\r\n");
        if (end == head.npos) return std::unexpected("the header does not end in an empty line");
        auto line = head.substr(0, end);
        head.remove_prefix(end + 2);
        if (line.empty()) break;
        if (line.find_first_of(std::string_view("\r\n\0", 3)) != line.npos) {
            return std::unexpected("a line has a bare CR, LF or NUL");
        }
        auto wrong = lines == 0 ? parser.request_line(line) : parser.header(line);
        if (wrong) return std::unexpected(*wrong);
        if (lines++ > headers_max) {
            return std::unexpected(fmt::format("more than {} headers", headers_max));
        }
    }
    if (lines == 0) return std::unexpected("the request line is empty");
    if (auto wrong = parser.whole()) return std::unexpected(*wrong);
    return std::move(parser.head);
}

}  // namespace holdfast::gateway
