#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>

#include "runtime/network.h"

namespace holdfast::runtime {

namespace {

// Room for the terminating zero of a path, or the leading zero of an abstract name.
constexpr std::size_t unix_name_max = sizeof(sockaddr_un::sun_path) - 1;

Error not_an_endpoint(std::string_view text, std::string_view why) {
    return {Errc::invalid, "\"" + std::string(text) + "\" is not an endpoint: " + std::string(why) +
                               "; write for example 127.0.0.1:7400, [::1]:7400 or /run/x.sock"};
}

bool is_address(int family, const std::string& text) {
    in6_addr parsed;
    return inet_pton(family, text.c_str(), &parsed) == 1;
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view text) {
    auto refuse = [&](std::string_view why) { return std::unexpected(not_an_endpoint(text, why)); };
    if (text.find('\0') != text.npos) return refuse("it contains a zero byte");
    if (text.starts_with('/') || text.starts_with('@')) {
        if (text.size() < 2) return refuse("the name is missing");
        if (text.size() > unix_name_max) return refuse("the name of a Unix socket is too long");
        return Endpoint{std::string(text), 0};
    }

    auto colon = text.rfind(':');
    if (colon == text.npos) return refuse("the port is missing");
    auto digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size())
        return refuse("the port is not a number from 0 to 65535");

    auto host = text.substr(0, colon);
    bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    std::string address(bracketed ? host.substr(1, host.size() - 2) : host);
    if (!is_address(bracketed ? AF_INET6 : AF_INET, address))
        return refuse("the host is not an IPv4 address, nor an IPv6 address in brackets");
    return Endpoint{std::move(address), port};
}

std::string format_endpoint(const Endpoint& endpoint) {
    const auto& address = endpoint.address;
    if (address.empty() || address.front() == '/' || address.front() == '@') return address;
    auto port = std::to_string(endpoint.port);
    if (address.find(':') != address.npos) return "[" + address + "]:" + port;
    return address + ":" + port;
}

}  // namespace holdfast::runtime
