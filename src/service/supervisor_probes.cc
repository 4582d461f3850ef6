#include "service/supervisor_probes.h"

namespace holdfast::service {

void SupervisorProbes::start(const StartProbe& probe, health::ProbeTarget target) {
    const auto& spec = probe.release->spec.health;
    health::Probing::Options options;
    options.name = health::probe_name(probe.probe);
    options.every = spec.every;
    options.timeout = spec.timeout;
    options.fall = spec.fall;
    options.rise = spec.rise;
    options.quick_start = probe.role == ProbeRole::ready;
    auto work =
        std::make_unique<Work>(health::Probing(std::move(options), clock_.now(), random_.fork()));
    auto& core = work->core;
    auto& group = work->task;
    probes_[{probe.run, probe.role}] = std::move(work);
    auto changed = [this, run = probe.run, role = probe.role](const health::VerdictChange& change) {
        if (change.to == health::Verdict::unknown) return;
        on_verdict_(
            {run, role, change.to == health::Verdict::passing, change.since, change.reason});
    };
    group.spawn(health::keep_probing(clock_, prober_, core, probe.probe, std::move(target),
                                     spec.timeout, std::move(changed)));
}

void SupervisorProbes::stop(runtime::RunId run) {
    stop(run, ProbeRole::ready);
    stop(run, ProbeRole::live);
}

}  // namespace holdfast::service
