#include "access/local_socket.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstring>

namespace holdfast::access {

LocalSocketName local_socket_name(std::uint16_t port) {
    LocalSocketName name;
    name.address.sun_family = AF_UNIX;
    auto text = fmt::format("holdfast-{}", port);
    // The first byte of the path stays zero: abstract.
    std::memcpy(name.address.sun_path + 1, text.data(), text.size());
    name.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    return name;
}

}  // namespace holdfast::access
