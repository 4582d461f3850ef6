#include "access/peer_credentials.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace holdfast::access {

Result<PeerCredentials> peer_credentials(int fd) {
    ucred user{};
    socklen_t size = sizeof user;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &size) != 0) {
        return fail(Errc::unavailable,
                    fmt::format("cannot read who the peer is: {}", std::strerror(errno)));
    }
    PeerCredentials peer{.uid = user.uid, .gid = user.gid, .groups = {}};
    // A user is in at most 65536 groups; the kernel says how much room it needs.
    std::vector<gid_t> groups(64);
    for (int attempt = 0; attempt < 2; ++attempt) {
        size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
            peer.groups.assign(groups.begin(), groups.begin() + size / sizeof(gid_t));
            return peer;
        }
        if (errno != ERANGE) break;
        groups.resize(size / sizeof(gid_t));
    }
    return peer;  // Without supplementary groups the peer is trusted less, never more.
}

std::optional<std::uint32_t> holdfast_group() {
    std::vector<char> room(16 << 10);
    group found{};
    group* result = nullptr;
    while (getgrnam_r("holdfast", &found, room.data(), room.size(), &result) == ERANGE) {
        if (room.size() > (1 << 22)) return std::nullopt;
        room.resize(room.size() * 2);
    }
    if (result == nullptr) return std::nullopt;
    return found.gr_gid;
}

}  // namespace holdfast::access
