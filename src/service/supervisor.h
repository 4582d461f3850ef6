// The supervisor: makes what runs on this machine agree with what is wanted, and keeps it so.
//
// A thin shell. It follows the catalog's desired state, the keeper's events and the probes'
// verdicts, feeds them to SupervisorCore (supervisor_core.h), and carries out what that decides.
// Everything it knows can be found again: what is wanted stands in the coordinator, what runs is
// known to the keeper, so a supervisor that starts first asks both and takes over what is there.
//
// Lives on one event loop with the edges it is given, all of which outlive it. run() ends only by
// being destroyed, or after shut_down() has stopped everything. Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "runtime/clock.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "runtime/task.h"
#include "service/instance_launch.h"
#include "service/view.h"

namespace holdfast::health {
class Journal;
class Prober;
}  // namespace holdfast::health

namespace holdfast::coord {
class Coordinator;
}

namespace holdfast::service {

class Catalog;
class OutputLog;

struct SupervisorOptions {
    int starting_max = 4;  // Instances of this machine in the middle of a start at once.
    Surroundings around;   // What services are told of the machine.
};

struct SupervisorEdges {
    runtime::Clock& clock;
    runtime::Processes& processes;
    coord::Coordinator& coordinator;
    Catalog& catalog;
    health::Prober& prober;
    health::Journal& journal;
    OutputLog& output;
    MetricRegistry& metrics;
    runtime::Random random;
};

// What a deploy says while it runs: lines for people, then the result. Bounded: a reader that is
// too slow misses the oldest lines and is told how many.
class RolloutFeed {
  public:
    virtual ~RolloutFeed() = default;
    // The next line; nothing after the last, when result() is set. One caller.
    virtual runtime::Task<std::optional<std::string>> next() = 0;
    virtual const std::optional<RolloutResult>& result() const = 0;
};

class Supervisor {
  public:
    Supervisor(SupervisorEdges edges, SupervisorOptions options);
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    // Adopts what runs, then supervises. Errc::unavailable when the coordinator or the keeper could
    // not be asked at the start; later trouble with either is waited out, reported in machine().
    runtime::Task<Result<void>> run();

    // Done once run() has taken over what runs. One caller.
    runtime::Task<void> began();

    // Stops every service, those that come after others first, and returns when nothing runs. No
    // new start happens from the call on. Jobs are not ours.
    runtime::Task<void> shut_down();

    std::vector<ServiceView> services() const;  // By name.
    std::optional<ServiceView> service(std::string_view name) const;
    MachineView machine() const;

    // Called after every change of a service's state or of a rollout, with the view before (none:
    // it is new) and after (none: it has gone). Must not call back into the supervisor except to
    // read.
    using Observer = std::function<void(const ServiceView* before, const ServiceView* after)>;
    void observe(Observer observer);

    // An operator's `start`: forgets back-off. The wish itself stands in the catalog, as do
    // restarts.
    Result<void> start_now(std::string_view service);

    // Follows the rollout of a version that the catalog knows, which need not have begun. One that
    // has ended, or never was needed, has its result at once; a stopped service ends it as
    // `superseded`. The feed may outlive the supervisor, but not its clock.
    std::unique_ptr<RolloutFeed> follow_rollout(std::string service, VersionNumber version);
    runtime::Task<RolloutResult> wait_rollout(std::string service, VersionNumber version);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::service
