// How the supervisor carries out what its core decided.
#include <fmt/format.h>

#include <csignal>

#include "base/log.h"
#include "base/units.h"
#include "health/journal.h"
#include "service/instance_launch.h"
#include "service/supervisor_state.h"

namespace holdfast::service {

using runtime::RunReport;
using runtime::Task;

namespace {

// An end is remembered by the keeper until the journal has surely written it.
constexpr Duration forget_after = std::chrono::seconds(2);
constexpr Duration stray_grace = std::chrono::seconds(5);
constexpr std::size_t catalog_work_max = 10'000;

bool may_pass(const Error& error) {
    return error.code == Errc::unavailable || error.code == Errc::in_doubt;
}

std::string subject_of(const std::string& service, std::optional<int> index) {
    if (!index) return "service/" + service;
    return fmt::format("instance/{}.{}", service, *index);
}

std::string name_of(const std::string& service, std::optional<int> index) {
    return index ? fmt::format("{}.{}", service, *index) : service;
}

}  // namespace

void Supervisor::State::carry_out(LaunchRun wanted) {
    places[wanted.run] = {wanted.instance, false};
    tasks.spawn(launch(std::move(wanted)));
}

Task<void> Supervisor::State::launch(LaunchRun wanted) {
    auto id = wanted.run;
    auto slot = instance_slot(wanted.instance);
    auto report = co_await try_launch(std::move(wanted));
    if (!report && report.error().code == Errc::conflict) {
        co_await end_strays(slot);
    }
    Instant now = edges.clock.now();
    if (report) {
        core->launched(now, *report);
    } else {
        places.erase(id);
        core->launch_failed(now, id, report.error());
    }
    wake();
}

Task<Result<RunReport>> Supervisor::State::try_launch(LaunchRun wanted) {
    HF_CO_TRY(auto spec, launch_spec(wanted, options.around));
    if (inherits_socket(wanted.release->spec)) {
        const auto& listen = *wanted.release->spec.listen;
        SocketWork work;
        work.open = runtime::SocketSpec{socket_name(wanted.release->spec), listen.address,
                                        listen.port, 1024};
        auto done = work.done;
        socket_work.push_back(std::move(work));
        socket_signal.wake();
        HF_CO_TRY_VOID(co_await done.wait());
    }
    auto report = co_await edges.processes.launch(std::move(spec));
    if (report || !may_pass(report.error())) co_return report;
    // It may have happened or not, and must not happen twice.
    co_return co_await look_up(wanted.run);
}

Task<Result<RunReport>> Supervisor::State::look_up(runtime::RunId run) {
    for (int failures = 1;; ++failures) {
        auto reports = co_await edges.processes.list();
        if (!reports) {
            co_await pause(failures);
            continue;
        }
        for (auto& report : *reports) {
            if (report.run == run) co_return std::move(report);
        }
        co_return fail(Errc::unavailable, "the keeper was away and has not started it");
    }
}

Task<void> Supervisor::State::end_strays(std::string slot) {
    auto reports = co_await edges.processes.list();
    if (!reports) co_return;
    for (const auto& report : *reports) {
        if (report.slot != slot || report.exit || core->knows(report.run)) continue;
        log_warn("{}: ends run {} (pid {}), which nobody knows", slot, report.run, report.pid);
        auto stopped = co_await edges.processes.stop(report.run, stray_grace, SIGTERM);
        if (!stopped) log_warn("{}: {}", slot, stopped.error().message);
    }
}

void Supervisor::State::carry_out(StopRun wanted) {
    tasks.spawn(stop(wanted));
}

Task<void> Supervisor::State::stop(StopRun wanted) {
    for (int failures = 1; core->knows(wanted.run); ++failures) {
        auto stopped = co_await edges.processes.stop(wanted.run, wanted.grace, SIGTERM);
        if (stopped) co_return;
        if (!may_pass(stopped.error())) {
            co_await settle_lost(wanted.run);
            co_return;
        }
        co_await pause(failures);
    }
}

// The keeper knows no such live run: its end is on the way to us, or has got lost.
Task<void> Supervisor::State::settle_lost(runtime::RunId run) {
    co_await edges.clock.sleep_for(std::chrono::seconds(1));
    for (int failures = 1; core->knows(run); ++failures) {
        auto reports = co_await edges.processes.list();
        if (!reports) {
            co_await pause(failures);
            continue;
        }
        runtime::Exit exit;
        exit.at = edges.clock.wall_now();
        for (const auto& report : *reports) {
            if (report.run != run) continue;
            if (!report.exit) co_return;  // It lives after all; whoever asked will ask again.
            exit = *report.exit;
        }
        take_event(runtime::RunExited{run, exit});
        co_return;
    }
}

void Supervisor::State::carry_out(ForgetRun wanted) {
    probes.stop(wanted.run);
    tasks.spawn(forget(wanted.run));
}

Task<void> Supervisor::State::forget(runtime::RunId run) {
    co_await edges.clock.sleep_for(forget_after);
    for (int failures = 1; failures < 10; ++failures) {
        auto forgotten = co_await edges.processes.forget(run);
        if (forgotten || !may_pass(forgotten.error())) co_return;
        co_await pause(failures);
    }
}

void Supervisor::State::carry_out(StartProbe probe) {
    const Spec& spec = probe.release->spec;
    health::ProbeTarget target;
    if (spec.listen) {
        target.address = spec.listen->address;
        target.port = spec.listen->port;
    }
    if (target.address == "0.0.0.0") target.address = "127.0.0.1";
    if (target.address == "::") target.address = "::1";
    target.slot = instance_slot(probe.instance);
    if (auto env = instance_environment(probe.instance, spec, options.around)) target.env = *env;
    target.user = spec.user;
    target.directory = spec.directory;
    probes.start(probe, std::move(target));
}

void Supervisor::State::carry_out(StopProbe probe) {
    probes.stop(probe.run, probe.role);
}

void Supervisor::State::carry_out(CloseSocket close) {
    SocketWork work;
    work.close = std::move(close.name);
    socket_work.push_back(std::move(work));
    socket_signal.wake();
}

Task<void> Supervisor::State::work_on_sockets() {
    for (;;) {
        while (!socket_work.empty()) {
            auto work = std::move(socket_work.front());
            socket_work.pop_front();
            if (work.open) {
                auto opened = co_await edges.processes.open_socket(*work.open);
                work.done.complete(opened ? Result<void>() : std::unexpected(opened.error()));
            } else if (auto closed = co_await edges.processes.close_socket(work.close); !closed) {
                log_warn("socket {}: {}", work.close, closed.error().message);
            }
        }
        co_await socket_signal.wait();
    }
}

void Supervisor::State::carry_out(TellState told) {
    edges.journal.record(subject_of(told.service, told.index), "state", std::string(told.from),
                         std::string(told.to), told.reason);
    if (told.index) return;
    log_info("{}: {}: {}", told.service, told.to, told.reason);
    feeds.tell(told.service, fmt::format("{}: {}", told.to, told.reason));
}

void Supervisor::State::carry_out(TellEvent told) {
    edges.journal.record(subject_of(told.service, told.index), told.kind, "", "", told.text);
    auto level = told.weight == TellEvent::Weight::warning ? LogLevel::warn : LogLevel::info;
    log(level, "{}: {}", name_of(told.service, told.index), told.text);
    feeds.tell(told.service, fmt::format("{}: {}", name_of(told.service, told.index), told.text));
    if (told.index) {
        edges.output.say(told.service, *told.index, edges.clock.wall_now(), told.text);
    }
}

void Supervisor::State::carry_out(CountRestart count) {
    edges.metrics
        .counter(
            "holdfast_service_restarts_total", "Starts that answered an unexpected end.",
            {{"service", count.instance.service}, {"cause", std::string(cause_name(count.cause))}})
        .add();
}

void Supervisor::State::carry_out(CountReady count) {
    edges.metrics
        .histogram("holdfast_service_start_seconds", "From the launch of a run to its being ready.",
                   {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300},
                   {{"service", count.instance.service}})
        .observe(std::chrono::duration<double>(count.after_start).count());
}

void Supervisor::State::carry_out(RecordOutcome record) {
    if (catalog_work.size() >= catalog_work_max) return;
    catalog_work.emplace_back(std::move(record));
    catalog_signal.wake();
}

void Supervisor::State::carry_out(AskRollback ask) {
    catalog_work.emplace_back(std::move(ask));
    catalog_signal.wake();
}

void Supervisor::State::carry_out(EndRollout end) {
    end.result.at = edges.clock.wall_now();
    feeds.end(end.result);
}

Task<void> Supervisor::State::work_on_catalog() {
    for (;;) {
        while (!catalog_work.empty()) {
            auto work = std::move(catalog_work.front());
            catalog_work.pop_front();
            if (auto* outcome = std::get_if<RecordOutcome>(&work)) {
                co_await record(std::move(*outcome));
            } else {
                co_await ask_rollback(std::get<AskRollback>(std::move(work)));
            }
        }
        co_await catalog_signal.wait();
    }
}

Task<void> Supervisor::State::record(RecordOutcome wanted) {
    VersionOutcome outcome;
    outcome.state = wanted.state;
    outcome.reason = wanted.reason;
    outcome.since = edges.clock.wall_now();
    if (wanted.state == OutcomeState::live) outcome.live = outcome.since;
    for (int failures = 1; failures < 100; ++failures) {
        auto recorded =
            co_await edges.catalog.record_outcome(wanted.service, wanted.version, outcome);
        if (recorded) co_return;
        bool again = may_pass(recorded.error()) || recorded.error().code == Errc::conflict;
        if (!again || failures == 1) {
            log_warn("{}: what became of version {} is not on record: {}", wanted.service,
                     wanted.version, recorded.error().message);
        }
        if (!again) co_return;
        co_await pause(failures);
    }
}

Task<void> Supervisor::State::ask_rollback(AskRollback ask) {
    for (int failures = 1;; ++failures) {
        RollbackRequest request;
        request.name = ask.service;
        request.author = "holdfast";
        request.reason = ask.reason;
        request.only_from = ask.version;
        auto plan = co_await edges.catalog.rollback(std::move(request));
        if (plan) co_return;
        if (!may_pass(plan.error())) {
            core->rollback_refused(edges.clock.now(), ask.service, plan.error().message);
            wake();
            co_return;
        }
        co_await pause(failures);
    }
}

}  // namespace holdfast::service
