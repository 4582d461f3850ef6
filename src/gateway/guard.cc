#include "gateway/guard.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <cctype>

namespace holdfast::gateway {
namespace {

bool same_word(std::string_view a, std::string_view b) {
    return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 &&
           std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// "127.0.0.1", and whatever else of 127.0.0.0/8 is written in full.
bool is_loopback_v4(std::string_view text) {
    in_addr parsed{};
    return text.starts_with("127.") && inet_pton(AF_INET, std::string(text).c_str(), &parsed) == 1;
}

// "localhost", "127.0.0.1:7400", "[::1]:7400". Not a name that merely resolves to such an address.
bool is_own_host(std::string_view host) {
    auto name = host.substr(0, host.starts_with('[') ? host.find(']') + 1 : host.find(':'));
    auto rest = host.substr(name.size());
    if (!rest.empty() && !(rest.starts_with(':') && is_port(rest.substr(1)))) return false;
    return same_word(name, "localhost") || name == "[::1]" || is_loopback_v4(name);
}

Refusal foreign(std::string message) {
    return {.status = 403,
            .code = "denied",
            .message = std::move(message),
            .next =
                "use http://127.0.0.1:PORT or http://localhost:PORT, not another site's page "
                "or name"};
}

}  // namespace

Result<void> check_rest_address(const runtime::Endpoint& endpoint) {
    if (is_loopback_v4(endpoint.address) || endpoint.address == "::1") return {};
    return fail(Errc::denied,
                fmt::format("REST cannot listen on {}: other addresses than loopback's need "
                            "TLS, which is not available yet; use an SSH tunnel meanwhile",
                            endpoint.address));
}

std::optional<Refusal> check_origin(const Request& request) {
    const auto* host = http::find_header(request.headers, "Host");
    if (host == nullptr || !is_own_host(*host)) {
        return foreign("the request's Host is not this machine's loopback");
    }
    const auto* origin = http::find_header(request.headers, "Origin");
    if (origin != nullptr && !same_word(*origin, "http://" + *host)) {
        return foreign("the request comes from another site's page");
    }
    return std::nullopt;
}

Result<std::optional<std::string>> bearer_token(const Request& request) {
    constexpr std::string_view scheme = "Bearer ";
    std::optional<std::string> token;
    for (const auto& header : request.headers) {
        if (!same_word(header.name, "Authorization")) continue;
        std::string_view value = header.value;
        if (token) return fail(Errc::invalid, "Authorization is given twice");
        if (!same_word(value.substr(0, scheme.size()), scheme)) {
            return fail(Errc::invalid, "Authorization is not \"Bearer TOKEN\"");
        }
        token = value.substr(scheme.size());
    }
    return token;
}

}  // namespace holdfast::gateway
