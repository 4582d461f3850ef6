#include "access/peer_trust.h"

#include <algorithm>

namespace holdfast::access {

bool trusted(const PeerCredentials& peer, std::uint32_t own_uid,
             std::optional<std::uint32_t> holdfast_group) {
    if (peer.uid == own_uid || peer.uid == 0) return true;
    if (!holdfast_group) return false;
    return peer.gid == *holdfast_group ||
           std::ranges::find(peer.groups, *holdfast_group) != peer.groups.end();
}

}  // namespace holdfast::access
