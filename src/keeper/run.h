// One run as the keeper remembers it, and every decision about it: when to terminate, when to kill,
// when it is over, and who ended it. Pure; told the time.
//
// A run is over when its main process has ended and nothing of its group and cgroup is left: only
// then is the exit reported, so that a successor never meets remains of its predecessor. Remains
// that no SIGKILL removes for `remains_max` (uninterruptible sleep) are named in `weakened` and
// given up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keeper/codec.h"

namespace holdfast::keeper {

inline constexpr Duration remains_max = std::chrono::seconds(10);
inline constexpr Duration far_away =
    std::chrono::hours(24 * 365 * 10);  // Longer waits are cut to this.

enum class Phase : std::uint8_t {
    starting,  // Forked; not released, or not yet at its program.
    live,
    emptying,  // The main process has ended; the rest is being killed.
    over,      // Kept until the node forgets it.
};
template <>
inline constexpr auto last_of<Phase> = Phase::over;

struct Run {
    runtime::RunId id = 0;
    std::string slot;
    std::string note;
    runtime::Lifetime lifetime = runtime::Lifetime::lasting;
    Phase phase = Phase::starting;
    std::int32_t pid = 0;
    std::uint64_t start_ticks =
        0;  // Field 22 of /proc/PID/stat: with the pid, one process of one boot.
    std::uint32_t uid = 0;
    WallTime started;
    std::optional<Instant> end_at;  // Its run_for.
    Duration stop_grace{};
    bool stopping = false;             // By us: a stop, a kill or run_for.
    Instant kill_at = Instant::max();  // When SIGKILL is due to all of it, first or again.
    std::optional<Instant> empty_by;   // Emptying: when the remains are given up.
    std::uint64_t ooms = 0;            // The cgroup's OOM kills before this run.
    bool seen_end = false;             // We are its parent: the status below is its own.
    runtime::Notified notified;
    std::optional<runtime::Exit> exit;
    std::vector<std::string> weakened;
    std::vector<std::string> cgroups;  // Directories of its own, absolute.
    std::vector<std::string> sockets;  // Names of those it was given, from descriptor 3.

    auto fields() {
        return std::tie(id, slot, note, lifetime, phase, pid, start_ticks, uid, started, end_at,
                        stop_grace, stopping, kill_at, empty_by, ooms, seen_end, notified, exit,
                        weakened, cgroups, sockets);
    }

    bool alive() const { return phase != Phase::over; }
    // When due() has something to say next. Neither allocates.
    Instant next_deadline() const;

    enum class Due { nothing, terminate, kill };
    // What is to be done to the run now. `terminate` starts the stop that run_for asks for; `kill`
    // is due again after a moment, until the run is over: a process may fork faster than a list of
    // pids is read.
    Due due(Instant now);

    // The first stop sets the deadline, another can only shorten it.
    void begin_stop(Instant now, Duration grace);
    // The main process ended.
    void main_ended(Instant now, const runtime::Exit& how);
    // How many processes are left of it; true when the run is over now.
    bool emptied(Instant now, std::size_t left);
    runtime::RunReport report() const;
};

// Status as waitid() gives it: `code` CLD_EXITED, CLD_KILLED or CLD_DUMPED.
struct WaitStatus {
    int code = 0;
    int status = 0;
};
// Why: an end after our stop is ours; SIGKILL after which the cgroup has counted an OOM kill is the
// kernel's; a signal that programs bring upon themselves, and an exit, is its own; others are from
// outside.
runtime::Exit judge_end(WallTime at, WaitStatus status, bool stopping, bool oom);
std::string describe_end(const runtime::Exit& exit);  // "exited with 1", "killed by SIGKILL".

// One datagram of NOTIFY_SOCKET, lines of NAME=VALUE, merged into what is known; others are
// ignored. Returns whether anything changed.
bool merge_notification(runtime::Notified& known, std::string_view datagram, Instant now);

}  // namespace holdfast::keeper
