// The name both ends of the local token's socket use.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>

namespace holdfast::access {

struct LocalSocketName {
    sockaddr_un address{};
    socklen_t size = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// "@holdfast-PORT"
LocalSocketName local_socket_name(std::uint16_t port);

}  // namespace holdfast::access
