#include "access/local_token_server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "access/local_socket.h"
#include "access/peer_credentials.h"
#include "base/log.h"

namespace holdfast::access {
namespace {

// Looking up the group of a stranger may ask a directory service, and take long. It must not keep
// the node's own user waiting, nor may many strangers pile up.
constexpr std::size_t answering_max = 32;

// Closes a client's descriptor also when the task that serves it is destroyed.
struct Client {
    explicit Client(int f) : fd(f) {}
    ~Client() { close(fd); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    int fd;
};

bool worth_waiting(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

}  // namespace

Result<std::unique_ptr<LocalTokenServer>> LocalTokenServer::open(runtime::EventLoop& loop,
                                                                 const LocalTokens& tokens,
                                                                 std::uint16_t port) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(Errc::unavailable, fmt::format("no Unix socket: {}", std::strerror(errno)));
    }
    std::unique_ptr<LocalTokenServer> server(new LocalTokenServer(loop, tokens, fd));
    auto name = local_socket_name(port);
    if (bind(fd, name.get(), name.size) != 0 || listen(fd, 64) != 0) {
        return fail(errno == EADDRINUSE ? Errc::conflict : Errc::unavailable,
                    fmt::format("cannot listen on @holdfast-{}: {}", port, std::strerror(errno)));
    }
    return server;
}

LocalTokenServer::~LocalTokenServer() {
    close(fd_);
}

runtime::Task<void> LocalTokenServer::run() {
    for (;;) {
        co_await loop_.readable(fd_);
        int client = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0 && answering_.size() < answering_max) {
            answering_.spawn(answer(client));
        } else if (client >= 0) {
            close(client);
        } else if (worth_waiting(errno)) {
            co_await loop_.clock().sleep_for(std::chrono::milliseconds(100));
        }
    }
}

runtime::Task<void> LocalTokenServer::answer(int client) {
    Client owned(client);
    auto peer = peer_credentials(owned.fd);
    if (!peer) co_return;
    bool may = trusted(*peer, geteuid(), std::nullopt);
    if (!may) may = trusted(*peer, geteuid(), co_await loop_.on_pool(holdfast_group));
    if (!may) log_warn("local token: refused to user {}", peer->uid);
    auto line =
        may ? tokens_.issue(peer->uid, loop_.clock().now()) + "\n" : std::string("denied\n");
    // A fresh socket has room for a line; a peer that has gone is no loss.
    [[maybe_unused]] auto sent = send(owned.fd, line.data(), line.size(), MSG_NOSIGNAL);
}

}  // namespace holdfast::access
