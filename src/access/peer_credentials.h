// The kernel's word on who is at the other end of a connected Unix socket. Linux.
#pragma once

#include <cstdint>
#include <optional>

#include "access/peer_trust.h"
#include "base/result.h"

namespace holdfast::access {

// Errc::unavailable: the descriptor is no connected Unix socket.
Result<PeerCredentials> peer_credentials(int fd);

// The id of the group `holdfast`, if there is one. May ask a directory service, so it may block.
std::optional<std::uint32_t> holdfast_group();

}  // namespace holdfast::access
