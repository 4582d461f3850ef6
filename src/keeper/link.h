// The node's end of the keeper: runtime::Processes over the control socket, and the node's duties
// to it.
//
// The link outlives the keeper. When the keeper dies, the node goes on: the link keeps a duplicate
// of every listening socket and a mapping of every run's output, starts a new keeper on the same
// data directory, hands the sockets and the outputs over, asks again what is not yet answered, and
// reports exits it has not reported. Callers of Processes only notice that an answer takes longer;
// who wants to know installs on_keeper_change().
//
// A launch that was under way when the keeper died is looked up in the new keeper first and
// repeated only if it is not there, so that it happens once.
//
// One thread: the event loop's. Calls may be made before run() has been spawned; they wait for it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "keeper/status.h"
#include "runtime/process.h"

namespace holdfast::runtime {
class EventLoop;
}

namespace holdfast::keeper {

// What the keeper asks of the node, in the order it asks.
enum class NodeRequest {
    // Take over: open the stores, listen, supervise, then say ready() (again). A node that is
    // started
    // alone is asked at once. One that is started beside an old one for an upgrade first prepares
    // all
    // that needs nothing exclusive, says ready(), and waits for this.
    activate,
    drain,     // A newer node is ready: finish what is under way, leave the services running, exit.
    shutdown,  // Stop the services in order, then exit.
};

class KeeperLink final : public runtime::Processes {
  public:
    struct Options {
        std::string data_dir;
        std::string
            keeper_binary;  // Started with --adopt when the keeper is gone; an absolute path.
        int keeper_fd =
            -1;  // Connected to the keeper, owned from here; -1: connect to DATA/keeper.sock.
        std::string build_id;  // The node's own, for the keeper's status.
        Duration beat_every = std::chrono::milliseconds(500);
        // Extra arguments of a new keeper (tests).
        std::vector<std::string> keeper_args = {};
    };

    // HOLDFAST_KEEPER_FD of the environment, -1 without it; the variable is removed, the descriptor
    // made close-on-exec.
    static int fd_from_environment();

    KeeperLink(runtime::EventLoop& loop, Options options);
    ~KeeperLink() override;
    KeeperLink(const KeeperLink&) = delete;
    KeeperLink& operator=(const KeeperLink&) = delete;

    // The link's work: reads the socket, beats, follows the keeper's death. Spawn it once in the
    // node's task group; it never returns. Destroying it stops the link.
    runtime::Task<void> run();

    // The node serves (or, before `activate`, could serve).
    void ready();
    // Waits for the next one; one caller.
    runtime::Task<NodeRequest> next_request();
    // Told, in words, whenever another keeper has taken over. Called from run().
    void on_keeper_change(std::function<void(std::string reason)> callback);
    // Whether a keeper is connected just now.
    bool connected() const;
    runtime::Task<Result<KeeperStatus>> status();

    runtime::Task<Result<runtime::RunReport>> launch(runtime::LaunchSpec spec) override;
    runtime::Task<Result<void>> stop(runtime::RunId run, Duration grace, int signal) override;
    runtime::Task<Result<void>> kill(runtime::RunId run) override;
    runtime::Task<Result<void>> forget(runtime::RunId run) override;
    runtime::Task<Result<std::vector<runtime::RunReport>>> list() override;
    runtime::Task<Result<std::uint16_t>> open_socket(runtime::SocketSpec spec) override;
    runtime::Task<Result<void>> close_socket(std::string name) override;
    runtime::Task<Result<std::vector<runtime::SocketSpec>>> sockets() override;
    // Never fails while run() lives.
    runtime::Task<Result<runtime::ProcessEvent>> next_event() override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::keeper
