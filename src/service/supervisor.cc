#include "service/supervisor.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/log.h"
#include "base/units.h"
#include "health/journal.h"
#include "service/supervisor_state.h"

namespace holdfast::service {

Supervisor::State::State(SupervisorEdges edges_given, SupervisorOptions options_given)
    : edges(std::move(edges_given)),
      options(std::move(options_given)),
      random(edges.random.fork()),
      since(edges.clock.wall_now()),
      wishes(edges.coordinator),
      probes(edges.clock, edges.prober, edges.random.fork(),
             [this](const ProbeVerdict& verdict) {
                 core->probed(edges.clock.now(), verdict);
                 wake();
             }),
      feeds(edges.clock),
      step_timer(edges.clock.timers(), [this] { step(); }) {}

Supervisor::Supervisor(SupervisorEdges edges, SupervisorOptions options)
    : state_(std::make_unique<State>(std::move(edges), std::move(options))) {}

Supervisor::~Supervisor() = default;

runtime::Task<Result<void>> Supervisor::run() {
    State& state = *state_;
    HF_CO_TRY_VOID(co_await state.begin());
    state.tasks.spawn(state.work_on_sockets());
    state.tasks.spawn(state.work_on_catalog());
    state.tasks.spawn(state.follow_keeper());
    state.tasks.spawn(state.follow_wishes());
    state.wake();
    state.taken_over.complete(true);
    runtime::Completion<bool> idle;
    state.awaiting_idle.push_back(idle);
    co_await idle.wait();
    co_return Result<void>();
}

runtime::Task<void> Supervisor::began() {
    co_await state_->taken_over.wait();
}

runtime::Task<void> Supervisor::shut_down() {
    State& state = *state_;
    state.shutting = true;
    if (!state.core) co_return;
    state.core->shut_down();
    state.wake();
    runtime::Completion<bool> idle;
    state.awaiting_idle.push_back(idle);
    co_await idle.wait();
}

void Supervisor::State::step() {
    if (!core) return;
    Instant now = edges.clock.now();
    auto actions = core->step(now);
    std::set<std::string> changed;
    for (auto& action : actions) {
        if (auto* told = std::get_if<TellState>(&action); told && !told->index) {
            changed.insert(told->service);
        }
        if (auto* event = std::get_if<TellEvent>(&action); event && event->kind == "rollout") {
            changed.insert(event->service);
        }
        std::visit([this](auto& each) { carry_out(std::move(each)); }, action);
    }
    observe_changes(changed);
    feeds.judge([this](const std::string& service, VersionNumber version) {
        return judge_feed(service, version);
    });
    if (shutting && core->idle()) {
        for (auto& waiting : std::exchange(awaiting_idle, {})) waiting.complete(true);
        return;
    }
    if (step_timer.armed()) return;  // Fed meanwhile.
    Instant next = core->next_deadline();
    if (next != Instant::max()) step_timer.arm(std::max(next, edges.clock.now()));
}

ServiceView Supervisor::State::complete(ServiceView view) const {
    // The same, with its time.
    if (const auto* latest = feeds.latest(view.name)) view.last_rollout = *latest;
    return view;
}

void Supervisor::State::observe_changes(const std::set<std::string>& changed) {
    for (auto& view : core->services(moment())) {
        const Labels labels = {{"service", view.name}};
        edges.metrics.gauge("holdfast_service_instances", "Instances that are wanted.", labels)
            .set(view.wanted);
        edges.metrics.gauge("holdfast_service_instances_ready", "Instances that are ready.", labels)
            .set(view.ready);
        auto known = seen.find(view.name);
        if (known != seen.end() && !changed.contains(view.name)) continue;
        auto shown = complete(std::move(view));
        const ServiceView* before = known == seen.end() ? nullptr : &known->second;
        for (const auto& observer : observers) observer(before, &shown);
        seen[shown.name] = std::move(shown);
    }
    for (auto known = seen.begin(); known != seen.end();) {
        if (core->service(moment(), known->first)) {
            ++known;
            continue;
        }
        for (const auto& observer : observers) observer(&known->second, nullptr);
        edges.metrics.remove("service", known->first);
        feeds.forget(known->first, edges.clock.wall_now());
        versions.erase(known->first);
        known = seen.erase(known);
    }
}

std::optional<RolloutResult> Supervisor::State::judge_feed(const std::string& service,
                                                           VersionNumber version) {
    auto view = core->service(moment(), service);
    if (!view || view->version < version) return std::nullopt;  // Not heard of yet.
    RolloutResult result{service, version,       RolloutOutcome::superseded,
                         {},      view->version, edges.clock.wall_now()};
    if (view->version > version) {
        if (view->rollout && view->rollout->replaces_failed == version) return std::nullopt;
        result.reason = fmt::format("version {} is wanted now", view->version);
        return result;
    }
    if (view->wanted == 0) {
        result.reason = "the service is stopped; the version starts when it is started";
        return result;
    }
    if (view->rollout) return std::nullopt;
    if (view->last_rollout && view->last_rollout->version == version) {
        return complete(std::move(*view)).last_rollout;
    }
    result.outcome = RolloutOutcome::live;
    result.reason = "it was live already";
    return result;
}

std::vector<ServiceView> Supervisor::services() const {
    std::vector<ServiceView> views;
    if (!state_->core) return views;
    for (auto& view : state_->core->services(state_->moment())) {
        views.push_back(state_->complete(std::move(view)));
    }
    return views;
}

std::optional<ServiceView> Supervisor::service(std::string_view name) const {
    if (!state_->core) return std::nullopt;
    auto view = state_->core->service(state_->moment(), name);
    if (!view) return std::nullopt;
    return state_->complete(std::move(*view));
}

MachineView Supervisor::machine() const {
    MachineView view;
    view.node = state_->options.around.node;
    view.since = state_->since;
    view.keeper_lost_since = state_->keeper_lost_since;
    view.keeper_reachable = !state_->keeper_lost_since;
    view.shutting_down = state_->shutting;
    view.starting_max = state_->options.starting_max;
    if (state_->core) {
        view.starting = state_->core->starting();
        view.queued = state_->core->queued();
    }
    return view;
}

void Supervisor::observe(Observer observer) {
    state_->observers.push_back(std::move(observer));
}

Result<void> Supervisor::start_now(std::string_view service) {
    if (!state_->core || !state_->core->service(state_->moment(), service)) {
        return fail(Errc::not_found, fmt::format("there is no service {}", service));
    }
    state_->core->start_now(state_->edges.clock.now(), service);
    state_->wake();
    return {};
}

std::unique_ptr<RolloutFeed> Supervisor::follow_rollout(std::string service,
                                                        VersionNumber version) {
    auto feed = state_->feeds.open(std::move(service), version);
    state_->wake();  // It may have its result already.
    return feed;
}

runtime::Task<RolloutResult> Supervisor::wait_rollout(std::string service, VersionNumber version) {
    auto feed = follow_rollout(std::move(service), version);
    while (co_await feed->next()) {
    }
    HF_CHECK(feed->result());
    co_return *feed->result();
}

}  // namespace holdfast::service
