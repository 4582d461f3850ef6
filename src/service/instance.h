// One instance of a service: from being wanted to being ready, and back.
//
// The state machine of one slot. It knows its runs, what their exits mean and when the next start
// is due; whether a start is allowed just now (order, turns, last candidate) is its service's to
// say, by calling start(). At most one run stands for the instance. A second one is there only
// during a hot restart: first the new run comes up beside the old (`coming`), then the old one
// drains beside the new (`leaving`); never both, so never three.
//
// What an end means ("Restart storms" in docs/services.md):
//   * asked for by us: nothing;
//   * killed from outside, or nobody saw how, after having been ready: start again at once,
//   uncounted;
//   * anything else, a hang included: one more failure in a row, and back-off.
//
// When a run is ready: by its `ready` probe, if its spec has one. Otherwise by READY=1; or, unless
// it uses NOTIFY_SOCKET (it has sent anything, or an earlier run of this instance sent READY=1), by
// a TCP connect to its own port, or without one of its own by having lived for a second. On a
// socket the keeper owns a connect always succeeds, and two runs that share a socket cannot be told
// apart from outside: so network probes of a run that is coming up beside another are left out, and
// READY=1, an exec probe or that second decide.
//
// Pure: told the time, decisions go to the outbox it is given, which outlives it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "service/backoff.h"
#include "service/instance_action.h"

namespace holdfast::service {

// How long a run must live that has no other way to show that it is ready.
inline constexpr Duration settle_after = std::chrono::seconds(1);

enum class ReplaceHow { hot, cold };

struct ProbeVerdict {
    runtime::RunId run = 0;
    ProbeRole role = ProbeRole::ready;
    bool good = false;
    Instant since;       // Of the first of the probes that agree.
    std::string reason;  // "HTTP 503 from http://127.0.0.1:8080/ready"
};

// What the service has to know to steer several instances and a rollout.
struct InstanceEvent {
    enum class Kind {
        ready,         // A run has become ready, or ready again.
        unready,       // Its ready probe has begun to fail.
        failed_start,  // It ended before it was ready, or could not be launched.
        failed,        // It had been ready, and ended or hung by its own making.
        killed,        // From outside; nobody's fault here.
        hot_failed,  // The run that came up beside the old one did not make it; the old one stays.
    };
    Kind kind;
    VersionNumber content = 0;  // Of the run's release.
    bool certain = false;       // Trying again would be the same: no such program.
    std::string reason;
};

// A time of the core's clock beside the wall's, to convert between them.
struct Moment {
    Instant now;
    WallTime wall;

    WallTime wall_at(Instant at) const { return wall + (at - now); }
    Instant instant_at(WallTime at) const { return now + (at - wall); }
};

class Instance {
  public:
    Instance(InstanceId id, Outbox& out);

    // Wishes.

    // New runs are runs of this release. Live runs stay until replace().
    void want(Instant now, ReleasePtr release);
    // Not wanted: stops what runs, with the release's drain time. `why` completes "stopping: ...".
    void stop(Instant now, std::string why);
    // Replaces the run that stands for the instance; hot becomes cold where there is nothing ready
    // to keep. A coming run that is not ready within `ready_within` is given up.
    void replace(Instant now, ReplaceHow how, Duration ready_within, std::string why);
    void forget_failures(Instant now);

    // A run that was found with the keeper, live or ended. At most two live ones, and only once,
    // first.
    void adopt(Moment moment, const runtime::RunReport& report, ReleasePtr release);

    // Asked before each start.

    bool needs_start() const;   // Wanted, and no run stands for it or is about to.
    Instant start_due() const;  // When its back-off ends, if needs_start().
    bool start_is_restart() const { return restart_cause_.has_value(); }
    void wait(Instant now, InstanceState state, std::string reason);  // Why it cannot start yet.
    // Requires needs_start().
    void start(Instant now, runtime::RunId run);

    // What happened. Of runs it does not know: nothing.

    void launched(Instant now, const runtime::RunReport& report);
    void launch_failed(Instant now, runtime::RunId run, const Error& error,
                       runtime::Random& random);
    void notified(Instant now, runtime::RunId run, const runtime::Notified& notified);
    void probed(Instant now, const ProbeVerdict& verdict);
    void exited(Instant now, runtime::RunId run, const runtime::Exit& exit,
                runtime::Random& random);
    void tick(Instant now);
    Instant next_deadline() const;
    std::vector<InstanceEvent> take_events() { return std::exchange(events_, {}); }

