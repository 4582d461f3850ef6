#include "access/local_token_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "access/local_socket.h"
#include "access/local_token.h"
#include "access/peer_credentials.h"

namespace holdfast::access {
namespace {

constexpr std::size_t line_bytes_max = 256;

struct Socket {
    explicit Socket(int f) : fd(f) {}
    ~Socket() {
        if (fd >= 0) close(fd);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    int fd;
};

void limit_waits(int fd, Duration limit) {
    auto us = std::chrono::duration_cast<std::chrono::microseconds>(limit).count();
    timeval wait{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

// The other end writes one short line at once, so one wait for each piece is one wait in practice.
Result<std::string> read_line(int fd) {
    std::string line;
    char piece[line_bytes_max];
    for (;;) {
        auto count = recv(fd, piece, sizeof piece, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return fail(Errc::unavailable, "the node gave no local token");
        line.append(piece, static_cast<std::size_t>(count));
        if (line.ends_with('\n')) {
            line.pop_back();
            return line;
        }
        if (line.size() >= line_bytes_max) {
            return fail(Errc::unavailable, "what answers there is no Holdfast node");
        }
    }
}

}  // namespace

Result<std::string> fetch_local_token(std::uint16_t port, Duration limit) {
    Socket socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto name = local_socket_name(port);
    limit_waits(socket_.fd, limit);
    if (connect(socket_.fd, name.get(), name.size) != 0) {
        return fail(Errc::unavailable, fmt::format("no node hands out local tokens for port {}: {}",
                                                   port, std::strerror(errno)));
    }
    HF_TRY(auto node, peer_credentials(socket_.fd));
    if (!trusted(node, geteuid(), std::nullopt) && !trusted(node, geteuid(), holdfast_group())) {
        return fail(Errc::denied,
                    fmt::format("user {} listens on @holdfast-{}, and is neither you, "
                                "nor root, nor in the group holdfast",
                                node.uid, port));
    }
    HF_TRY(auto line, read_line(socket_.fd));
    if (LocalTokens::looks_like_one(line)) return line;
    return fail(
        Errc::denied,
        fmt::format("the node runs as user {} and gives you no local token: be that user or "
                    "root, join the group holdfast, or set HOLDFAST_TOKEN",
                    node.uid));
}

}  // namespace holdfast::access
