// One job's driver: makes a step, keeps it, carries it out.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "coord/coordinator.h"
#include "service/job_runner_state.h"

namespace holdfast::service {

using runtime::Task;

namespace {

// Of a verification: a job's own time limit, or this where it has none.
constexpr Duration verify_limit = std::chrono::minutes(10);
constexpr std::size_t operations_max = 100;  // Of one transaction, below the coordinator's limit.

}  // namespace

Task<void> JobRunner::State::drive(JobPtr job) {
    for (;;) {
        job->working = true;
        while (!job->inputs.empty()) {
            auto input = std::move(job->inputs.front());
            job->inputs.pop_front();
            co_await carry_out(*job, input(job->core, now()));
        }
        if (std::exchange(job->look, false)) co_await look(*job);
        co_await carry_out(*job, job->core.advance(now()));
        job->working = false;
        stepped.wake();
        if (job->core.retired() && job->core.idle()) break;
        if (job->look || !job->inputs.empty()) continue;
        co_await runtime::race(job->told.waited(),
                               [](runtime::Clock& clock, Instant at) -> Task<void> {
                                   co_await clock.sleep_until(at);
                               }(edges.clock, job->core.next_deadline()));
    }
    co_await erase_records(job->name);
    jobs.erase(job->name);
    auto successor = std::move(job->successor);
    stepped.wake();
    if (successor) co_await want(job->name, *std::move(successor));
}

// What the keeper has in the job's slot, as the core must know it before it decides anything.
Task<void> JobRunner::State::look(Job& job) {
    auto reports = co_await edges.processes.list();
    while (!reports) {
        co_await edges.clock.sleep_for(options.retry_after);
        reports = co_await edges.processes.list();
    }
    auto slot = job.slot();
    std::erase_if(*reports, [&](const runtime::RunReport& report) {
        return report.slot.substr(0, report.slot.find('?')) != slot;
    });
    for (const auto& report : *reports) job_of[report.run] = jobs.at(job.name);
    co_await carry_out(job, job.core.adopt(*reports, now()));
}

Task<void> JobRunner::State::carry_out(Job& job, JobStep step) {
    if (step.empty()) co_return;
    co_await keep(job, step);
    for (auto& note : step.notes) {
        edges.journal.record("service/" + job.name, "job", "", "", std::move(note));
    }
    for (const auto& run : step.records) announce(job, run);
    for (const auto& action : step.actions) {
        if (const auto* start = std::get_if<StartTry>(&action)) co_await start_try(job, *start);
        if (const auto* stop = std::get_if<StopTry>(&action)) co_await stop_try(job, *stop);
        if (const auto* forget = std::get_if<ForgetTry>(&action)) {
            job_of.erase(forget->run);
            job.output.erase(forget->run);
            // A keeper that is away is asked again by the next look at what it has.
            (void)co_await edges.processes.forget(forget->run);
        }
    }
}

Task<void> JobRunner::State::keep(Job& job, const JobStep& step) {
    bool nothing = !step.memory && step.records.empty() && step.erased.empty();
    if (nothing) co_return;
    auto serial = job.memory.serial + 1;
    if (step.memory) job.memory = *step.memory;
    job.memory.serial = serial;
    std::vector<coord::Operation> operations;
    operations.push_back(coord::put(job_memory_key(job.name), encode(job.memory)));
    for (const auto& run : step.records) {
        operations.push_back(coord::put(job_run_key(job.name, run.number), encode(run)));
    }
    for (auto number : step.erased) {
        operations.push_back(coord::erase(job_run_key(job.name, number)));
    }
    HF_CHECK(operations.size() <= operations_max);
    co_await commit(job, std::move(operations));
}

// A job whose records cannot be kept waits: what it would do next could not be remembered.
Task<void> JobRunner::State::commit(Job& job, std::vector<coord::Operation> operations) {
    bool complained = false;
    while (!co_await try_commit(job, operations)) {
        if (!std::exchange(complained, true)) {
            log_error("job {}: its records cannot be kept; it waits", job.name);
        }
        co_await edges.clock.sleep_for(options.retry_after);
    }
}

// Every change writes the memory and is made only upon the change before it: so one that was in
// doubt and comes late, after others, changes nothing. Whether it has come shows in the memory's
// serial.
Task<bool> JobRunner::State::try_commit(Job& job, std::vector<coord::Operation> operations) {
    auto key = job_memory_key(job.name);
    coord::Transaction transaction{.when = {{key, job.revision}}, .then = std::move(operations)};
    auto outcome = co_await edges.coordinator.commit(std::move(transaction));
    if (outcome && outcome->applied) {
        job.revision = outcome->revision;
        co_return true;
    }
    auto entry = co_await edges.coordinator.get(key);
    if (!entry) co_return false;
    job.revision = *entry ? (*entry)->modified : 0;
    if (!*entry) co_return false;
    auto memory = decode_job_memory(key, (*entry)->value);
    co_return memory && memory->serial == job.memory.serial;
}

Task<void> JobRunner::State::erase_records(std::string name) {
    coord::Transaction transaction{
        .when = {},
        .then = {coord::erase(job_memory_key(name)), coord::erase_prefix(job_runs_prefix(name))}};
    while (!co_await edges.coordinator.commit(transaction)) {
        co_await edges.clock.sleep_for(options.retry_after);
    }
}

Result<runtime::LaunchSpec> JobRunner::State::launch_of(const Job& job,
                                                        const StartTry& start) const {
    auto release = std::make_shared<const Release>(
        Release{.version = job.version, .content = job.version, .serial = 0, .spec = job.spec});
    LaunchRun run{.run = start.run, .instance = {job.name, 0}, .release = release, .beside = {}};
    HF_TRY(auto launch, launch_spec(run, around));
    launch.slot = job.slot();
    launch.sockets.clear();
    launch.watchdog.reset();
    launch.notify = false;
    launch.env.emplace_back("HOLDFAST_RUN", fmt::format("{}", start.number));
    launch.env.emplace_back("HOLDFAST_TRY", fmt::format("{}", start.attempt));
    auto timeout = job.spec.job->timeout;
    if (timeout > Duration::zero()) launch.run_for = timeout;
    if (start.verify) {
        launch.slot += "?verify";
        launch.command = {"/bin/sh", "-c", job.spec.job->verify_command.value_or("true")};
        if (!launch.run_for) launch.run_for = verify_limit;
    }
    return launch;
}

// Whether a launch whose answer was lost has taken place.
Task<bool> JobRunner::State::launched_after_all(runtime::RunId run) {
    auto reports = co_await edges.processes.list();
    while (!reports) {
        co_await edges.clock.sleep_for(options.retry_after);
        reports = co_await edges.processes.list();
    }
    co_return std::ranges::find(*reports, run, &runtime::RunReport::run) != reports->end();
}

Task<void> JobRunner::State::start_try(Job& job, StartTry start) {
    auto launch = launch_of(job, start);
    if (!launch) {
        job.tell([run = start.run, reason = launch.error().message](
                     JobCore& core, JobCore::Now now) { return core.refused(run, reason, now); });
        co_return;
    }
    job_of[start.run] = jobs.at(job.name);
    for (;;) {
        auto launched = co_await edges.processes.launch(*launch);
        if (launched) {
            edges.output.say(job.name, 0, edges.clock.wall_now(),
                             fmt::format("run {} {} as pid {}", start.number,
                                         start.verify ? "is verified" : "started", launched->pid));
            co_return;
        }
        auto error = launched.error();
        bool away = error.code == Errc::unavailable || error.code == Errc::in_doubt;
        if (!away) {
            job_of.erase(start.run);
            job.tell([run = start.run, reason = error.message](JobCore& core, JobCore::Now now) {
                return core.refused(run, reason, now);
            });
            co_return;
        }
        co_await edges.clock.sleep_for(options.retry_after);
        if (co_await launched_after_all(start.run)) {
            job.look = true;  // Its end may have been told before it was known here.
            co_return;
        }
    }
}

Task<void> JobRunner::State::stop_try(Job& job, StopTry stop) {
    for (;;) {
        auto stopped = co_await edges.processes.stop(stop.run, job.spec.deploy.drain, SIGTERM);
        bool away = !stopped && (stopped.error().code == Errc::unavailable ||
                                 stopped.error().code == Errc::in_doubt);
        if (!away) co_return;  // Also when it has ended meanwhile: that is told by itself.
        co_await edges.clock.sleep_for(options.retry_after);
    }
}

// What the journal and the observer hear: each run's state once, and the job's own state, which is
// that of its last result.
void JobRunner::State::announce(Job& job, const JobRun& run) {
    auto [known, first] = job.announced.try_emplace(run.number, RunState::queued);
    auto before = std::exchange(known->second, run.state);
    while (job.announced.size() > 2 * JobCore::kept_max) job.announced.erase(job.announced.begin());
    if (before == run.state || run.state == RunState::queued) return;
    auto subject = "service/" + job.name;
    auto cause = edges.journal.record(subject, "run", fmt::format("run {}", run.number),
                                      std::string(state_name(run.state)), run.reason);
    if (run.state != RunState::succeeded && run.state != RunState::failed) return;
    if (run.state != job.last_result) {
        bool well = run.state == RunState::succeeded;
        std::string from = job.last_result == RunState::queued ? "" : well ? "down" : "ready";
        edges.journal.record(subject, "state", from, well ? "ready" : "down", run.reason, cause);
        job.last_result = run.state;
        readiness_changed();
    }
    if (observer) {
        auto view = job.core.view(job.name, now());
        view.alert_to = job.spec.alert.to;
        observer(view, run);
    }
}

}  // namespace holdfast::service
