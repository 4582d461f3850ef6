#include "runtime/real/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/real/fd.h"
#include "runtime/real/reactor.h"

namespace holdfast::runtime {

namespace {

constexpr int backlog = 1024;
constexpr std::size_t datagram_bytes_max = 65536;

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = sizeof(sockaddr_storage);

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
};

SocketAddress unix_address(const std::string& name) {
    SocketAddress address;
    auto& un = reinterpret_cast<sockaddr_un&>(address.storage);
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, name.data(), name.size());
    if (name.front() == '@') un.sun_path[0] = '\0';
    bool terminated = name.front() == '/';
    address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() +
                                            (terminated ? 1 : 0));
    return address;
}

Result<SocketAddress> to_socket_address(const Endpoint& endpoint) {
    HF_TRY(auto checked, parse_endpoint(format_endpoint(endpoint)));
    if (checked.address.front() == '/' || checked.address.front() == '@')
        return unix_address(checked.address);
    SocketAddress address;
    if (checked.address.find(':') == std::string::npos) {
        auto& in = reinterpret_cast<sockaddr_in&>(address.storage);
        in.sin_family = AF_INET;
        in.sin_port = htons(checked.port);
        inet_pton(AF_INET, checked.address.c_str(), &in.sin_addr);
        address.length = sizeof in;
    } else {
        auto& in = reinterpret_cast<sockaddr_in6&>(address.storage);
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(checked.port);
        inet_pton(AF_INET6, checked.address.c_str(), &in.sin6_addr);
        address.length = sizeof in;
    }
    return address;
}

Endpoint to_endpoint(const SocketAddress& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.family() == AF_INET) {
        auto& in = reinterpret_cast<const sockaddr_in&>(address.storage);
        inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size());
        return {text.data(), ntohs(in.sin_port)};
    }
    if (address.family() == AF_INET6) {
        auto& in = reinterpret_cast<const sockaddr_in6&>(address.storage);
        inet_ntop(AF_INET6, &in.sin6_addr, text.data(), text.size());
        return {text.data(), ntohs(in.sin6_port)};
    }
    auto& un = reinterpret_cast<const sockaddr_un&>(address.storage);
    if (address.length <= offsetof(sockaddr_un, sun_path)) return {};
    std::string name(un.sun_path, address.length - offsetof(sockaddr_un, sun_path));
    if (name.front() == '\0')
        name.front() = '@';
    else
        name.resize(std::strlen(name.c_str()));
    return {name, 0};
}

Endpoint local_endpoint(int fd) {
    SocketAddress address;
    HF_CHECK(getsockname(fd, address.get(), &address.length) == 0);
    return to_endpoint(address);
}

// One code per reaction: who has the address is somebody else's doing, a lack of descriptors or
// memory is a limit, a missing permission or address is the request's fault, the rest may pass.
Error socket_error(const std::string& what, int error) {
    auto code = Errc::unavailable;
    switch (error) {
        case EADDRINUSE:
            code = Errc::conflict;
            break;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            code = Errc::exhausted;
            break;
        case EACCES:
        case EPERM:
            code = Errc::denied;
            break;
        case EADDRNOTAVAIL:
        case EAFNOSUPPORT:
        case ENOTDIR:
        case ENAMETOOLONG:
            code = Errc::invalid;
            break;
        default:
            break;
    }
    return {code, what + ": " + std::strerror(error)};
}

std::unexpected<Error> socket_failure(const std::string& what) {
    return std::unexpected(socket_error(what, errno));
}

void set_option(int fd, int level, int option) {
    int on = 1;
    setsockopt(fd, level, option, &on, sizeof on);
}

