// The edge to processes: what runs on this machine for a service, through whatever keeps it alive.
//
// Real: the keeper, a process of its own, over its control socket (keeper/link.h). Simulated: the
// world's processes. Because runs belong to the keeper, they outlive the node; a node that starts
// first asks list() and takes over what is there.
//
// A run is one start of one program. Runs that stand for the same thing, such as instance 0 of a
// service, share a slot; the keeper refuses a launch into a slot that has a live run which the
// launch does not name, so that nothing ever runs twice.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "runtime/task.h"

namespace holdfast::runtime {

using RunId = std::uint64_t;  // Chosen by the node, never used twice on one machine; not 0.

// A listening socket the keeper owns. Two launches that name the same one share its accept queue.
struct SocketSpec {
    std::string name;        // Unique per keeper, such as "shop/http".
    std::string address;     // "127.0.0.1" or "::1"; no names.
    std::uint16_t port = 0;  // 0: any free one.
    int backlog = 1024;

    auto operator<=>(const SocketSpec&) const = default;
};

struct ResourceLimits {
    std::optional<std::uint64_t> memory_bytes{};
    std::optional<double> cpu{};                // Cores.
    std::optional<std::uint64_t> files{};       // RLIMIT_NOFILE.
    std::optional<std::uint64_t> core_bytes{};  // RLIMIT_CORE.

    auto operator<=>(const ResourceLimits&) const = default;
};

enum class Lifetime {
    lasting,    // Survives node and keeper: an instance or a job.
    ephemeral,  // Ends with the keeper and is not remembered: a probe.
};

struct LaunchSpec {
    RunId run = 0;
    std::string slot;                  // "shop/0"; "shop/0?probe" for its exec probe.
    std::optional<RunId> beside{};     // The one live run of the slot that is allowed: hot restart.
    std::vector<std::string> command;  // argv; [0] is a path, or found in PATH of `env`.
    std::vector<std::pair<std::string, std::string>> env;  // The whole environment.
    std::string directory;                                 // Empty: "/".
    std::string user;                                      // Empty: the keeper's own.
    ResourceLimits limits;
    std::vector<std::string> sockets;   // Names of SocketSpecs handed over as LISTEN_FDS, in order.
    bool notify = true;                 // Sets NOTIFY_SOCKET.
    std::optional<Duration> run_for{};  // The keeper ends the run after this, node or no node.
    Duration stop_grace = std::chrono::seconds(10);  // Between SIGTERM and SIGKILL at that end.
    std::optional<Duration>
        watchdog{};  // Tells the service WATCHDOG_USEC; judging it is the node's.
    Lifetime lifetime = Lifetime::lasting;
    std::string note;  // The node's own, handed back by list(): at most 4 KiB.
};

enum class EndedBy {
    itself,    // It exited, or a signal of its own making (SIGSEGV, SIGABRT, ...).
    holdfast,  // A stop() or kill of ours, or its run_for.
    oom,       // The kernel's OOM killer.
    outside,   // SIGKILL or SIGTERM (or any other signal a user sends) that none of the above sent.
    unknown,   // Nobody saw the end: keeper and node were both away.
};

struct Exit {
    WallTime at{};
    EndedBy by = EndedBy::unknown;
    std::optional<int> code{};    // Of exit(), if it exited.
    std::optional<int> signal{};  // If one ended it.
    bool core_dumped = false;
};

// What the service said over NOTIFY_SOCKET, merged: the latest of each.
struct Notified {
    bool ready = false;
    bool stopping = false;
    bool reloading = false;
    std::string status;                 // At most 255 bytes.
    std::optional<Instant> watchdog{};  // Last WATCHDOG=1.
    bool watchdog_trigger = false;      // WATCHDOG=trigger: it asks to be treated as hung.

    bool operator==(const Notified&) const = default;
};

struct RunReport {
    RunId run = 0;
    std::string slot;
    std::string note;
    int pid = 0;
    WallTime started;
    Lifetime lifetime = Lifetime::lasting;
    Notified notified;
    bool stopping = false;              // A stop() is under way.
    std::optional<Exit> exit{};         // Kept until forget().
    std::vector<std::string> weakened;  // What could not be enforced, in words: "no memory cgroup".
};

struct RunExited {
    RunId run;
    Exit exit;
};
struct RunNotified {
    RunId run;
    Notified notified;
};
enum class OutputStream : std::uint8_t { out, err };
struct RunOutput {
    RunId run;
    OutputStream stream;
    WallTime at;                    // When the bytes were taken from the service.
    std::string bytes;              // Not cut at lines.
    std::uint64_t lost_before = 0;  // Bytes dropped before these because nobody took them in time.
};
using ProcessEvent = std::variant<RunExited, RunNotified, RunOutput>;

// Errors of launch(): invalid (no such program, user or directory: the message says which and the
// errno), conflict (the slot is taken, or the run id was used), exhausted (no pids, no memory).
class Processes {
  public:
    virtual ~Processes() = default;

    virtual Task<Result<RunReport>> launch(LaunchSpec spec) = 0;
    // SIGTERM (or `signal`) to the run's main process now, SIGKILL to the whole group and cgroup
    // after `grace`, by the keeper's own timer. A second stop() can only shorten the grace. Returns
    // when it is under way. not_found: no such live run.
    virtual Task<Result<void>> stop(RunId run, Duration grace, int signal) = 0;
    virtual Task<Result<void>> kill(RunId run) = 0;
    // The node has recorded the exit; the keeper may forget the run.
    virtual Task<Result<void>> forget(RunId run) = 0;
    virtual Task<Result<std::vector<RunReport>>> list() = 0;

    // Opens it if there is none of that name, and says at which port it listens. Errc::conflict if
    // the address is taken, or there is one of that name with another address or port.
    virtual Task<Result<std::uint16_t>> open_socket(SocketSpec spec) = 0;
    virtual Task<Result<void>> close_socket(std::string name) = 0;
    virtual Task<Result<std::vector<SocketSpec>>> sockets() = 0;

    // In the order they happened; one caller. Errc::unavailable: the keeper is gone.
    virtual Task<Result<ProcessEvent>> next_event() = 0;
};

}  // namespace holdfast::runtime
