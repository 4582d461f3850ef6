#include "http/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace holdfast::http {

namespace {

constexpr std::size_t url_bytes_max = 2048;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_alnum(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_visible(char c) {
    return c > ' ' && c < '\x7f';
}

char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::unexpected<Error> bad_url(std::string_view text, std::string_view why) {
    return fail(Errc::invalid,
                fmt::format("\"{}\" is not a URL Holdfast can use: {}; an example is "
                            "\"https://hooks.example.com/x\"",
                            text, why));
}

bool is_name(std::string_view host) {
    return !host.empty() && host.size() <= 253 && host.front() != '.' && host.front() != '-' &&
           std::ranges::all_of(
               host, [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; });
}

bool is_ipv6_text(std::string_view host) {
    return host.size() >= 2 && host.size() <= 45 && host.contains(':') &&
           std::ranges::all_of(host, [](char c) { return is_hex(c) || c == ':' || c == '.'; });
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    unsigned value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (value == 0 || value > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(value);
}

// "host", "host:8080", "[::1]:8080". Fills host and, if there is one, port.
Result<void> parse_authority(std::string_view text, std::string_view authority, Url& url) {
    if (authority.contains('@')) return bad_url(text, "it must not hold a user or password");
    std::string_view port;
    bool has_port = false;
    if (authority.starts_with('[')) {
        auto close = authority.find(']');
        if (close == std::string_view::npos) return bad_url(text, "a ']' is missing");
        url.host = authority.substr(1, close - 1);
        auto rest = authority.substr(close + 1);
        if (!is_ipv6_text(url.host)) return bad_url(text, "its address is not an IPv6 address");
        if (!rest.empty() && rest.front() != ':') return bad_url(text, "text follows its address");
        has_port = !rest.empty();
        if (has_port) port = rest.substr(1);
    } else {
        auto colon = authority.find(':');
        has_port = colon != std::string_view::npos;
        if (has_port) port = authority.substr(colon + 1);
        url.host = authority.substr(0, colon);
        if (url.host.empty()) return bad_url(text, "it names no host");
        if (!is_name(url.host)) return bad_url(text, "its host is not a name or address");
    }
    std::ranges::transform(url.host, url.host.begin(), to_lower);
    if (!has_port) return {};
    auto number = parse_port(port);
    if (!number) return bad_url(text, "its port is not a number from 1 to 65535");
    url.port = *number;
    return {};
}

}  // namespace

bool is_request_target(std::string_view text) {
    return text.starts_with('/') && std::ranges::all_of(text, is_visible) && !text.contains('#');
}

Result<Url> parse_url(std::string_view text) {
    if (text.size() > url_bytes_max) {
        return fail(Errc::invalid,
                    fmt::format("a URL of {} bytes; at most {}", text.size(), url_bytes_max));
    }
    if (!std::ranges::all_of(text, is_visible)) {
        return fail(Errc::invalid,
                    "a URL must hold visible ASCII characters only; write others as %XX");
    }
    Url url;
    std::string scheme(text.substr(0, std::min(text.find("://"), text.size())));
    std::ranges::transform(scheme, scheme.begin(), to_lower);
    if (scheme.size() == text.size() || (scheme != "http" && scheme != "https")) {
        return bad_url(text, "it must begin with http:// or https://");
    }
    if (scheme == "https") {
        url.scheme = Url::Scheme::https;
        url.port = 443;
    }
    auto rest = text.substr(scheme.size() + 3);
    rest = rest.substr(0, rest.find('#'));
    auto path = rest.find_first_of("/?");
    HF_TRY_VOID(parse_authority(text, rest.substr(0, path), url));
    if (path != std::string_view::npos) url.target = rest.substr(path);
    if (url.target.starts_with('?')) url.target.insert(0, "/");
    for (std::size_t i = 0; i < url.target.size(); ++i) {
        if (url.target[i] != '%') continue;
        if (i + 2 >= url.target.size() || !is_hex(url.target[i + 1]) || !is_hex(url.target[i + 2]))
            return bad_url(text, "a '%' must be followed by two hexadecimal digits");
    }
    return url;
}

std::string Url::authority() const {
    bool usual = port == (scheme == Scheme::https ? 443 : 80);
    bool ipv6 = host.contains(':');
    return fmt::format("{}{}{}{}", ipv6 ? "[" : "", host, ipv6 ? "]" : "",
                       usual ? std::string() : fmt::format(":{}", port));
}

std::string format_url(const Url& url) {
    return fmt::format("{}://{}{}", url.scheme == Url::Scheme::https ? "https" : "http",
                       url.authority(), url.target);
}

}  // namespace holdfast::http