Result<UniqueFd> open_socket(const SocketAddress& address, int type, const std::string& what) {
    UniqueFd fd(socket(address.family(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return socket_failure(what);
    return fd;
}

bool would_block(int error) {
    return error == EAGAIN || error == EWOULDBLOCK;
}

class RealStream final : public Stream {
  public:
    RealStream(EventLoop& loop, UniqueFd fd, Endpoint peer)
        : reactor_(loop.reactor()),
          fd_(std::move(fd)),
          watch_(reactor_, fd_.get()),
          peer_(std::move(peer)) {
        if (!is_unix()) set_option(fd_.get(), IPPROTO_TCP, TCP_NODELAY);
    }

    Task<Result<std::size_t>> read_some(std::span<char> into) override {
        for (;;) {
            auto got = recv(fd_.get(), into.data(), into.size(), 0);
            if (got >= 0) co_return static_cast<std::size_t>(got);
            if (would_block(errno))
                co_await reactor_.ready(fd_.get(), Reactor::Direction::in);
            else if (errno != EINTR)
                co_return broken("reading from ", errno);
        }
    }

    Task<Result<void>> write_all(std::string_view bytes) override {
        while (!bytes.empty()) {
            auto sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent >= 0)
                bytes.remove_prefix(static_cast<std::size_t>(sent));
            else if (would_block(errno))
                co_await reactor_.ready(fd_.get(), Reactor::Direction::out);
            else if (errno != EINTR)
                co_return broken("writing to ", errno);
        }
        co_return {};
    }

    void shut_write() override { shutdown(fd_.get(), SHUT_WR); }
    Endpoint peer() const override { return peer_; }

    std::optional<PeerUser> peer_user() const override {
        if (!is_unix()) return std::nullopt;
        ucred credentials{};
        socklen_t length = sizeof credentials;
        if (getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
            return std::nullopt;
        return PeerUser{credentials.uid, credentials.gid, credentials.pid};
    }

  private:
    // Both ends of a Unix stream have a name that is a path, abstract or empty.
    bool is_unix() const {
        return peer_.address.empty() || peer_.address.front() == '/' ||
               peer_.address.front() == '@';
    }
    std::unexpected<Error> broken(const std::string& deed, int error) const {
        auto peer = peer_.address.empty() ? "a Unix stream" : format_endpoint(peer_);
        return fail(Errc::unavailable, deed + peer + ": " + std::strerror(error));
    }

    Reactor& reactor_;
    UniqueFd fd_;
    Reactor::Watch watch_;  // After fd_: it goes before the descriptor is closed.
    Endpoint peer_;
};

// A socket file we made: it is ours to remove only while it is still the same one.
class SocketFile {
  public:
    SocketFile() = default;
    explicit SocketFile(const Endpoint& bound) {
        bool is_file = bound.address.front() == '/';
        if (is_file && stat(bound.address.c_str(), &made_) == 0) path_ = bound.address;
    }
    ~SocketFile() {
        struct stat there{};
        if (path_.empty() || stat(path_.c_str(), &there) != 0) return;
        if (there.st_dev == made_.st_dev && there.st_ino == made_.st_ino) unlink(path_.c_str());
    }
    SocketFile(SocketFile&& other) noexcept
        : path_(std::exchange(other.path_, {})), made_(other.made_) {}
    SocketFile& operator=(SocketFile&&) = delete;

  private:
    std::string path_;
    struct stat made_{};
};

class RealListener final : public Listener {
  public:
    RealListener(EventLoop& loop, UniqueFd fd, SocketFile file)
        : loop_(loop),
          file_(std::move(file)),
          fd_(std::move(fd)),
          watch_(loop.reactor(), fd_.get()),
          local_(local_endpoint(fd_.get())) {}

    Task<Result<std::unique_ptr<Stream>>> accept() override {
        for (;;) {
            SocketAddress from;
            UniqueFd fd(accept4(fd_.get(), from.get(), &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (fd.valid())
                co_return std::make_unique<RealStream>(loop_, std::move(fd), to_endpoint(from));
            if (would_block(errno))
                co_await loop_.reactor().ready(fd_.get(), Reactor::Direction::in);
            else if (!is_of_one_connection(errno))
                co_return socket_failure("accepting at " + format_endpoint(local_));
        }
    }

    Endpoint local() const override { return local_; }

  private:
    // Errors of the connection that was to be accepted; the next one may be fine (accept(2)).
    static bool is_of_one_connection(int error) {
        switch (error) {
            case EINTR:
            case ECONNABORTED:
            case EPROTO:
            case ENOPROTOOPT:
            case ENETDOWN:
            case EHOSTDOWN:
            case ENONET:
            case EHOSTUNREACH:
            case ENETUNREACH:
            case EPERM:
                return true;
            default:
                return false;
        }
    }

    EventLoop& loop_;
    SocketFile file_;
    UniqueFd fd_;
    Reactor::Watch watch_;
    Endpoint local_;
};

class RealDatagramSocket final : public DatagramSocket {
  public:
    RealDatagramSocket(EventLoop& loop, UniqueFd fd)
        : reactor_(loop.reactor()), fd_(std::move(fd)), watch_(reactor_, fd_.get()) {}

    Task<Result<Datagram>> receive() override {
        for (;;) {
            SocketAddress from;
            auto got =
                recvfrom(fd_.get(), buffer_.data(), buffer_.size(), 0, from.get(), &from.length);
            if (got >= 0)
                co_return Datagram{to_endpoint(from),
                                   buffer_.substr(0, static_cast<std::size_t>(got))};
            if (would_block(errno))
                co_await reactor_.ready(fd_.get(), Reactor::Direction::in);
            else if (errno != EINTR)
                co_return socket_failure("receiving at " + format_endpoint(local()));
        }
    }

    bool send(const Endpoint& to, std::string_view payload) override {
        auto address = to_socket_address(to);
        if (!address) return false;
        auto sent = sendto(fd_.get(), payload.data(), payload.size(), MSG_NOSIGNAL, address->get(),
                           address->length);
        return sent >= 0;
    }

    Endpoint local() const override { return local_endpoint(fd_.get()); }

  private:
    Reactor& reactor_;
    UniqueFd fd_;
    Reactor::Watch watch_;
    std::string buffer_ = std::string(datagram_bytes_max, '\0');
};

// Whether there is a socket file that nobody has any more, and which so stands in the way of
// nobody. The probe is of another type than the listener may be: a live one answers EPROTOTYPE and
// does not notice.
bool is_stale(const std::string& path, const SocketAddress& address) {
    struct stat there{};
    if (lstat(path.c_str(), &there) != 0 || !S_ISSOCK(there.st_mode)) return false;
    UniqueFd probe(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    return probe.valid() && connect(probe.get(), address.get(), address.length) != 0 &&
           errno == ECONNREFUSED;
}

bool bind_address(int fd, const Endpoint& local, const SocketAddress& address) {
    if (bind(fd, address.get(), address.length) == 0) return true;
    if (errno != EADDRINUSE || local.address.front() != '/') return false;
    if (!is_stale(local.address, address)) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(local.address.c_str()) == 0 && bind(fd, address.get(), address.length) == 0;
}

// Waits until a non-blocking connect() has succeeded or failed; 0 or its error.
Task<int> connected(Reactor& reactor, int fd) {
    for (;;) {
        co_await reactor.ready(fd, Reactor::Direction::out);
        int error = 0;
        socklen_t length = sizeof error;
        HF_CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
        SocketAddress peer;
        if (error != 0) co_return error;
        if (getpeername(fd, peer.get(), &peer.length) == 0) co_return 0;
        if (errno != ENOTCONN) co_return errno;
    }
}

}  // namespace

Result<std::unique_ptr<Listener>> RealNetwork::listen(const Endpoint& local) {
    auto what = "listening at " + format_endpoint(local);
    HF_TRY(auto address, to_socket_address(local));
    HF_TRY(auto fd, open_socket(address, SOCK_STREAM, what));
    if (address.family() != AF_UNIX) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
    if (address.family() == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
    if (!bind_address(fd.get(), local, address)) return socket_failure(what);
    SocketFile file(local);
    if (::listen(fd.get(), backlog) != 0) return socket_failure(what);
    return std::make_unique<RealListener>(loop_, std::move(fd), std::move(file));
}

Result<std::unique_ptr<Listener>> RealNetwork::adopt_listener(int adopted) {
    UniqueFd fd(adopted);
    int listening = 0;
    socklen_t length = sizeof listening;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0)
        return socket_failure("adopting descriptor " + std::to_string(adopted));
    if (listening == 0)
        return fail(Errc::invalid,
                    "descriptor " + std::to_string(adopted) + " is not a listening socket");
    int flags = fcntl(fd.get(), F_GETFL);
    HF_CHECK(fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) == 0);
    HF_CHECK(fcntl(fd.get(), F_SETFD, FD_CLOEXEC) == 0);
    return std::make_unique<RealListener>(loop_, std::move(fd), SocketFile());
}

Task<Result<std::unique_ptr<Stream>>> RealNetwork::connect(Endpoint peer) {
    auto what = "connecting to " + format_endpoint(peer);
    HF_CO_TRY(auto address, to_socket_address(peer));
    HF_CO_TRY(auto fd, open_socket(address, SOCK_STREAM, what));
    int error = ::connect(fd.get(), address.get(), address.length) == 0 ? 0 : errno;
    if (error == EINPROGRESS || error == EINTR)
        error = co_await connected(loop_.reactor(), fd.get());
    // A full accept queue of a Unix listener is EAGAIN, which may pass like the rest.
    if (error != 0)
        co_return fail(error == EMFILE || error == ENFILE || error == ENOBUFS ? Errc::exhausted
                                                                              : Errc::unavailable,
                       what + ": " + std::strerror(error));
    co_return std::make_unique<RealStream>(loop_, std::move(fd), std::move(peer));
}

Result<std::unique_ptr<DatagramSocket>> RealNetwork::bind(const Endpoint& local) {
    auto what = "binding " + format_endpoint(local);
    HF_TRY(auto address, to_socket_address(local));
    if (address.family() == AF_UNIX)
        return fail(Errc::invalid, what + ": Unix sockets carry streams only");
    HF_TRY(auto fd, open_socket(address, SOCK_DGRAM, what));
    if (address.family() == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
    if (::bind(fd.get(), address.get(), address.length) != 0) return socket_failure(what);
    return std::make_unique<RealDatagramSocket>(loop_, std::move(fd));
}

}  // namespace holdfast::runtime
