// Who on this machine may have a local token, judged by what the kernel says of the peer of a Unix
// socket. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace holdfast::access {

// As SO_PEERCRED and SO_PEERGROUPS give them: of the moment the peer connected, or listened.
struct PeerCredentials {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::vector<std::uint32_t> groups;  // Supplementary.

    bool operator==(const PeerCredentials&) const = default;
};

// The same user as the node, root, or a member of the group `holdfast` where that group exists.
bool trusted(const PeerCredentials& peer, std::uint32_t own_uid,
             std::optional<std::uint32_t> holdfast_group);

}  // namespace holdfast::access
