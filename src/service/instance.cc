#include "service/instance.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/units.h"

namespace holdfast::service {

using runtime::EndedBy;
using Kind = InstanceEvent::Kind;
using Weight = TellEvent::Weight;

namespace {
// A run that hung does not answer SIGTERM either, as a rule.
constexpr Duration hang_grace = std::chrono::seconds(1);
// A run that came up beside the old one has no connections to finish.
constexpr Duration coming_grace = std::chrono::seconds(5);
constexpr Duration adopted_ready_within = std::chrono::seconds(30);
}  // namespace

Instance::Instance(InstanceId id, Outbox& out) : id_(std::move(id)), out_(out) {}

void Instance::want(Instant now, ReleasePtr release) {
    HF_CHECK(release);
    if (target_ && target_->content != release->content) known_to_notify_ = false;
    // How to get to another release is asked anew: perhaps not hot.
    if (target_ && !same_run(*target_, *release)) hot_wanted_ = false;
    target_ = std::move(release);
    backoff_.set_bounds(target_->spec.restart.backoff_least, target_->spec.restart.backoff_most);
    for (auto* run : {&main_, &second_}) {
        if (*run && same_run(*(*run)->release, *target_)) (*run)->release = target_;
    }
    if (!wanted_ && !main_) become(now, InstanceState::waiting, "wanted");
    wanted_ = true;
}

void Instance::stop(Instant now, std::string why) {
    wanted_ = false;
    hot_wanted_ = false;
    unplanned_ = false;
    restart_cause_.reset();
    forget_failures(now);
    for (auto* run : {&main_, &second_}) {
        if (!*run || (*run)->asked_to_end) continue;
        (*run)->asked_to_end = true;
        end(now, **run, (*run)->release->spec.deploy.drain, why);
    }
    if (!live() && state_ != InstanceState::stopped) become(now, InstanceState::stopped, why);
}

void Instance::replace(Instant now, ReplaceHow how, Duration ready_within, std::string why) {
    HF_CHECK(wanted_);
    forget_failures(now);
    replace_why_ = why;
    if (second_ && !second_leaves_ && !second_->asked_to_end) {
        second_->asked_to_end = true;
        end(now, *second_, coming_grace, why);
    }
    bool worth_keeping = main_ && (main_->phase == Phase::ready || main_->phase == Phase::unready);
    hot_wanted_ = how == ReplaceHow::hot && worth_keeping;
    hot_within_ = ready_within;
    if (hot_wanted_ || !main_ || main_->asked_to_end) return;
    main_->asked_to_end = true;
    end(now, *main_, main_->release->spec.deploy.drain, why);
}

void Instance::forget_failures(Instant now) {
    backoff_.forget();
    next_start_ = now;
}

void Instance::adopt(Moment moment, const runtime::RunReport& report, ReleasePtr release) {
    Run run;
    run.id = report.run;
    run.release = std::move(release);
    run.begun = moment.instant_at(report.started);
    run.adopted = true;
    run.pid = report.pid;
    run.started = report.started;
    run.weakened = report.weakened;
    run.phase = report.stopping ? Phase::stopping : Phase::starting;
    run.asked_to_end = report.stopping;
    // Whether it had been ready is not known: so much time would have shown it.
    Instant until = report.exit ? moment.instant_at(report.exit->at) : moment.now;
    run.was_ready =
        report.notified.ready || until - run.begun >= run.release->spec.restart.reset_after;
    if (!target_) {
        target_ = run.release;
        backoff_.set_bounds(target_->spec.restart.backoff_least,
                            target_->spec.restart.backoff_most);
    }
    bool older_leaves = main_ && main_->phase == Phase::stopping;
    if (main_) {
        HF_CHECK(!second_);
        second_ = std::move(run);
        second_leaves_ = older_leaves;
        if (older_leaves) std::swap(main_, second_);
        hot_within_ = adopted_ready_within + (moment.now - (*second_).begun);
    } else {
        main_ = std::move(run);
    }
    if (report.exit) return;  // exited() follows.
    Run& adopted = *find(report.run);
    auto text =
        fmt::format("found running as pid {} (version {}), started {} ago", report.pid,
                    adopted.release->version, format_duration_rough(moment.now - adopted.begun));
    tell(Weight::info, "adopt", text);
    become(moment.now, report.stopping ? InstanceState::stopping : InstanceState::starting,
           text + (report.stopping ? "; it was being stopped" : "; asking whether it is ready"));
    begin_probes(adopted);
    notified(moment.now, report.run, report.notified);
    if (find(report.run)) tick(moment.now);
}

bool Instance::needs_start() const {
    if (!wanted_) return false;
    if (!main_) return true;
    return hot_wanted_ && !second_ &&
           (main_->phase == Phase::ready || main_->phase == Phase::unready);
}

Instant Instance::start_due() const {
    return main_ ? Instant::min() : next_start_;
}

void Instance::wait(Instant now, InstanceState state, std::string reason) {
    if (main_) return;  // Of a hot restart: the old run still stands for the instance.
    become(now, state, std::move(reason));
}

void Instance::start(Instant now, runtime::RunId id) {
    HF_CHECK(needs_start());
    Run run;
    run.id = id;
    run.release = target_;
    run.begun = now;
    if (main_) {
        out_.put(LaunchRun{id, id_, target_, main_->id});
        hot_wanted_ = false;
        second_leaves_ = false;
        second_ = std::move(run);
        if (!ready_probe_of(*main_)) stop_ready_probe(*main_);
        return;
    }
    std::optional<runtime::RunId> beside;
    if (second_) beside = second_->id;
    out_.put(LaunchRun{id, id_, target_, beside});
    main_ = std::move(run);
    if (restart_cause_) {
        ++restarts_;
        out_.put(CountRestart{id_, *restart_cause_});
    }
    restart_cause_.reset();
    become(now, InstanceState::starting, fmt::format("starting version {}", target_->version));
}

void Instance::launched(Instant now, const runtime::RunReport& report) {
    Run* run = find(report.run);
    if (!run || run->phase != Phase::launching) return;
    run->phase = Phase::starting;
    run->begun = now;
    run->pid = report.pid;
    run->started = report.started;
    run->weakened = report.weakened;
    bool main = run == &*main_;
    auto text = fmt::format("started version {} as pid {}{}", run->release->version, report.pid,
                            main ? "" : " beside the old run");
    tell(Weight::info, "start", text);
    for (const auto& weakness : report.weakened) {
        tell(Weight::warning, "start", fmt::format("pid {}: {}", report.pid, weakness));
    }
    if (main) become(now, InstanceState::starting, text + "; not ready yet");
    if (run->asked_to_end) {
        end(now, *run, run->release->spec.deploy.drain, "no longer wanted");
        return;
    }
    begin_probes(*run);
    notified(now, report.run, report.notified);
}

void Instance::launch_failed(Instant now, runtime::RunId id, const Error& error,
                             runtime::Random& random) {
    Run* found = find(id);
    if (!found || found->phase != Phase::launching) return;
    Run run = std::move(*found);
    auto what = fmt::format("could not be started: {}", error.message);
    bool certain = error.code == Errc::invalid || error.code == Errc::denied;
    tell(Weight::warning, "start", what);
    if (second_ && second_->id == id) {
        second_.reset();
        second_ended(now, run, what, certain);
    } else {
        main_.reset();
        if (!run.asked_to_end) {
            count_failure(now, run, what, random);
            event(Kind::failed_start, run, what, certain);
        }
        if (second_ && !second_leaves_) promote(now);
    }
    if (!wanted_ && !live()) become(now, InstanceState::stopped, "stopped");
}

void Instance::exited(Instant now, runtime::RunId id, const runtime::Exit& exit,
                      runtime::Random& random) {
    Run* found = find(id);
    if (!found) return;
    Run run = *found;
    auto what = fmt::format("{} after {}", describe_exit(exit),
                            format_duration_rough(std::max(Duration::zero(), now - run.begun)));
    if (run.hang) what = fmt::format("{}; {}", *run.hang, what);
    out_.put(ForgetRun{id});
    if (second_ && second_->id == id) {
        second_.reset();
        second_ended(now, run, what, false);
    } else {
        main_.reset();
        last_exit_ = exit;
        last_exit_reason_ = what;
        judge_end(now, run, what, exit.by, random);
        if (second_ && !second_leaves_) promote(now);
    }
    if (!wanted_ && !live()) {
        become(now, InstanceState::stopped, fmt::format("stopped: {}", what));
    }
}

void Instance::judge_end(Instant now, const Run& run, const std::string& what, EndedBy by,
                         runtime::Random& random) {
    bool ours = run.asked_to_end || (by == EndedBy::holdfast && !run.hang);
    if (ours) {
        tell(Weight::info, "exit", what);
        restart_cause_.reset();
        next_start_ = now;
        if (wanted_) become(now, InstanceState::queued, what + "; to be started again");
        return;
    }
    bool blameless = by == EndedBy::outside || by == EndedBy::unknown;
    if (blameless && run.was_ready && !run.hang) {
        unplanned_ = true;
        restart_cause_ = RestartCause::outside;
        next_start_ = now;
        tell(Weight::warning, "exit", what + "; starting it again at once");
        become(now, InstanceState::queued, what);
        event(Kind::killed, run, what);
        return;
    }
    count_failure(now, run, what, random);
    tell(Weight::warning, "exit", reason_);
    if (blameless) {
        event(Kind::killed, run, what);
    } else {
        event(run.was_ready ? Kind::failed : Kind::failed_start, run, what);
    }
}

void Instance::count_failure(Instant now, const Run& run, const std::string& what,
                             runtime::Random& random) {
    if (run.ready_since && now - *run.ready_since >= run.release->spec.restart.reset_after) {
        backoff_.forget();
    }
    next_start_ = now + backoff_.failed(random);
    unplanned_ = true;
    restart_cause_ = run.hang ? RestartCause::hang : RestartCause::failure;
    int n = backoff_.failures();
    become(now, InstanceState::backing_off,
           fmt::format("{}{}; {} in a row", what, run.was_ready ? "" : ", before it was ready",
                       n == 1 ? "1 failure" : fmt::format("{} failures", n)));
}

void Instance::second_ended(Instant now, const Run& run, const std::string& what, bool certain) {
    if (second_leaves_) {
        tell(Weight::info, "exit", "the old run: " + what);
        return;
    }
    if (!run.asked_to_end) {
        auto text = fmt::format("the new run (version {}) {}; the old one stays",
                                run.release->version, what);
        tell(Weight::warning, "restart", text);
        hot_wanted_ = false;
        event(Kind::hot_failed, run, what, certain);
    }
    if (main_ && main_->phase != Phase::stopping) begin_probes(*main_);
    static_cast<void>(now);
}

void Instance::end(Instant now, Run& run, Duration grace, std::string why) {
    if (run.phase == Phase::launching) return;  // launched() comes back to it.
    if (run.phase != Phase::stopping) {
        stop_ready_probe(run);
        if (std::exchange(run.live_probe, false)) out_.put(StopProbe{run.id, ProbeRole::live});
    }
    run.phase = Phase::stopping;
    out_.put(StopRun{run.id, grace});
    if (main_ && run.id == main_->id) {
        become(now, InstanceState::stopping,
               fmt::format("{}; given {} to end", why, format_duration_rough(grace)));
    }
}

void Instance::take_over(Instant now) {
    std::swap(main_, second_);
    second_leaves_ = true;
    second_->asked_to_end = true;
    end(now, *second_, second_->release->spec.deploy.drain, replace_why_);
}

void Instance::promote(Instant now) {
    main_ = std::exchange(second_, std::nullopt);
    if (main_->phase == Phase::stopping) {
        become(now, InstanceState::stopping, "the run that was to take over is being stopped");
        return;
    }
    restart_cause_.reset();
    become(now, InstanceState::starting, "the old run has gone; the new one is not ready yet");
    if (main_->phase == Phase::starting) begin_probes(*main_);
}

void Instance::tick(Instant now) {
    for (auto* slot : {&main_, &second_}) {
        if (!*slot) continue;
        Run& run = **slot;
        if (run.phase == Phase::starting && settles(run) && now - run.begun >= settle_after) {
            up(now, run, fmt::format("has lived for {}", format_duration_rough(settle_after)));
            continue;
        }
        check_hang(now, run);
    }
    if (second_ && !second_leaves_ && second_->phase == Phase::starting &&
        now - second_->begun >= hot_within_) {
        second_->hang = fmt::format("not ready within {}", format_duration_rough(hot_within_));
        end(now, *second_, coming_grace, *second_->hang);
    }
    if (main_ && main_->phase == Phase::ready && backoff_.failures() > 0 &&
        now - *main_->ready_since >= main_->release->spec.restart.reset_after) {
        backoff_.forget();
    }
}

void Instance::check_hang(Instant now, Run& run) {
    if (run.phase == Phase::launching || run.phase == Phase::stopping || run.hang) return;
    Duration after = run.release->spec.restart.hang_after;
    if (run.notified.watchdog_trigger) {
        run.hang = "asked to be restarted (WATCHDOG=trigger)";
    } else if (run.watchdog && now - *run.watchdog >= after) {
        run.hang =
            fmt::format("hung: no WATCHDOG=1 for {}", format_duration_rough(now - *run.watchdog));
    } else if (run.live_failing_since && now - *run.live_failing_since >= after) {
        run.hang =
            fmt::format("hung: its live probe has failed for {} ({})",
                        format_duration_rough(now - *run.live_failing_since), run.live_reason);
    } else {
        return;
    }
    tell(Weight::warning, "hang", *run.hang);
    unplanned_ = unplanned_ || (main_ && run.id == main_->id);
    end(now, run, std::min(hang_grace, run.release->spec.deploy.drain), *run.hang);
}

Instant Instance::next_deadline() const {
    Instant next = Instant::max();
    for (const auto* slot : {&main_, &second_}) {
        if (!*slot) continue;
        const Run& run = **slot;
        if (run.phase == Phase::launching || run.phase == Phase::stopping) continue;
        if (run.phase == Phase::starting && settles(run)) {
            next = std::min(next, run.begun + settle_after);
        }
        Duration after = run.release->spec.restart.hang_after;
        if (run.watchdog) next = std::min(next, *run.watchdog + after);
        if (run.live_failing_since) next = std::min(next, *run.live_failing_since + after);
    }
    if (second_ && !second_leaves_ && second_->phase == Phase::starting) {
        next = std::min(next, second_->begun + hot_within_);
    }
    if (main_ && main_->phase == Phase::ready && backoff_.failures() > 0) {
        next = std::min(next, *main_->ready_since + main_->release->spec.restart.reset_after);
    }
    return next;
}

}  // namespace holdfast::service
