// What a service is, as far as its owner is concerned.
#include <fmt/format.h>

#include <algorithm>

#include "service/service_core.h"

namespace holdfast::service {

std::pair<ServiceState, std::string> ServiceCore::judge_state(
    const std::optional<std::string>& held_back) const {
    if (!wanted_ && !deleted_ && !shutting_) {
        return {ServiceState::degraded, "what is wanted of it cannot be read; left as it is"};
    }
    if (!running_) {
        return {live() ? ServiceState::stopping : ServiceState::stopped, stop_why_};
    }
    const Instance* trouble = nullptr;
    const Instance* slow = nullptr;
    for (const auto& [index, instance] : instances_) {
        if (!instance.wanted() || instance.ready()) continue;
        if (instance.unplanned() && !trouble) trouble = &instance;
        if (!slow) slow = &instance;
    }
    auto of = [&](const Instance* instance) {
        return fmt::format("{}: {}", instance_name(instance->id()), instance->reason());
    };
    bool replacing =
        rollout_ && !rollout_told_ && rollout_->plan().from != 0 && !rollout_->watching();
    int up = ready();
    if (up >= count_ && !replacing && !rolling_back_) {
        if (rollout_ && rollout_told_ && last_rollout_) {
            return {ServiceState::ready,
                    fmt::format("all {} ready; version {} {}", count_, last_rollout_->version,
                                outcome_name(last_rollout_->outcome))};
        }
        return {ServiceState::ready, fmt::format("{} of {} ready", up, count_)};
    }
    if (up == 0 && trouble) return {ServiceState::down, of(trouble)};
    if (replacing || rolling_back_) {
        return {ServiceState::deploying,
                rolling_back_ ? fmt::format("version {} is rolled back: {}",
                                            rollout_->plan().version, rollback_reason_)
                              : fmt::format("version {} replaces version {}",
                                            rollout_->plan().version, rollout_->plan().from)};
    }
    if (trouble) return {ServiceState::degraded, of(trouble)};
    if (!begun_ && held_back) return {ServiceState::waiting, *held_back};
    return {ServiceState::starting, slow ? of(slow) : "about to start"};
}

void ServiceCore::update_state(Instant now, const std::optional<std::string>& held_back) {
    auto [state, reason] = judge_state(held_back);
    reason_ = std::move(reason);
    if (state == state_) return;
    auto from = std::exchange(state_, state);
    since_ = now;
    out_.put(TellState{name_, std::nullopt, state_name(from), state_name(state), reason_});
}

int ServiceCore::restarts_since(Instant since) const {
    auto first = std::ranges::lower_bound(restart_times_, since);
    return static_cast<int>(restart_times_.end() - first);
}

ServiceView ServiceCore::view(Moment moment) const {
    ServiceView view;
    view.name = name_;
    view.state = state_;
    view.reason = reason_;
    view.since = moment.wall_at(since_);
    view.version = wanted_ ? wanted_->version : 0;
    view.previous = previous_;
    view.wanted = running_ ? count_ : 0;
    view.ready = ready();
    view.restarts = restarts_;
    view.restarts_last_hour =
        static_cast<std::uint64_t>(restarts_since(moment.now - std::chrono::hours(1)));
    if (wanted_) {
        if (const auto& listen = wanted_->spec.listen) {
            view.address = listen->address;
            view.port = listen->port;
        }
        view.after = wanted_->spec.after;
        view.alert_to = wanted_->spec.alert.to;
    }
    for (const auto& [index, instance] : instances_)
        view.instances.push_back(instance.view(moment));
    if (rollout_ && !rollout_told_) {
        const auto& plan = rollout_->plan();
        RolloutView rollout;
        rollout.version = plan.version;
        rollout.from = plan.from;
        rollout.strategy = plan.strategy == DeploySpec::Strategy::hot ? "hot" : "recreate";
        rollout.since = moment.wall_at(rollout_->began());
        rollout.wanted = view.wanted;
        for (const auto& [index, instance] : instances_) {
            if (instance.ready() && instance.stands_for(plan.content)) ++rollout.replaced;
        }
        if (auto until = rollout_->watch_until()) {
            rollout.phase = RolloutPhase::watching;
            rollout.watch_until = moment.wall_at(*until);
        }
        if (pending_rollback_ && !rolling_back_) {
            rollout.replaces_failed = pending_rollback_->version;
        }
        if (rolling_back_) {
            rollout.phase = RolloutPhase::rolling_back;
            rollout.reason = rollback_reason_;
        }
        view.rollout = rollout;
    }
    view.last_rollout = last_rollout_;
    return view;
}

}  // namespace holdfast::service
