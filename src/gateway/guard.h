// What every request must pass before anybody looks at what it asks for. Pure.
//
// A web page may make its reader's browser send requests to this machine. It cannot choose the Host
// header: with DNS rebinding that is the page's own domain. And it cannot hide its Origin. So a
// request whose Host is not a name of this machine's loopback, or whose Origin is not that Host, is
// refused, also where it would only read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/message.h"
#include "runtime/network.h"

namespace holdfast::gateway {

// Errc::denied: the address is not a loopback one; elsewhere the interface would need TLS.
Result<void> check_rest_address(const runtime::Endpoint& endpoint);

// The refusal, or nothing. Any port is fine, since a tunnel may have brought the request here.
std::optional<Refusal> check_origin(const Request& request);

// The token of "Authorization: Bearer TOKEN"; nothing without that header. Errc::invalid: another
// scheme, or two such headers.
Result<std::optional<std::string>> bearer_token(const Request& request);

}  // namespace holdfast::gateway