    // What is.

    const InstanceId& id() const { return id_; }
    bool wanted() const { return wanted_; }
    bool ready() const { return main_ && main_->phase == Phase::ready; }
    bool live() const { return main_.has_value() || second_.has_value(); }
    bool starting() const;  // A run is on its way to ready.
    bool stopping() const { return main_ && main_->phase == Phase::stopping; }
    bool replacing_hot() const { return hot_wanted_ || (second_ && !second_leaves_); }
    bool unplanned() const { return unplanned_; }  // Not ready for a reason nobody asked for.
    bool knows(runtime::RunId run) const;
    bool runs_other_than(VersionNumber content) const;  // Any live run, leaving ones included.
    bool stands_for(VersionNumber content) const;       // The main run is one of it, not stopping.
    bool outdated() const;  // It runs, nothing is being done about it, and not what is wanted.
    bool uses_socket(const std::string& name) const;
    bool binds_itself() const;  // Any live run that does not inherit its socket.
    int failures() const { return backoff_.failures(); }
    VersionNumber version() const;  // Of the main run; 0: none.
    // Since when a run of it is on its way to ready.
    std::optional<Instant> started(VersionNumber content) const;
    std::optional<Duration> time_to_ready() const { return time_to_ready_; }
    std::optional<runtime::RunId> main_run() const;
    InstanceState state() const { return state_; }
    const std::string& reason() const { return reason_; }
    InstanceView view(Moment moment) const;

  private:
    enum class Phase { launching, starting, ready, unready, stopping };
    struct Run {
        runtime::RunId id = 0;
        ReleasePtr release;
        Phase phase = Phase::launching;
        Instant begun;
        std::optional<Instant> ready_since;
        bool was_ready = false;
        bool adopted = false;
        bool uses_notify = false;
        bool ready_probe = false;  // Under way.
        bool live_probe = false;
        int pid = 0;
        std::optional<WallTime> started;
        std::vector<std::string> weakened;
        runtime::Notified notified;
        std::optional<Instant> watchdog;  // When it last showed a sign of life.
        std::optional<Instant> live_failing_since;
        std::string live_reason;
        bool asked_to_end = false;        // By our wish, not for a failure.
        std::optional<std::string> hang;  // Stopped for it.
    };

    void become(Instant now, InstanceState state, std::string reason);
    void tell(TellEvent::Weight weight, std::string kind, std::string text);
    void event(InstanceEvent::Kind kind, const Run& run, std::string reason, bool certain = false);
    Run* find(runtime::RunId run);
    void end(Instant now, Run& run, Duration grace, std::string why);
    void begin_probes(Run& run);
    void stop_ready_probe(Run& run);
    bool coming(const Run& run) const;
    std::optional<health::ProbeSpec> ready_probe_of(const Run& run) const;
    bool settles(const Run& run) const;  // By having lived for a second.
    void up(Instant now, Run& run, std::string how);
    void down(Instant now, Run& run, std::string why);
    void take_over(Instant now);
    void promote(Instant now);
    void check_hang(Instant now, Run& run);
    void judge_end(Instant now, const Run& run, const std::string& what, runtime::EndedBy by,
                   runtime::Random& random);
    void count_failure(Instant now, const Run& run, const std::string& what,
                       runtime::Random& random);
    void second_ended(Instant now, const Run& run, const std::string& what, bool certain);

    InstanceId id_;
    Outbox& out_;

    bool wanted_ = false;
    ReleasePtr target_;
    std::optional<Run> main_;
    std::optional<Run> second_;
    bool second_leaves_ = false;  // Else it is coming.
    bool hot_wanted_ = false;     // A coming run is to be launched.
    Duration hot_within_{};
    std::string replace_why_;

    Backoff backoff_;
    Instant next_start_ = Instant::min();
    std::optional<RestartCause> restart_cause_;  // Of the start that is due.
    bool unplanned_ = false;
    bool known_to_notify_ = false;
    std::uint64_t restarts_ = 0;
    std::optional<Duration> time_to_ready_;  // Measured at the last start.
    std::optional<runtime::Exit> last_exit_;
    std::string last_exit_reason_;

    InstanceState state_ = InstanceState::stopped;
    std::string reason_ = "not wanted yet";
    Instant since_{};
    std::vector<InstanceEvent> events_;
};

}  // namespace holdfast::service
