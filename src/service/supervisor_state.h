// The inside of the supervisor; for its own .cc files only.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "coord/coordinator.h"
#include "runtime/completion.h"
#include "service/catalog.h"
#include "service/catalog_desired.h"
#include "service/output_log.h"
#include "service/supervisor.h"
#include "service/supervisor_core.h"
#include "service/supervisor_feeds.h"
#include "service/supervisor_probes.h"

namespace holdfast::service {

// The core is never stepped from inside a task: whoever has fed it calls wake(), and a timer steps
// it on the loop's next turn. So a step may end any task, such as the probe whose verdict it
// answers.
struct Supervisor::State {
    State(SupervisorEdges edges_given, SupervisorOptions options_given);

    // supervisor_begin.cc: from nothing to a core that knows what runs and what is wanted.
    runtime::Task<Result<void>> begin();
    runtime::Task<Result<runtime::RunId>> first_run();
    runtime::Task<std::vector<FoundRun>> resolve(std::vector<runtime::RunReport> reports,
                                                 const DesiredEvent& desired);
    runtime::Task<void> take(DesiredEvent event);
    runtime::Task<void> follow_wishes();
    runtime::Task<void> follow_keeper();
    void take_event(runtime::ProcessEvent event);

    // supervisor.cc: deciding.
    Moment moment() const { return {edges.clock.now(), edges.clock.wall_now()}; }
    void wake() { step_timer.arm(edges.clock.now()); }
    void step();
    void observe_changes(const std::set<std::string>& changed);
    std::optional<RolloutResult> judge_feed(const std::string& service, VersionNumber version);
    ServiceView complete(ServiceView view) const;

    // supervisor_runs.cc: carrying out.
    void carry_out(LaunchRun launch);
    void carry_out(StopRun stop);
    void carry_out(ForgetRun forget);
    void carry_out(StartProbe probe);
    void carry_out(StopProbe probe);
    void carry_out(CloseSocket close);
    void carry_out(TellState told);
    void carry_out(TellEvent told);
    void carry_out(CountRestart count);
    void carry_out(CountReady count);
    void carry_out(RecordOutcome record);
    void carry_out(AskRollback ask);
    void carry_out(EndRollout end);
    runtime::Task<void> launch(LaunchRun wanted);
    runtime::Task<Result<runtime::RunReport>> try_launch(LaunchRun wanted);
    runtime::Task<Result<runtime::RunReport>> look_up(runtime::RunId run);
    runtime::Task<void> stop(StopRun wanted);
    runtime::Task<void> settle_lost(runtime::RunId run);
    runtime::Task<void> forget(runtime::RunId run);
    runtime::Task<void> end_strays(std::string slot);

    // One after the other, in the order of the decisions.
    struct SocketWork {
        std::optional<runtime::SocketSpec> open;
        std::string close;
        runtime::Completion<Result<void>> done;
    };
    runtime::Task<void> work_on_sockets();
    using CatalogWork = std::variant<RecordOutcome, AskRollback>;
    runtime::Task<void> work_on_catalog();
    runtime::Task<void> record(RecordOutcome record);
    runtime::Task<void> ask_rollback(AskRollback ask);
    runtime::Task<void> pause(int failures);  // Before trying again: back-off with jitter.

    SupervisorEdges edges;
    SupervisorOptions options;
    runtime::Random random;
    WallTime since;
    std::optional<SupervisorCore> core;
    DesiredWatch wishes;
    std::optional<DesiredEvent> first_wishes;  // Read, and not yet acted upon.
    SupervisorProbes probes;
    RolloutFeeds feeds;
    runtime::Timer step_timer;
    std::vector<Observer> observers;
    std::map<std::string, ServiceView, std::less<>> seen;  // As last shown to the observers.
    std::map<std::string, VersionNumber> versions;         // Whose outcome has been asked.

    struct Placed {
        InstanceId instance;
        bool ended = false;
    };
    std::map<runtime::RunId, Placed> places;  // Whose output it is.
    std::deque<runtime::RunId> ended;         // The latest; output may follow an end.

    std::deque<SocketWork> socket_work;
    runtime::Signal socket_signal;
    std::deque<CatalogWork> catalog_work;
    runtime::Signal catalog_signal;
    bool shutting = false;
    runtime::Completion<bool> taken_over;
    std::vector<runtime::Completion<bool>> awaiting_idle;
    std::optional<WallTime> keeper_lost_since;
    bool told_keeper_lost = false;

    // Last: its tasks use all of the above.
    runtime::TaskGroup tasks;
};

}  // namespace holdfast::service
