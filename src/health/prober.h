// The prober: asks one instance once, and says what came back.
//
// The interface is what supervision sees; MachineProber asks the real way, over whatever Network
// and Processes it is given, the simulated ones included. ScriptedProber in tests answers from a
// table.
//
// keep_probing() drives one Probing with a prober: all there is between a verdict and the wire.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "health/probe.h"
#include "health/probe_spec.h"
#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "runtime/task.h"

namespace holdfast::health {

// Whom to ask. All but address and port are for exec probes: they run as the service does.
struct ProbeTarget {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;
    std::string slot;            // The instance's: "shop/0".
    std::string role = "ready";  // Its probes run in slots of their own: "shop/0?ready.RUN".
    std::vector<std::pair<std::string, std::string>> env;
    std::string user;
    std::string directory;
};

class Prober {
  public:
    virtual ~Prober() = default;

    // Never fails: what went wrong is the answer. Destroying the Task abandons the probe, which is
    // how its time-out is kept; it also ends by itself a second after `timeout`.
    virtual runtime::Task<ProbeResult> probe(ProbeSpec spec, ProbeTarget target,
                                             Duration timeout) = 0;
};

// tcp: connects. http: GET, 200 to 399 is well. grpc: grpc.health.v1.Health/Check of the empty
// service name must say SERVING. exec: /bin/sh -c must exit with 0.
class MachineProber final : public Prober {
  public:
    struct Edges {
        runtime::Clock& clock;
        runtime::Network& network;
        runtime::Processes& processes;  // With next_event() left to run(): see ProcessShare.
        runtime::Random random;         // For run ids.
    };
    explicit MachineProber(Edges edges);
    ~MachineProber() override;
    MachineProber(const MachineProber&) = delete;
    MachineProber& operator=(const MachineProber&) = delete;

    // Takes the exits and outputs of exec probes from processes.next_event(), until destroyed;
    // waits out a keeper that is away. Without it exec probes only time out. Whoever reads the
    // events itself calls take() instead.
    runtime::Task<void> run();
    // Whether the event was of a probe's run.
    bool take(const runtime::ProcessEvent& event);

    runtime::Task<ProbeResult> probe(ProbeSpec spec, ProbeTarget target, Duration timeout) override;

  private:
    struct ExecRun;

    runtime::Task<Result<ProbeResult>> ask(ProbeSpec spec, ProbeTarget target, Duration timeout);
    runtime::Task<ProbeResult> ask_tcp(ProbeTarget target);
    runtime::Task<ProbeResult> ask_http(std::string path, ProbeTarget target, Duration limit);
    runtime::Task<ProbeResult> ask_exec(ProbeSpec spec, ProbeTarget target, Duration timeout);

    void abandon(runtime::RunId run);
    void forget(runtime::RunId run);

    Edges edges_;
    // Null: abandoned, its end is all that is waited for.
    std::map<runtime::RunId, ExecRun*> exec_runs_;
    runtime::TaskGroup cleaning_;  // Kills of abandoned exec probes.
};

// Probes on the core's schedule and reports each change of verdict, until destroyed. `core`,
// `prober` and `clock` outlive it. `on_change` must not destroy the Task.
runtime::Task<void> keep_probing(runtime::Clock& clock, Prober& prober, Probing& core,
                                 ProbeSpec spec, ProbeTarget target, Duration timeout,
                                 std::function<void(const VerdictChange&)> on_change);

}  // namespace holdfast::health
