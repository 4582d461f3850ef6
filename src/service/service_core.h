// One service: so many instances of one release, kept that way.
//
// Decides what no instance can decide alone: which of them may start now (after the services it
// comes after; never two versions at once where the strategy is `recreate`; last candidate first),
// in what order runs are replaced (one after the other, except by `recreate`), which go when there
// are too many (the highest index first), and whether a rollout has failed.
//
// Back-off never holds back the last candidate: while no instance is ready, one is always being
// started, at most ten times a second.
//
// Pure. step() does the deciding; the other calls only say what happened, and step() has to follow
// before the time is passed on. Decisions go to the outbox, which outlives it.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "service/catalog_desired.h"
#include "service/instance.h"
#include "service/rollout.h"
#include "service/start_gate.h"
#include "service/start_window.h"
#include "service/view.h"

namespace holdfast::service {

class ServiceCore {
  public:
    ServiceCore(std::string name, Outbox& out);

    // From now on like this. `known` is what the catalog has on record of the version's rollout.
    void want(Instant now, const DesiredService& wanted, std::optional<OutcomeState> known);
    void unwant(Instant now, std::string why);  // Deleted: stops, then it is gone().
    void shut_down(Instant now);                // Stops for good; wishes no longer count.
    void start_now(Instant now);                // An operator's start: no back-off.
    void rollback_refused(Instant now, const std::string& why);

    // A run found with the keeper, live or ended. Before the first want().
    void adopt(Moment moment, int index, const runtime::RunReport& report, ReleasePtr release,
               runtime::Random& random);
    void adopt_socket(std::string name) { sockets_.insert(std::move(name)); }

    void start(Instant now, int index, runtime::RunId run);  // Its turn has come.
    void launched(Instant now, const runtime::RunReport& report, runtime::Random& random);
    void launch_failed(Instant now, runtime::RunId run, const Error& error,
                       runtime::Random& random);
    void notified(Instant now, runtime::RunId run, const runtime::Notified& notified);
    void probed(Instant now, const ProbeVerdict& verdict);
    void exited(Instant now, runtime::RunId run, const runtime::Exit& exit,
                runtime::Random& random);

    // Decides. `held_back`: why it may not start yet, on account of the services it comes after.
    void step(Instant now, StartGate& gate, const std::optional<std::string>& held_back);
    Instant next_deadline() const;

    const std::string& name() const { return name_; }
    bool knows(runtime::RunId run) const;
    bool live() const;  // Something of it runs.
    bool gone() const { return deleted_ && instances_.empty() && sockets_.empty(); }
    int ready() const;
    bool wants_to_run() const { return running_; }
    const std::vector<std::string>& after() const;
    // Why one that comes after it has to wait; nothing if it need not.
    std::optional<std::string> keeps_waiting() const;
    ServiceState state() const { return state_; }
    ServiceView view(Moment moment) const;

  private:
    void set_release(Instant now, const DesiredService& wanted);
    void begin_rollout(Instant now, const DesiredService& wanted);
    void make_live(const std::string& reason);
    void end_rollout(RolloutOutcome outcome, std::string reason);
    void end_pending_rollback(const std::string& how);
    void take_events(Instant now);
    void judge_event(Instant now, const InstanceEvent& event);
    void fit_count(Instant now);
    void drop_surplus(StartGate& gate);
    void give_back_turns(StartGate& gate);
    void steer(Instant now);
    void steer_restart(Instant now);
    bool replacement_under_way() const;
    void judge_rollout(Instant now);
    void conclude(Instant now, const RolloutVerdict& verdict);
    void ask_for_starts(Instant now, StartGate& gate, const std::optional<std::string>& held_back);
    // Why the instance may not start now, and until when if that is known.
    struct Hindrance {
        InstanceState state;
        std::string reason;
        Instant until = Instant::max();
    };
    std::optional<Hindrance> hindrance(Instant now, const Instance& instance, bool no_back_off,
                                       const std::optional<std::string>& held_back) const;
    Instance* last_candidate(const StartGate& gate);
    void close_sockets();
    void update_state(Instant now, const std::optional<std::string>& held_back);
    std::pair<ServiceState, std::string> judge_state(
        const std::optional<std::string>& held_back) const;
    void tell(TellEvent::Weight weight, std::string kind, std::string text);
    bool hot_possible() const;
    int restarts_since(Instant since) const;

    std::string name_;
    Outbox& out_;

    std::optional<DesiredService> wanted_;
    ReleasePtr release_;
    bool running_ = false;  // Wanted to run, not shutting down, not deleted.
    bool deleted_ = false;
    bool shutting_ = false;
    std::string stop_why_ = "not wanted";
    int count_ = 0;

    std::map<int, Instance> instances_;
    bool begun_ = false;  // The services it comes after have been ready once since it was down.
    bool ever_ready_ = false;  // Since it was wanted to run.
    StartWindow window_;
    Instant next_try_ = Instant::max();
    std::deque<Instant> restart_times_;
    std::uint64_t restarts_ = 0;
    std::set<std::string> sockets_;  // That runs of it may have opened.

    VersionNumber live_version_ = 0;
    VersionNumber previous_ = 0;
    std::optional<Rollout> rollout_;
    bool rollout_told_ = false;  // Its result has been told; only the late outcome is open.
    bool rolling_back_ = false;  // The catalog has been asked.
    std::string rollback_reason_;
    std::optional<RolloutResult> pending_rollback_;  // Told when the old version is ready again.
    std::optional<RolloutResult> last_rollout_;
    std::uint64_t restart_given_up_ = 0;  // The serial whose hot restart failed.

    Instant last_step_ = Instant::min();

    ServiceState state_ = ServiceState::stopped;
    std::string reason_ = "not wanted yet";
    Instant since_{};
};

}  // namespace holdfast::service
