#include "service/service_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/units.h"

namespace holdfast::service {

using Kind = InstanceEvent::Kind;
using Strategy = DeploySpec::Strategy;
using Weight = TellEvent::Weight;

namespace {
constexpr std::size_t restart_times_max = 36'000;  // Of an hour, at ten a second.
}

ServiceCore::ServiceCore(std::string name, Outbox& out) : name_(std::move(name)), out_(out) {}

void ServiceCore::tell(Weight weight, std::string kind, std::string text) {
    out_.put(TellEvent{weight, name_, std::nullopt, std::move(kind), std::move(text)});
}

void ServiceCore::want(Instant now, const DesiredService& wanted,
                       std::optional<OutcomeState> known) {
    HF_CHECK(wanted.version > 0);
    deleted_ = false;
    bool new_version = !wanted_ || wanted_->version != wanted.version;
    bool new_serial = wanted_ && wanted_->restart_serial != wanted.restart_serial;
    bool runs = wanted.running == Running::running && !shutting_;
    bool starts = runs && !running_;
    set_release(now, wanted);
    wanted_ = wanted;
    count_ = wanted.instances;
    if (running_ && !runs) {
        end_pending_rollback("it was stopped before the old version was ready");
        if (rollout_ && !rollout_told_) {
            end_rollout(RolloutOutcome::superseded, "the service was stopped meanwhile");
        }
        rollout_.reset();
        ever_ready_ = false;
        if (!shutting_) stop_why_ = "stopped by an operator";
    }
    running_ = runs;
    if (new_version) {
        if (known == OutcomeState::live) {
            rollout_.reset();
            live_version_ = wanted.version;
        } else if (runs) {
            begin_rollout(now, wanted);
            if (known == OutcomeState::failed) {
                rollout_told_ = true;
                last_rollout_ = RolloutResult{name_,
                                              wanted.version,
                                              RolloutOutcome::failed,
                                              "it had failed before the node started",
                                              0,
                                              {}};
            }
        }
    } else if (starts && live_version_ != wanted.version) {
        begin_rollout(now, wanted);
    }
    if (new_serial && runs) {
        for (auto& [index, instance] : instances_) instance.forget_failures(now);
    }
    fit_count(now);
}

void ServiceCore::set_release(Instant now, const DesiredService& wanted) {
    auto content = wanted.restores ? wanted.restores : wanted.version;
    if (release_ && release_->version == wanted.version &&
        release_->serial == wanted.restart_serial) {
        return;
    }
    release_ = std::make_shared<const Release>(
        Release{wanted.version, content, wanted.restart_serial, wanted.spec});
    for (auto& [index, instance] : instances_) {
        if (instance.wanted()) instance.want(now, release_);
    }
}

bool ServiceCore::hot_possible() const {
    if (release_->spec.deploy.strategy != Strategy::hot || !inherits_socket(release_->spec)) {
        return false;
    }
    // A port that an old run has bound itself cannot be opened beside it.
    return std::ranges::none_of(instances_,
                                [](const auto& entry) { return entry.second.binds_itself(); });
}

void ServiceCore::begin_rollout(Instant now, const DesiredService& wanted) {
    if (rollout_ && !rollout_told_ && !pending_rollback_) {
        auto old = rollout_->plan().version;
        if (old != wanted.version && rollout_->watching()) {
            // Every instance of it serves, so it is what to go back to, watched to the end or not.
            make_live(fmt::format("all ready, and no trouble until version {} cut its watch short",
                                  wanted.version));
        } else if (old != wanted.version) {
            end_rollout(RolloutOutcome::superseded,
                        fmt::format("version {} came before it was done", wanted.version));
        }
    }
    RolloutPlan plan;
    plan.version = wanted.version;
    plan.content = release_->content;
    plan.from = live_version_;
    plan.watch = wanted.spec.deploy.watch;
    plan.strategy = hot_possible() ? Strategy::hot : Strategy::recreate;
    // A rollback is not itself rolled back: from there it would go ever further into the past.
    plan.goes_back = wanted.spec.deploy.rollback == DeploySpec::Rollback::automatic &&
                     wanted.cause != Cause::rollback;
    std::optional<Duration> measured;
    for (const auto& [index, instance] : instances_) {
        measured = std::max(measured, instance.time_to_ready());
    }
    plan.ready_within = ready_within(plan.watch, measured);
    previous_ = live_version_;
    rollout_.emplace(now, plan);
    rollout_told_ = false;
    rolling_back_ = false;
    for (auto& [index, instance] : instances_) instance.forget_failures(now);
    tell(Weight::info, "rollout",
         plan.from ? fmt::format("version {} begins to replace version {}", plan.version, plan.from)
                   : fmt::format("version {} begins", plan.version));
    out_.put(RecordOutcome{name_, plan.version, OutcomeState::rolling, "being rolled out"});
}

void ServiceCore::make_live(const std::string& reason) {
    auto version = rollout_->plan().version;
    if (live_version_ && live_version_ != version) {
        out_.put(RecordOutcome{name_, live_version_, OutcomeState::superseded,
                               fmt::format("replaced by version {}", version)});
    }
    end_rollout(RolloutOutcome::live, reason);
    live_version_ = version;
}

void ServiceCore::end_rollout(RolloutOutcome outcome, std::string reason) {
    auto version = rollout_->plan().version;
    auto state = OutcomeState::superseded;
    if (outcome == RolloutOutcome::live) state = OutcomeState::live;
    if (outcome == RolloutOutcome::failed) state = OutcomeState::failed;
    out_.put(RecordOutcome{name_, version, state, reason});
    auto now_live = outcome == RolloutOutcome::live ? version : live_version_;
    last_rollout_ = RolloutResult{name_, version, outcome, reason, now_live, {}};
    bool good = outcome != RolloutOutcome::failed;
    tell(good ? Weight::info : Weight::warning, "rollout",
         fmt::format("version {}: {}: {}", version, outcome_name(outcome), reason));
    out_.put(EndRollout{*last_rollout_});
    rollout_told_ = true;
}

void ServiceCore::end_pending_rollback(const std::string& how) {
    if (!pending_rollback_) return;
    auto result = *std::exchange(pending_rollback_, std::nullopt);
    result.reason += "; " + how;
    if (release_) result.now_live = release_->version;
    last_rollout_ = result;
    tell(Weight::warning, "rollout",
         fmt::format("version {}: rolled back: {}", result.version, result.reason));
    out_.put(EndRollout{std::move(result)});
}

void ServiceCore::unwant(Instant now, std::string why) {
    end_pending_rollback("the service was deleted meanwhile");
    if (rollout_ && !rollout_told_) end_rollout(RolloutOutcome::superseded, why);
    rollout_.reset();
    running_ = false;
    deleted_ = true;
    ever_ready_ = false;
    live_version_ = 0;
    wanted_.reset();
    count_ = 0;
    stop_why_ = std::move(why);
    fit_count(now);
}

void ServiceCore::shut_down(Instant now) {
    shutting_ = true;
    running_ = false;
    stop_why_ = "the node shuts down";
    fit_count(now);
}

void ServiceCore::start_now(Instant now) {
    for (auto& [index, instance] : instances_) instance.forget_failures(now);
}

void ServiceCore::rollback_refused(Instant now, const std::string& why) {
    if (!rollout_ || !rolling_back_) return;
    rolling_back_ = false;
    pending_rollback_.reset();
    end_rollout(
        RolloutOutcome::failed,
        fmt::format("{}; it stays, because there is no going back: {}", rollback_reason_, why));
    rollout_->begin_again(now);
}

void ServiceCore::adopt(Moment moment, int index, const runtime::RunReport& report,
                        ReleasePtr release, runtime::Random& random) {
    HF_CHECK(!wanted_);
    auto& instance = instances_.try_emplace(index, InstanceId{name_, index}, out_).first->second;
    if (inherits_socket(release->spec)) sockets_.insert(socket_name(release->spec));
    instance.adopt(moment, report, std::move(release));
    if (report.exit) {
        tell(Weight::info, "adopt",
             fmt::format("instance {} ended at {}, while the node was away", index,
                         format_wall_time(report.exit->at)));
        instance.exited(moment.instant_at(report.exit->at), report.run, *report.exit, random);
    } else {
        begun_ = true;
    }
    instance.take_events();  // Of a past that no rollout of now is to be judged by.
    ever_ready_ = ever_ready_ || instance.ready();
}

void ServiceCore::start(Instant now, int index, runtime::RunId run) {
    Instance& instance = instances_.at(index);
    if (instance.start_is_restart()) {
        window_.started(now);
        ++restarts_;
        restart_times_.push_back(now);
        if (restart_times_.size() > restart_times_max) restart_times_.pop_front();
    }
    begun_ = true;
    if (inherits_socket(release_->spec)) sockets_.insert(socket_name(release_->spec));
    instance.start(now, run);
}

void ServiceCore::launched(Instant now, const runtime::RunReport& report, runtime::Random& random) {
    for (auto& [index, instance] : instances_) {
        if (!instance.knows(report.run)) continue;
        instance.launched(now, report);
        if (report.exit) instance.exited(now, report.run, *report.exit, random);
        return;
    }
}

void ServiceCore::launch_failed(Instant now, runtime::RunId run, const Error& error,
                                runtime::Random& random) {
    for (auto& [index, instance] : instances_) instance.launch_failed(now, run, error, random);
}

void ServiceCore::notified(Instant now, runtime::RunId run, const runtime::Notified& notified) {
    for (auto& [index, instance] : instances_) instance.notified(now, run, notified);
}

void ServiceCore::probed(Instant now, const ProbeVerdict& verdict) {
    for (auto& [index, instance] : instances_) instance.probed(now, verdict);
}

void ServiceCore::exited(Instant now, runtime::RunId run, const runtime::Exit& exit,
                         runtime::Random& random) {
    for (auto& [index, instance] : instances_) instance.exited(now, run, exit, random);
}

bool ServiceCore::knows(runtime::RunId run) const {
    return std::ranges::any_of(instances_,
                               [run](const auto& entry) { return entry.second.knows(run); });
}

bool ServiceCore::live() const {
    return std::ranges::any_of(instances_, [](const auto& entry) { return entry.second.live(); });
}

int ServiceCore::ready() const {
    return static_cast<int>(
        std::ranges::count_if(instances_, [](const auto& entry) { return entry.second.ready(); }));
}

const std::vector<std::string>& ServiceCore::after() const {
    static const std::vector<std::string> none;
    return wanted_ ? wanted_->spec.after : none;
}

std::optional<std::string> ServiceCore::keeps_waiting() const {
    if (ready() > 0) return std::nullopt;
    if (deleted_ || !wanted_) return fmt::format("waits for {}, which does not exist", name_);
    if (!running_) return fmt::format("waits for {}, which is stopped", name_);
    return fmt::format("waits for {}, which is {}", name_, state_name(state_));
}

void ServiceCore::take_events(Instant now) {
    for (auto& [index, instance] : instances_) {
        for (const auto& event : instance.take_events()) judge_event(now, event);
    }
    ever_ready_ = ever_ready_ || ready() > 0;
}

void ServiceCore::judge_event(Instant now, const InstanceEvent& event) {
    bool judged = rollout_ && !rolling_back_ && event.content == rollout_->plan().content;
    if (event.kind == Kind::hot_failed && !judged) {
        restart_given_up_ = release_ ? release_->serial : 0;
        return;
    }
    if (!judged) return;
    switch (event.kind) {
        case Kind::failed_start:
            rollout_->start_failed(now, event.reason, event.certain);
            break;
        case Kind::failed:
            rollout_->failed(now, event.reason);
            break;
        case Kind::hot_failed:
            rollout_->hot_failed(now, event.reason);
            break;
        case Kind::unready:
            rollout_->unready(now, event.reason);
            break;
        case Kind::ready:
            break;
        case Kind::killed:
            break;
    }
}

void ServiceCore::fit_count(Instant now) {
    // One whose records cannot be read is left as it is.
    if (!wanted_ && !deleted_ && !shutting_) return;
    int count = running_ ? count_ : 0;
    for (auto entry = instances_.rbegin(); entry != instances_.rend(); ++entry) {
        auto& [index, instance] = *entry;
        if (index < count) break;
        instance.stop(now, running_ ? fmt::format("scaled to {}", count) : stop_why_);
    }
    for (int index = 0; index < count; ++index) {
        auto& instance =
            instances_.try_emplace(index, InstanceId{name_, index}, out_).first->second;
        if (!instance.wanted()) instance.want(now, release_);
    }
}

void ServiceCore::drop_surplus(StartGate& gate) {
    std::erase_if(instances_, [&](const auto& entry) {
        if (entry.first < count_ || entry.second.wanted() || entry.second.live()) return false;
        gate.release({name_, entry.first});
        return true;
    });
}

void ServiceCore::give_back_turns(StartGate& gate) {
    for (const auto& [index, instance] : instances_) {
        StartKey key{name_, index};
        if (gate.holds(key) && !instance.starting()) gate.release(key);
        if (gate.waits(key) && !instance.needs_start()) gate.release(key);
    }
}

}  // namespace holdfast::service
