// Talking to a running keeper from a command: blocking calls for `up`, `status` and `doctor`.
//
// Each call opens DATA/keeper.sock, asks, waits with a deadline of its own and closes. Errors:
// not_found (no keeper runs on that directory), denied (it belongs to another user), unavailable
// (it did not answer in time), invalid (it refuses, and says why).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "keeper/status.h"

namespace holdfast::keeper {

// The arguments, argv[0] included, that start a keeper in the foreground: exec() them.
std::vector<std::string> keeper_command(const std::string& keeper_binary,
                                        const std::string& data_dir, const std::string& node_binary,
                                        const std::vector<std::string>& node_args);

// Five seconds.
Result<KeeperStatus> keeper_status(const std::string& data_dir);

struct Upgrade {
    std::string node_binary;  // Absolute paths.
    std::string keeper_binary;
    std::vector<std::string> node_args;  // Without argv[0].
};

// Returns when the new node serves and the new keeper runs, or says why the old ones carry on.
// `progress` is called with a line for people at each step. Two minutes.
Result<void> upgrade(const std::string& data_dir, const Upgrade& upgrade,
                     const std::function<void(std::string_view)>& progress);

enum class ShutdownMode : std::uint8_t {
    graceful,  // As SIGTERM: the node stops the services in order.
    at_once,   // As a second SIGTERM: everything is killed.
};

// Asks for it; returns when the keeper has accepted, or, with a `wait`, when it is gone.
Result<void> shutdown(const std::string& data_dir, ShutdownMode mode, Duration wait);

// Kills the node and keeps it down that long.
Result<void> hold_node(const std::string& data_dir, Duration duration);

}  // namespace holdfast::keeper
