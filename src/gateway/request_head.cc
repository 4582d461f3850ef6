#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "gateway/request_reader.h"

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

// A header's value: visible characters, space, tab, and bytes beyond ASCII.
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

// Judges line by line, and remembers what may stand only once.
class HeadCheck {
  public:
    std::optional<std::string> request_line(std::string_view line) {
        auto method_end = line.find(' ');
        auto target_end = line.rfind(' ');
        if (method_end == line.npos || method_end == target_end) {
            return "the request line is not METHOD TARGET HTTP/1.1";
        }
        auto target = line.substr(method_end + 1, target_end - method_end - 1);
        auto version = line.substr(target_end + 1);
        if (!is_token(line.substr(0, method_end))) return "the method is no token";
        if (!target.starts_with('/') || !std::ranges::all_of(target, is_visible)) {
            return "the target is not a path that begins with /";
        }
        if (version != "HTTP/1.1" && version != "HTTP/1.0") return "the version is not HTTP/1.1";
        old_ = version == "HTTP/1.0";
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
        return framing(lower(line.substr(0, colon)), value);
    }

    std::optional<std::string> whole() const {
        if (hosts_ != 1) return "there must be one Host header";
        if (lengths_ > 0 && codings_ > 0) {
            return "Content-Length and Transfer-Encoding exclude each other";
        }
        if (codings_ > 0 && old_) return "HTTP/1.0 has no Transfer-Encoding";
        return std::nullopt;
    }

  private:
    std::optional<std::string> framing(const std::string& name, std::string_view value) {
        if (name == "host") ++hosts_;
        if (name == "content-length") {
            bool digits =
                std::ranges::all_of(value, [](unsigned char c) { return std::isdigit(c) != 0; });
            if (value.empty() || value.size() > 18 || !digits) {
                return "Content-Length is no number";
            }
            if (++lengths_ > 1) return "Content-Length is given twice";
        }
        if (name == "transfer-encoding") {
            if (lower(value) != "chunked") return "only the transfer coding \"chunked\" is known";
            if (++codings_ > 1) return "Transfer-Encoding is given twice";
        }
        return std::nullopt;
    }

    bool old_ = false;
    int hosts_ = 0;
    int lengths_ = 0;
    int codings_ = 0;
};

}  // namespace

std::optional<std::string> check_head(std::string_view head, std::size_t headers_max) {
    HeadCheck check;
    std::size_t lines = 0;
    while (true) {
        auto end = head.find("\r\n");
        if (end == head.npos) return "the header does not end in an empty line";
        auto line = head.substr(0, end);
        head.remove_prefix(end + 2);
        if (line.empty()) break;
        if (line.find_first_of(std::string_view("\r\n\0", 3)) != line.npos) {
            return "a line has a bare CR, LF or NUL";
        }
        auto wrong = lines == 0 ? check.request_line(line) : check.header(line);
        if (wrong) return wrong;
        if (lines++ > headers_max) return fmt::format("more than {} headers", headers_max);
    }
    if (lines == 0) return "the request line is empty";
    return check.whole();
}

}  // namespace holdfast::gateway
