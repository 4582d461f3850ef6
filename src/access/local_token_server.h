// Hands local tokens to trusted users of this machine, over the abstract socket `@holdfast-PORT`.
//
// A client connects and reads one line: a token, or "denied" when its user is not trusted
// (peer_trust.h). It sends nothing, so there is nothing to parse. An abstract socket has no file
// whose mode could be wrong and goes with the process; anybody may connect, which is why the
// kernel's word on the peer decides. Abstract names belong to the network namespace, as the port
// does.
//
// It needs the descriptor itself, for the peer's credentials, so it stands on the real loop and not
// on runtime::Network.
#pragma once

#include <cstdint>
#include <memory>

#include "access/local_token.h"
#include "base/result.h"
#include "runtime/real/loop.h"
#include "runtime/task.h"

namespace holdfast::access {

class LocalTokenServer {
  public:
    // Errc::conflict: somebody has the name, most likely a node with the same port. Both arguments
    // outlive it.
    static Result<std::unique_ptr<LocalTokenServer>> open(runtime::EventLoop& loop,
                                                          const LocalTokens& tokens,
                                                          std::uint16_t port);
    ~LocalTokenServer();  // After run() has been destroyed.
    LocalTokenServer(const LocalTokenServer&) = delete;
    LocalTokenServer& operator=(const LocalTokenServer&) = delete;

    // Ends only by being destroyed.
    runtime::Task<void> run();

  private:
    LocalTokenServer(runtime::EventLoop& loop, const LocalTokens& tokens, int fd)
        : loop_(loop), tokens_(tokens), fd_(fd) {}

    runtime::Task<void> answer(int client);

    runtime::EventLoop& loop_;
    const LocalTokens& tokens_;
    int fd_;
    runtime::TaskGroup answering_;  // Strangers whose groups are being looked up.
};

}  // namespace holdfast::access
