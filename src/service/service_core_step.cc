// How a service decides: what to replace, what may start, whether its rollout has failed.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "service/service_core.h"

namespace holdfast::service {

using Strategy = DeploySpec::Strategy;
using Weight = TellEvent::Weight;

void ServiceCore::step(Instant now, StartGate& gate, const std::optional<std::string>& held_back) {
    next_try_ = Instant::max();
    last_step_ = now;
    for (auto& [index, instance] : instances_) instance.tick(now);
    take_events(now);
    fit_count(now);
    drop_surplus(gate);
    if (!running_ && !live()) begun_ = false;
    judge_rollout(now);
    steer(now);
    take_events(now);
    judge_rollout(now);
    give_back_turns(gate);
    close_sockets();
    if (running_) ask_for_starts(now, gate, held_back);
    update_state(now, held_back);
}

bool ServiceCore::replacement_under_way() const {
    return std::ranges::any_of(instances_, [](const auto& entry) {
        const Instance& instance = entry.second;
        return instance.wanted() && (instance.replacing_hot() || !instance.ready());
    });
}

void ServiceCore::steer(Instant now) {
    if (!running_ || rolling_back_) return;
    auto other = std::ranges::find_if(instances_, [&](const auto& entry) {
        return entry.second.outdated() && entry.second.runs_other_than(release_->content);
    });
    if (other == instances_.end()) return steer_restart(now);
    // One that has failed was left as it is.
    if (rollout_ && rollout_told_ && hot_possible()) return;
    auto within = rollout_ ? rollout_->plan().ready_within
                           : ready_within(release_->spec.deploy.watch, std::nullopt);
    auto why = fmt::format("replaced by version {}", release_->version);
    if (!hot_possible()) {
        for (auto& [index, instance] : instances_) {
            if (instance.outdated()) instance.replace(now, ReplaceHow::cold, within, why);
        }
        return;
    }
    // One after the other; but one that is not ready has nothing to keep.
    for (auto& [index, instance] : instances_) {
        if (instance.outdated() && !instance.ready()) {
            instance.replace(now, ReplaceHow::hot, within, why);
        }
    }
    if (replacement_under_way()) return;
    for (auto& [index, instance] : instances_) {
        if (!instance.outdated()) continue;
        instance.replace(now, ReplaceHow::hot, within, why);
        return;
    }
}

void ServiceCore::steer_restart(Instant now) {
    if (restart_given_up_ == release_->serial && release_->serial > 0) return;
    auto how = ReplaceHow::cold;
    bool by_spec = wanted_->restart_mode == RestartMode::automatic;
    if (inherits_socket(release_->spec) &&
        (wanted_->restart_mode == RestartMode::hot ||
         (by_spec && release_->spec.deploy.strategy == Strategy::hot))) {
        how = ReplaceHow::hot;
    }
    auto within = ready_within(release_->spec.deploy.watch, std::nullopt);
    for (auto& [index, instance] : instances_) {
        if (instance.outdated() && !instance.ready()) {
            instance.replace(now, how, within, "restarted by an operator");
        }
    }
    if (replacement_under_way()) return;
    for (auto& [index, instance] : instances_) {
        if (!instance.outdated()) continue;
        instance.replace(now, how, within, "restarted by an operator");
        return;
    }
}

void ServiceCore::judge_rollout(Instant now) {
    if (!rollout_ || !running_) return;
    int good = 0;
    for (auto& [index, instance] : instances_) {
        if (!instance.wanted()) continue;
        if (instance.ready() && instance.stands_for(rollout_->plan().content)) ++good;
        auto started = instance.started(rollout_->plan().content);
        if (started && now - *started >= rollout_->plan().ready_within && !rolling_back_) {
            rollout_->start_is_slow(now);
        }
    }
    if (rolling_back_) return;
    rollout_->progress(now, good, count_);
    if (good == count_) {
        end_pending_rollback(fmt::format("version {} is ready in its place", release_->version));
    }
    if (auto verdict = rollout_->verdict()) conclude(now, *verdict);
}

void ServiceCore::conclude(Instant now, const RolloutVerdict& verdict) {
    auto version = rollout_->plan().version;
    if (verdict.live) {
        make_live(verdict.reason);
        rollout_.reset();
        return;
    }
    if (rollout_told_) {
        rollout_->begin_again(now);
        return;
    }
    end_pending_rollback(
        fmt::format("but version {} is not ready either: {}", version, verdict.reason));
    if (!rollout_->plan().goes_back) {
        auto left = wanted_->cause == Cause::rollback ? "it is itself a rollback, and stays"
                                                      : "it stays, as deploy.rollback says";
        end_rollout(RolloutOutcome::failed, fmt::format("{}; {}", verdict.reason, left));
        rollout_->begin_again(now);
        return;
    }
    rolling_back_ = true;
    rollback_reason_ = verdict.reason;
    pending_rollback_ =
        RolloutResult{name_, version, RolloutOutcome::rolled_back, verdict.reason, 0, {}};
    tell(Weight::warning, "rollout",
         fmt::format("version {} has failed and is rolled back: {}", version, verdict.reason));
    out_.put(AskRollback{name_, version, verdict.reason});
}

Instance* ServiceCore::last_candidate(const StartGate& gate) {
    Instance* first = nullptr;
    for (auto& [index, instance] : instances_) {
        if (!instance.wanted()) continue;
        bool asked = gate.waits({name_, index}) || gate.holds({name_, index});
        if (instance.ready() || instance.starting()) return nullptr;
        if (!instance.needs_start()) continue;
        if (asked) return nullptr;
        if (!first || instance.start_due() < first->start_due()) first = &instance;
    }
    return first;
}

std::optional<ServiceCore::Hindrance> ServiceCore::hindrance(
    Instant now, const Instance& instance, bool no_back_off,
    const std::optional<std::string>& held_back) const {
    if (!begun_ && held_back) return Hindrance{InstanceState::waiting, *held_back};
    if (!hot_possible()) {
        bool other = std::ranges::any_of(instances_, [&](const auto& entry) {
            return entry.second.runs_other_than(release_->content);
        });
        if (other) {
            return Hindrance{InstanceState::queued, "waits until the old version has stopped"};
        }
    }
    if (instance.start_due() > now && !no_back_off) {
        return Hindrance{InstanceState::backing_off, instance.reason(), instance.start_due()};
    }
    if (instance.start_is_restart()) {
        if (auto next = window_.next(now); next > now) {
            return Hindrance{InstanceState::backing_off, instance.reason(), next};
        }
    }
    return std::nullopt;
}

void ServiceCore::ask_for_starts(Instant now, StartGate& gate,
                                 const std::optional<std::string>& held_back) {
    Instance* last = last_candidate(gate);
    auto urgency = ready() == 0 ? Urgency::last_candidate : Urgency::ordinary;
    for (auto& [index, instance] : instances_) {
        StartKey key{name_, index};
        if (!instance.needs_start()) continue;
        bool no_back_off = &instance == last || gate.waits(key);
        if (auto hindered = hindrance(now, instance, no_back_off, held_back)) {
            gate.release(key);
            next_try_ = std::min(next_try_, hindered->until);
            instance.wait(now, hindered->state, hindered->reason);
            continue;
        }
        gate.request(key, urgency);
        if (instance.state() == InstanceState::waiting) {
            instance.wait(now, InstanceState::queued, "waits for its turn to start");
        }
    }
}

void ServiceCore::close_sockets() {
    bool keeps = running_ && release_ && inherits_socket(release_->spec);
    std::erase_if(sockets_, [&](const std::string& name) {
        if (keeps && name == socket_name(release_->spec)) return false;
        for (const auto& [index, instance] : instances_) {
            if (instance.uses_socket(name)) return false;
        }
        out_.put(CloseSocket{name});
        return true;
    });
}

Instant ServiceCore::next_deadline() const {
    Instant next = next_try_;
    // What the last step has seen and left is not a reason to wake again.
    auto at = [&](Instant deadline) {
        if (deadline > last_step_) next = std::min(next, deadline);
    };
    for (const auto& [index, instance] : instances_) {
        next = std::min(next, instance.next_deadline());
        if (!rollout_) continue;
        auto started = instance.started(rollout_->plan().content);
        if (started) at(*started + rollout_->plan().ready_within);
    }
    if (rollout_) at(rollout_->next_deadline());
    return next;
}

}  // namespace holdfast::service
