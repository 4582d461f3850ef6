// What the supervision cores decide: values that the shell carries out, in order.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "health/probe_spec.h"
#include "runtime/process.h"
#include "service/catalog_records.h"
#include "service/spec.h"
#include "service/view.h"

namespace holdfast::service {

// One place of a service where a process is kept running. At most one run stands for it; a second
// one is only there while a hot restart is under way.
struct InstanceId {
    std::string service;
    int index = 0;

    auto operator<=>(const InstanceId&) const = default;
};

// "shop.0", as people see it.
std::string instance_name(const InstanceId& id);

// "shop/0", as the keeper knows it.
std::string instance_slot(const InstanceId& id);
std::optional<InstanceId> instance_of_slot(std::string_view slot);

// A version as it is run. `content` is the version whose spec it has: a rollback makes a new
// version with an old content, and runs of the old one need not be replaced for that. `serial`
// rises with each restart that is asked for, so that which runs are still from before it can be
// told from them alone.
struct Release {
    VersionNumber version = 0;
    VersionNumber content = 0;
    std::uint64_t serial = 0;
    Spec spec;
};

// Whether runs of the one do for the other.
inline bool same_run(const Release& a, const Release& b) {
    return a.content == b.content && a.serial == b.serial;
}

// Shared, because each run keeps the release it is a run of, however long it outlives being wanted.
using ReleasePtr = std::shared_ptr<const Release>;

// Hot: a new run accepts on the same socket before the old one is told to stop.
bool inherits_socket(const Spec& spec);

// The keeper's name for the listening socket of a spec that inherits it; differs when address or
// port do, so that a new one is opened before the old one is closed.
std::string socket_name(const Spec& spec);

enum class ProbeRole { ready, live };
std::string_view role_name(ProbeRole role);

// Open the release's socket, if it inherits one, then launch; answer with launched() or
// launch_failed().
struct LaunchRun {
    runtime::RunId run;
    InstanceId instance;
    ReleasePtr release;
    std::optional<runtime::RunId> beside;
};

// Until it is under way or the run has gone. A second one shortens the grace.
struct StopRun {
    runtime::RunId run;
    Duration grace;
};

// Its end has been accounted for.
struct ForgetRun {
    runtime::RunId run;
};

// Answer with probed(), until StopProbe or the run's end, which stops its probes too.
struct StartProbe {
    runtime::RunId run;
    InstanceId instance;
    ProbeRole role;
    health::ProbeSpec probe;
    ReleasePtr release;
};
struct StopProbe {
    runtime::RunId run;
    ProbeRole role;
};

// No run uses it and none will.
struct CloseSocket {
    std::string name;
};

// A service's (no index) or an instance's state has changed.
struct TellState {
    std::string service;
    std::optional<int> index;
    std::string_view from;
    std::string_view to;
    std::string reason;
};

// For the journal and the service's own log: what else happened and why, with measured times.
struct TellEvent {
    enum class Weight { info, warning };
    Weight weight = Weight::info;
    std::string service;
    std::optional<int> index;
    std::string kind;  // A word: adopt, start, ready, unready, exit, hang, restart, rollout.
    std::string text;
};

// An unexpected end has been answered by a new start.
enum class RestartCause { failure, hang, outside };
std::string_view cause_name(RestartCause cause);
struct CountRestart {
    InstanceId instance;
    RestartCause cause;
};

struct CountReady {
    InstanceId instance;
    Duration after_start;
};

struct RecordOutcome {
    std::string service;
    VersionNumber version;
    OutcomeState state;
    std::string reason;
};

// Ask the catalog to go back from `version`; when it refuses, answer with rollback_refused().
// Success shows as a new wish.
struct AskRollback {
    std::string service;
    VersionNumber version;
    std::string reason;
};

struct EndRollout {
    RolloutResult result;  // Without its time.
};

using Action =
    std::variant<LaunchRun, StopRun, ForgetRun, StartProbe, StopProbe, CloseSocket, TellState,
                 TellEvent, CountRestart, CountReady, RecordOutcome, AskRollback, EndRollout>;

// Where the cores put their decisions; the outermost one owns it and hands them out.
class Outbox {
  public:
    void put(Action action) { actions_.push_back(std::move(action)); }
    std::vector<Action> take() { return std::exchange(actions_, {}); }
    bool empty() const { return actions_.empty(); }

  private:
    std::vector<Action> actions_;
};

// An exit in words: "exited with code 1", "killed from outside by SIGKILL".
std::string describe_exit(const runtime::Exit& exit);

}  // namespace holdfast::service
