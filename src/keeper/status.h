// What the keeper says about itself: for `up`, `status` and `doctor`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "runtime/process.h"

namespace holdfast::keeper {

enum class NodeState : std::uint8_t {
    absent,    // Dead; the next start is due after its back-off.
    starting,  // Runs, has not said that it is ready.
    ready,
    held,     // Kept down on request (hold_node), for tests and repairs.
    leaving,  // The keeper shuts down: the node stops services and will not be started again.
};

constexpr std::string_view node_state_name(NodeState state) {
    switch (state) {
        case NodeState::absent:
            return "absent";
        case NodeState::starting:
            return "starting";
        case NodeState::ready:
            return "ready";
        case NodeState::held:
            return "held";
        case NodeState::leaving:
            return "leaving";
    }
    return "unknown";
}

struct NodeDeath {
    WallTime at;
    std::string reason;  // "killed by SIGKILL", "exited with 1", "silent for 10s".

    bool operator==(const NodeDeath&) const = default;
};

struct KeeperStatus {
    std::string build_id;  // Of the keeper's executable, lower-case hexadecimal.
    std::int32_t pid = 0;
    WallTime started;       // Of this process; an upgrade by exec keeps it.
    std::string took_over;  // Empty, or how this keeper came to hold runs it did not start.
    std::string node_binary;
    std::string node_build_id;  // As the node said in its HELLO; empty before.
    std::int32_t node_pid = 0;  // 0: none.
    NodeState node_state = NodeState::absent;
    WallTime node_since;  // Since when the state is what it is.
    std::uint64_t node_restarts = 0;
    std::vector<NodeDeath> node_deaths;  // The last 16, oldest first.
    std::string damaged_table;           // Empty, or where the damaged table was set aside.
    std::vector<std::string> weakened;   // What this machine does not let the keeper enforce.
    std::vector<runtime::SocketSpec> sockets;
    std::uint32_t runs_live = 0;
    std::uint32_t runs_over = 0;  // Ended, and not yet forgotten by the node.
    std::string upgrade;          // Empty, or what became of the last one.

    bool operator==(const KeeperStatus&) const = default;
};

}  // namespace holdfast::keeper
