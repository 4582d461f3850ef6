// The probes of the runs that are supervised: one schedule each, asked by one prober.
//
// Verdicts come by callback, from inside the probe's task: whoever is called must not stop() a
// probe before returning. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "health/prober.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/task.h"
#include "service/instance.h"
#include "service/instance_action.h"

namespace holdfast::service {

class SupervisorProbes {
  public:
    using OnVerdict = std::function<void(const ProbeVerdict&)>;
    // All outlive it.
    SupervisorProbes(runtime::Clock& clock, health::Prober& prober, runtime::Random random,
                     OnVerdict on_verdict)
        : clock_(clock),
          prober_(prober),
          random_(std::move(random)),
          on_verdict_(std::move(on_verdict)) {}

    void start(const StartProbe& probe, health::ProbeTarget target);  // Replaces an earlier one.
    void stop(runtime::RunId run, ProbeRole role) { probes_.erase({run, role}); }
    void stop(runtime::RunId run);
    void stop_all() { probes_.clear(); }

  private:
    struct Work {
        explicit Work(health::Probing c) : core(std::move(c)) {}
        health::Probing core;
        runtime::TaskGroup task;  // Ends before the core goes.
    };

    runtime::Clock& clock_;
    health::Prober& prober_;
    runtime::Random random_;
    OnVerdict on_verdict_;
    std::map<std::pair<runtime::RunId, ProbeRole>, std::unique_ptr<Work>> probes_;
};

}  // namespace holdfast::service
