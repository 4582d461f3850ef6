// The edge to the network: byte streams and datagrams between endpoints.
//
// Real: TCP and UDP on the event loop. Simulated: the same calls between machines of one world,
// with loss, delay, reordering, partitions and resets as its faults say. One conformance test runs
// against both.
//
// Deadlines are the caller's: within(clock, limit, ...) around any of these. Destroying a waiting
// Task withdraws it; a stream may be used again after that only for closing, except that a read
// which has not returned has taken nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/task.h"

namespace holdfast::runtime {

// An address in text form without a name to resolve ("127.0.0.1", "::1"), or an absolute path of a
// Unix socket ("/..." , or "@..." for an abstract one) with port 0.
struct Endpoint {
    std::string address;
    std::uint16_t port = 0;

    auto operator<=>(const Endpoint&) const = default;
};

// "127.0.0.1:7400", "[::1]:7400", "/run/x.sock", "@name".
Result<Endpoint> parse_endpoint(std::string_view text);
std::string format_endpoint(const Endpoint& endpoint);

// Whose process is at the other end of a Unix stream, as the kernel saw it when it connected.
struct PeerUser {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::int32_t pid = 0;

    bool operator==(const PeerUser&) const = default;
};

// One reader and one writer at a time.
class Stream {
  public:
    virtual ~Stream() = default;  // Closes.

    // At least one byte, or 0 at the orderly end. Errc::unavailable when the connection broke.
    virtual Task<Result<std::size_t>> read_some(std::span<char> into) = 0;
    // All of it has been handed to the transport, which says nothing about the peer.
    virtual Task<Result<void>> write_all(std::string_view bytes) = 0;
    // No more writes; the peer reads to the end.
    virtual void shut_write() = 0;
    virtual Endpoint peer() const = 0;
    // SO_PEERCRED; none for anything but a Unix stream.
    virtual std::optional<PeerUser> peer_user() const { return std::nullopt; }
};

class Listener {
  public:
    virtual ~Listener() = default;  // Stops listening.
    virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;
    virtual Endpoint local() const = 0;
};

struct Datagram {
    Endpoint from;
    std::string payload;
};

class DatagramSocket {
  public:
    virtual ~DatagramSocket() = default;
    virtual Task<Result<Datagram>> receive() = 0;
    // Best effort, never waits: false when there was no room.
    virtual bool send(const Endpoint& to, std::string_view payload) = 0;
    virtual Endpoint local() const = 0;
};

class Network {
  public:
    virtual ~Network() = default;
    // Port 0 where a free one will do. Errc::conflict: somebody has the address.
    virtual Result<std::unique_ptr<Listener>> listen(const Endpoint& local) = 0;
    // Errc::unavailable: refused, unreachable or reset; the message says which.
    virtual Task<Result<std::unique_ptr<Stream>>> connect(Endpoint peer) = 0;
    virtual Result<std::unique_ptr<DatagramSocket>> bind(const Endpoint& local) = 0;
};

}  // namespace holdfast::runtime
