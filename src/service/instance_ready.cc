// When a run of an instance is ready, and what is shown of it.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "service/instance.h"

namespace holdfast::service {

using Kind = InstanceEvent::Kind;
using ProbeKind = health::ProbeSpec::Kind;
using Weight = TellEvent::Weight;

void Instance::become(Instant now, InstanceState state, std::string reason) {
    reason_ = std::move(reason);
    if (state == state_) return;
    auto from = std::exchange(state_, state);
    since_ = now;
    out_.put(TellState{id_.service, id_.index, state_name(from), state_name(state), reason_});
}

void Instance::tell(Weight weight, std::string kind, std::string text) {
    out_.put(TellEvent{weight, id_.service, id_.index, std::move(kind), std::move(text)});
}

void Instance::event(Kind kind, const Run& run, std::string reason, bool certain) {
    events_.push_back({kind, run.release->content, certain, std::move(reason)});
}

Instance::Run* Instance::find(runtime::RunId run) {
    if (main_ && main_->id == run) return &*main_;
    if (second_ && second_->id == run) return &*second_;
    return nullptr;
}

bool Instance::coming(const Run& run) const {
    return second_ && !second_leaves_ && second_->id == run.id;
}

// The probe that may judge the run, if any may: not one over the network that another run of the
// instance could answer.
std::optional<health::ProbeSpec> Instance::ready_probe_of(const Run& run) const {
    const Spec& spec = run.release->spec;
    bool shared = second_ && !second_leaves_ && inherits_socket(spec);
    if (spec.health.ready) {
        if (shared && spec.health.ready->kind != ProbeKind::exec) return std::nullopt;
        return spec.health.ready;
    }
    if (!spec.listen || inherits_socket(spec)) return std::nullopt;
    if (run.notified.ready) return std::nullopt;  // It has said so itself.
    return health::ProbeSpec{.kind = ProbeKind::tcp, .path = {}, .command = {}};
}

void Instance::begin_probes(Run& run) {
    if (run.phase == Phase::launching || run.phase == Phase::stopping) return;
    if (auto probe = ready_probe_of(run); probe && !run.ready_probe) {
        run.ready_probe = true;
        out_.put(StartProbe{run.id, id_, ProbeRole::ready, *probe, run.release});
    }
    const auto& live = run.release->spec.health.live;
    if (live && run.was_ready && run.phase != Phase::starting && !run.live_probe) {
        run.live_probe = true;
        out_.put(StartProbe{run.id, id_, ProbeRole::live, *live, run.release});
    }
}

void Instance::stop_ready_probe(Run& run) {
    if (std::exchange(run.ready_probe, false)) out_.put(StopProbe{run.id, ProbeRole::ready});
}

bool Instance::settles(const Run& run) const {
    return !run.uses_notify && !known_to_notify_ && !ready_probe_of(run);
}

void Instance::up(Instant now, Run& run, std::string how) {
    bool again = run.ready_since.has_value() || run.phase == Phase::unready;
    run.phase = Phase::ready;
    run.ready_since = now;
    run.was_ready = true;
    std::string text;
    if (again) {
        text = "ready again: " + how;
    } else if (run.adopted) {
        text = "ready: " + how;
    } else {
        time_to_ready_ = now - run.begun;
        out_.put(CountReady{id_, *time_to_ready_});
        text = fmt::format("ready {} after its start: {}", format_duration_rough(*time_to_ready_),
                           how);
    }
    tell(Weight::info, "ready", text);
    event(Kind::ready, run, text);
    if (coming(run)) take_over(now);  // From here on `run` is the one that leaves.
    become(now, InstanceState::ready, text);
    unplanned_ = false;
    begin_probes(*main_);
}

void Instance::down(Instant now, Run& run, std::string why) {
    run.phase = Phase::unready;
    run.ready_since.reset();
    if (!main_ || run.id != main_->id) return;
    unplanned_ = true;
    tell(Weight::warning, "unready", why);
    event(Kind::unready, run, why);
    become(now, InstanceState::unready, std::move(why));
}

void Instance::notified(Instant now, runtime::RunId id, const runtime::Notified& notified) {
    Run* run = find(id);
    if (!run || notified == runtime::Notified{}) return;
    run->uses_notify = true;
    bool fresh_watchdog = notified.watchdog && notified.watchdog != run->notified.watchdog;
    run->notified = notified;
    if (fresh_watchdog) run->watchdog = std::min(now, *notified.watchdog);
    if (notified.ready && run->release->content == target_->content) known_to_notify_ = true;
    if (run->phase == Phase::starting && notified.ready) {
        const auto& ready = run->release->spec.health.ready;
        bool probe_decides = ready && (!coming(*run) || ready_probe_of(*run));
        if (!probe_decides) {
            stop_ready_probe(*run);
            up(now, *run, "READY=1");
            run = find(id);
        }
    }
    if (run->phase == Phase::ready && notified.stopping) {
        down(now, *run, "says that it is stopping (STOPPING=1)");
    }
    check_hang(now, *run);
}

void Instance::probed(Instant now, const ProbeVerdict& verdict) {
    Run* run = find(verdict.run);
    if (!run || run->phase == Phase::launching || run->phase == Phase::stopping) return;
    if (verdict.role == ProbeRole::live) {
        if (!run->live_probe) return;
        run->live_failing_since.reset();
        if (!verdict.good) run->live_failing_since = std::min(now, verdict.since);
        run->live_reason = verdict.reason;
        check_hang(now, *run);
        return;
    }
    if (!run->ready_probe) return;
    bool explicit_probe = run->release->spec.health.ready.has_value();
    if (verdict.good) {
        if (run->phase == Phase::ready || run->notified.stopping) return;
        // A connect proves little about a program that says itself when it is ready.
        if (!explicit_probe && run->phase == Phase::starting &&
            (run->uses_notify || known_to_notify_)) {
            return;
        }
        up(now, *run, verdict.reason);
    } else if (run->phase == Phase::ready) {
        down(now, *run, "its ready probe fails: " + verdict.reason);
    } else if (main_ && run->id == main_->id) {
        become(now, state_, "not ready: " + verdict.reason);
    }
}

bool Instance::starting() const {
    auto on_its_way = [](const std::optional<Run>& run) {
        return run && (run->phase == Phase::launching || run->phase == Phase::starting);
    };
    return on_its_way(main_) || (!second_leaves_ && on_its_way(second_));
}

bool Instance::knows(runtime::RunId run) const {
    return (main_ && main_->id == run) || (second_ && second_->id == run);
}

bool Instance::runs_other_than(VersionNumber content) const {
    return (main_ && main_->release->content != content) ||
           (second_ && second_->release->content != content);
}

bool Instance::stands_for(VersionNumber content) const {
    return main_ && main_->release->content == content && main_->phase != Phase::stopping;
}

bool Instance::outdated() const {
    return wanted_ && main_ && !main_->asked_to_end && !hot_wanted_ &&
           !(second_ && !second_leaves_) && !same_run(*main_->release, *target_);
}

VersionNumber Instance::version() const {
    return main_ ? main_->release->version : 0;
}

bool Instance::uses_socket(const std::string& name) const {
    for (const auto* run : {&main_, &second_}) {
        if (!*run) continue;
        const Spec& spec = (*run)->release->spec;
        if (inherits_socket(spec) && socket_name(spec) == name) return true;
    }
    return false;
}

bool Instance::binds_itself() const {
    return (main_ && !inherits_socket(main_->release->spec)) ||
           (second_ && !inherits_socket(second_->release->spec));
}

std::optional<Instant> Instance::started(VersionNumber content) const {
    auto of = [content](const std::optional<Run>& run) {
        return run && run->phase == Phase::starting && run->release->content == content;
    };
    if (!second_leaves_ && of(second_)) return second_->begun;
    if (of(main_)) return main_->begun;
    return std::nullopt;
}

std::optional<runtime::RunId> Instance::main_run() const {
    if (!main_) return std::nullopt;
    return main_->id;
}

InstanceView Instance::view(Moment moment) const {
    InstanceView view;
    view.id = instance_name(id_);
    view.index = id_.index;
    view.slot = instance_slot(id_);
    view.state = state_;
    view.reason = reason_;
    view.since = moment.wall_at(since_);
    if (target_) view.version = target_->version;
    if (main_) {
        view.version = main_->release->version;
        view.run = main_->id;
        view.pid = main_->pid;
        view.started = main_->started;
        view.status = main_->notified.status;
        view.weakened = main_->weakened;
    }
    if (second_) view.beside = second_->id;
    view.restarts = restarts_;
    view.failed_starts = backoff_.failures();
    view.last_exit = last_exit_;
    view.last_exit_reason = last_exit_reason_;
    if (state_ == InstanceState::backing_off && next_start_ > moment.now) {
        view.next_start = moment.wall_at(next_start_);
    }
    return view;
}

}  // namespace holdfast::service
