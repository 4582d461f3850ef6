// The machine's network: TCP, UDP and Unix stream sockets on an event loop.
//
// Every descriptor is non-blocking and closed on exec. TCP streams have TCP_NODELAY; TCP listeners
// have SO_REUSEADDR, and one for "::" takes IPv6 only, so that "0.0.0.0" can be had beside it. A
// Unix listener at a path replaces a socket file nobody listens on any more, and removes its own
// when it goes. Addresses with a zone ("fe80::1%eth0") are refused.
//
// A client's end of a Unix stream has no name: its peer() there is Endpoint{}.
#pragma once

#include <memory>

#include "runtime/network.h"
#include "runtime/real/loop.h"

namespace holdfast::runtime {

class RealNetwork final : public Network {
  public:
    explicit RealNetwork(EventLoop& loop) : loop_(loop) {}

    Result<std::unique_ptr<Listener>> listen(const Endpoint& local) override;
    Task<Result<std::unique_ptr<Stream>>> connect(Endpoint peer) override;
    Result<std::unique_ptr<DatagramSocket>> bind(const Endpoint& local) override;

    // Takes over a listening stream socket, such as one from the keeper; closes it also on error.
    // Makes it non-blocking, which is a property it shares with all its duplicates: not for a
    // socket on which somebody else accepts.
    Result<std::unique_ptr<Listener>> adopt_listener(int fd);

  private:
    EventLoop& loop_;
};

}  // namespace holdfast::runtime
