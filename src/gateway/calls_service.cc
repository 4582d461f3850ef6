#include <fmt/format.h>

#include "gateway/bodies.h"
#include "gateway/calls.h"
#include "gateway/shown.h"
#include "gateway/streams.h"

namespace holdfast::gateway {
namespace {

constexpr int tail_most = 100'000;
constexpr int tail_usual = 100;

service::RestartMode mode_of(RestartWish wish) {
    switch (wish) {
        case RestartWish::by_spec:
            return service::RestartMode::automatic;
        case RestartWish::hot:
            return service::RestartMode::hot;
        case RestartWish::cold:
            return service::RestartMode::cold;
    }
    return service::RestartMode::automatic;
}

Result<service::DryRun> dry_run_of(const Call& call) {
    HF_TRY(bool wanted, flag(call.query, "dry_run"));
    return wanted ? service::DryRun::yes : service::DryRun::no;
}

// A service that was declared a moment ago, and that the supervisor has not taken up yet.
service::ServiceView just_declared(const service::Version& version) {
    service::ServiceView view;
    view.name = version.spec.name;
    view.state = service::ServiceState::starting;
    view.reason = "declared; not taken up yet";
    view.since = version.made;
    view.version = version.number;
    view.wanted = version.spec.instances;
    if (version.spec.listen) {
        view.address = version.spec.listen->address;
        view.port = version.spec.listen->port;
    }
    view.after = version.spec.after;
    return view;
}

}  // namespace

runtime::Task<Result<void>> ServiceCalls::must_exist(std::string name) {
    HF_CO_TRY_VOID(co_await edges_.catalog.version(std::move(name), std::nullopt));
    co_return Result<void>();
}

// What was deleted may still be stopping: the supervisor then shows it a little longer.
Answered ServiceCalls::shown(std::string name) {
    if (auto view = edges_.operations.service(name)) co_return json_response(service_json(*view));
    if (auto job = edges_.operations.job(name)) {
        co_return json_response(service_json(*job, edges_.facts.started));
    }
    HF_CO_TRY(auto version, co_await edges_.catalog.version(name, std::nullopt));
    co_return json_response(service_json(just_declared(version)));
}

Answered ServiceCalls::list(Call) {
    co_return json_response(services_json(edges_.operations.services(), edges_.operations.jobs(),
                                          edges_.facts.started));
}

Answered ServiceCalls::show(Call call) {
    co_return co_await shown(call.name());
}

Answered ServiceCalls::spec(Call call) {
    HF_CO_TRY(bool effective, flag(call.query, "effective"));
    HF_CO_TRY(auto version, co_await edges_.catalog.version(call.name(), std::nullopt));
    co_return json_response(spec_json(version, call.name(), effective));
}

Answered ServiceCalls::history(Call call) {
    HF_CO_TRY(auto history, co_await edges_.catalog.history(call.name()));
    co_return json_response(history_json(call.name(), history));
}

// A deleted service's past may still be asked for, as long as the journal knows it.
Answered ServiceCalls::why(Call call) {
    auto account = edges_.operations.explain(call.name());
    if (account.timeline.empty()) HF_CO_TRY_VOID(co_await must_exist(call.name()));
    co_return json_response(why_json(call.name(), account));
}

Answered ServiceCalls::runs(Call call) {
    auto job = edges_.operations.job(call.name());
    if (!job) {
        HF_CO_TRY(auto version, co_await edges_.catalog.version(call.name(), std::nullopt));
        if (!version.spec.job) {
            co_return fail(Errc::invalid,
                           fmt::format("{} is a server, not a job: it has no runs", call.name()));
        }
        job.emplace();
        job->name = call.name();
        job->version = version.number;
        job->reason = "declared; not taken up yet";
    }
    auto runs = edges_.operations.runs(call.name());
    co_return json_response(runs_json(*job, runs.value_or(std::vector<service::JobRun>())));
}

Answered ServiceCalls::logs(Call call) {
    HF_CO_TRY(auto tail, number(call.query, "tail", tail_most));
    HF_CO_TRY(auto instance, number(call.query, "instance", 1'000'000));
    HF_CO_TRY(bool follow, flag(call.query, "follow"));
    auto opened = edges_.clock.wall_now();
    std::unique_ptr<service::OutputFeed> feed;
    if (follow) feed = edges_.operations.follow_output(call.name(), instance);
    service::OutputQuery query{.instance = instance,
                               .lines_max = static_cast<std::size_t>(tail.value_or(tail_usual)),
                               .since = std::nullopt};
    auto past = co_await edges_.operations.output(call.name(), query);
    if (!past) {
        if (past.error().code != Errc::not_found) co_return std::unexpected(past.error());
        HF_CO_TRY_VOID(co_await must_exist(call.name()));
        past = std::vector<service::OutputLine>();
    }
    co_return stream_response(
        std::make_unique<OutputLines>(*std::move(past), std::move(feed), opened));
}

Answered ServiceCalls::apply(Call call) {
    HF_CO_TRY(auto dry_run, dry_run_of(call));
    HF_CO_TRY(bool wait, flag(call.query, "wait"));
    auto file = find(call.query, "file").value_or("service.toml");
    HF_CO_TRY(auto plan, co_await edges_.catalog.apply({.text = std::move(call.body),
                                                        .file = std::string(file),
                                                        .author = call.author,
                                                        .dry_run = dry_run}));
    if (dry_run == service::DryRun::yes || !wait) co_return json_response(plan_json(plan, dry_run));
    co_return co_await rolled_out(std::move(plan));
}

Answered ServiceCalls::remove(Call call) {
    HF_CO_TRY(auto dry_run, dry_run_of(call));
    if (dry_run == service::DryRun::yes) {
        HF_CO_TRY_VOID(co_await must_exist(call.name()));
    } else {
        HF_CO_TRY_VOID(co_await edges_.catalog.remove(call.name()));
    }
    co_return json_response(deleted_json(call.name(), dry_run));
}

// A job has no rollout: its next run is of the new version.
Answered ServiceCalls::rolled_out(service::Plan plan) {
    HF_CO_TRY(auto version, co_await edges_.catalog.version(plan.name, plan.version));
    if (version.spec.job) co_return json_response(plan_json(plan, service::DryRun::no));
    auto feed = edges_.operations.follow_rollout(plan.name, plan.version);
    co_return stream_response(std::make_unique<RolloutLines>(
        edges_.clock, plan.name, plan.version, std::move(plan.warnings), std::move(feed)));
}

Answered ServiceCalls::deploy(Call call) {
    HF_CO_TRY(auto dry_run, dry_run_of(call));
    HF_CO_TRY(auto wanted, parse_deploy(call.body));
    HF_CO_TRY(auto plan, co_await edges_.catalog.deploy({.name = call.name(),
                                                         .env = std::move(wanted.env),
                                                         .command = std::move(wanted.command),
                                                         .author = call.author,
                                                         .dry_run = dry_run}));
    if (dry_run == service::DryRun::yes) co_return json_response(plan_json(plan, dry_run));
    co_return co_await rolled_out(std::move(plan));
}

Answered ServiceCalls::rollback(Call call) {
    HF_CO_TRY(auto dry_run, dry_run_of(call));
    HF_CO_TRY(auto wanted, parse_rollback(call.body));
    HF_CO_TRY(auto plan,
              co_await edges_.catalog.rollback({.name = call.name(),
                                                .to = wanted.to,
                                                .author = call.author,
                                                .reason = "rolled back by " + call.author,
                                                .only_from = std::nullopt,
                                                .dry_run = dry_run}));
    if (dry_run == service::DryRun::yes) co_return json_response(plan_json(plan, dry_run));
    co_return co_await rolled_out(std::move(plan));
}

Answered ServiceCalls::restart(Call call) {
    HF_CO_TRY(auto wanted, parse_restart(call.body));
    if (edges_.operations.job(call.name())) {
        HF_CO_TRY_VOID(edges_.operations.run_now(call.name()));
    } else {
        auto asked = co_await edges_.catalog.request_restart(call.name(), mode_of(wanted.mode));
        if (!asked) co_return std::unexpected(asked.error());
    }
    co_return co_await shown(call.name());
}

Answered ServiceCalls::stop(Call call) {
    HF_CO_TRY_VOID(co_await edges_.catalog.set_running(call.name(), service::Running::stopped));
    co_return co_await shown(call.name());
}

// The wish stands in the catalog; beyond it, an operator's start does not wait for a back-off, and
// a job's is a run.
Answered ServiceCalls::start(Call call) {
    HF_CO_TRY_VOID(co_await edges_.catalog.set_running(call.name(), service::Running::running));
    auto begun = edges_.operations.job(call.name()) ? edges_.operations.run_now(call.name())
                                                    : edges_.operations.start_now(call.name());
    if (!begun && begun.error().code != Errc::not_found) co_return std::unexpected(begun.error());
    co_return co_await shown(call.name());
}

Answered ServiceCalls::scale(Call call) {
    HF_CO_TRY(auto wanted, parse_scale(call.body));
    HF_CO_TRY_VOID(co_await edges_.catalog.scale(call.name(), wanted.instances));
    co_return co_await shown(call.name());
}

}  // namespace holdfast::gateway
