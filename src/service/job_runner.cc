#include "service/job_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "coord/coordinator.h"
#include "service/job_runner_state.h"

namespace holdfast::service {

using runtime::Task;

JobRunner::State::State(JobRunnerEdges e, JobRunnerOptions o)
    : edges(std::move(e)), options(std::move(o)), watch(edges.coordinator) {
    around.node = options.node;
    around.path = options.path;
    around.home = options.home;
    around.user = options.user;
}

JobRunner::JobRunner(JobRunnerEdges edges, JobRunnerOptions options)
    : state_(std::make_unique<State>(std::move(edges), std::move(options))) {}
JobRunner::~JobRunner() = default;

Task<void> JobRunner::run() {
    co_await runtime::all(state_->follow(), state_->pump());
}

Task<void> JobRunner::State::follow() {
    bool swept = false;
    for (;;) {
        auto event = co_await watch.next();
        if (!event) {
            co_await edges.clock.sleep_for(options.retry_after);
            continue;
        }
        if (event->complete) {
            std::set<std::string, std::less<>> named;
            for (const auto& change : event->changes) named.insert(change.name);
            std::vector<std::string> gone;
            for (const auto& [name, job] : jobs) {
                if (!named.contains(name)) gone.push_back(name);
            }
            for (const auto& name : gone) retire(name);
        }
        for (auto& change : event->changes) co_await take(std::move(change));
        if (!std::exchange(swept, true)) co_await sweep();
    }
}

Task<void> JobRunner::State::take(DesiredChange change) {
    if (!change.wanted) {
        // Records that cannot be read: what runs is left alone.
        log_error("job {}: {}", change.name, change.wanted.error().message);
        co_return;
    }
    auto wanted = *std::move(change.wanted);
    if (!wanted || !wanted->spec.job) {
        retire(change.name);
        co_return;
    }
    co_await want(std::move(change.name), *std::move(wanted));
}

namespace {

JobCore::Wanted wanted_of(const DesiredService& service) {
    return {.spec = *service.spec.job,
            .version = service.version,
            .paused = service.running == Running::stopped};
}

struct Loaded {
    JobCore::Kept kept;
    coord::Revision revision = 0;  // Of the memory.
};

// What an earlier node kept. A damaged record is left out and said.
Task<Result<Loaded>> load(coord::Coordinator& coordinator, std::string name) {
    Loaded loaded;
    auto& kept = loaded.kept;
    auto key = job_memory_key(name);
    HF_CO_TRY(auto memory, co_await coordinator.get(key));
    if (memory) {
        loaded.revision = memory->modified;
        if (auto decoded = decode_job_memory(key, memory->value)) {
            kept.memory = *decoded;
        } else {
            log_error("{}: the job's schedule begins anew", decoded.error().message);
        }
    }
    HF_CO_TRY(auto listing, co_await coordinator.list(job_runs_prefix(name)));
    int running = 0;
    for (const auto& entry : listing.entries) {
        auto run = decode_job_run(entry.key, entry.value);
        if (!run) {
            log_error("{}: the run is left out of the job's history", run.error().message);
            continue;
        }
        running += run->state == RunState::running;
        if (running > 1) {
            log_error("{}: a second run that goes on; taken for failed", entry.key);
            run->state = RunState::failed;
            --running;
        }
        kept.runs.push_back(*std::move(run));
    }
    co_return loaded;
}

}  // namespace

Task<void> JobRunner::State::want(std::string name, DesiredService service) {
    if (auto found = jobs.find(name); found != jobs.end()) {
        auto job = found->second;
        if (job->core.retired()) {
            job->successor = std::move(service);
            co_return;
        }
        bool run_now = service.restart_serial > job->restart_serial;
        job->restart_serial = service.restart_serial;
        job->spec = service.spec;
        job->version = service.version;
        auto wanted = wanted_of(service);
        job->tell([wanted](JobCore& core, JobCore::Now now) { return core.want(wanted, now); });
        if (run_now) job->tell([](JobCore& core, JobCore::Now now) { return core.run_now(now); });
        check_prerequisites(*job);
        co_return;
    }
    auto loaded = co_await load(edges.coordinator, name);
    while (!loaded) {
        co_await edges.clock.sleep_for(options.retry_after);
        loaded = co_await load(edges.coordinator, name);
    }
    auto& kept = loaded->kept;
    RunState last = RunState::queued;
    std::map<std::uint64_t, RunState> announced;
    for (const auto& run : kept.runs) {
        announced[run.number] = run.state;
        if (run.state == RunState::succeeded || run.state == RunState::failed) last = run.state;
    }
    auto memory = kept.memory;
    JobCore core(wanted_of(service), std::move(kept), now(), edges.random.fork());
    auto job = std::make_shared<Job>(name, service.spec, service.version, std::move(core));
    job->restart_serial = service.restart_serial;
    job->memory = std::move(memory);
    job->revision = loaded->revision;
    job->announced = std::move(announced);
    job->last_result = last;
    jobs[name] = job;
    check_prerequisites(*job);
    drivers.spawn(drive(job));
}

void JobRunner::State::retire(const std::string& name) {
    auto found = jobs.find(name);
    if (found == jobs.end()) return;
    found->second->successor.reset();
    found->second->tell([](JobCore& core, JobCore::Now now) { return core.retire(now); });
}

// Once, after the first complete look: records and tries of jobs that were deleted while no node
// was there to see it.
Task<void> JobRunner::State::sweep() {
    auto memories = co_await edges.coordinator.list(std::string(job_memories_prefix));
    if (memories) {
        for (const auto& entry : memories->entries) {
            auto name = entry.key.substr(job_memories_prefix.size());
            if (!jobs.contains(name)) co_await erase_records(name);
        }
    }
    auto reports = co_await edges.processes.list();
    if (!reports) co_return;
    for (const auto& report : *reports) {
        auto name = report.slot.substr(0, report.slot.rfind("/job"));
        if (jobs.contains(name)) continue;
        if (report.exit) {
            (void)co_await edges.processes.forget(report.run);
        } else {
            edges.journal.record("service/" + name, "job", "", "",
                                 fmt::format("pid {} is stopped: its job was deleted", report.pid));
            (void)co_await edges.processes.kill(report.run);
        }
    }
}

void JobRunner::State::check_prerequisites(Job& job) {
    std::string missing;
    for (const auto& service : job.spec.after) {
        // A job is ready for others once it has succeeded, and until it fails.
        auto other = jobs.find(service);
        bool ready = other != jobs.end() ? other->second->last_result == RunState::succeeded
                                         : !edges.is_ready || edges.is_ready(service);
        if (!ready) missing += (missing.empty() ? "" : ", ") + service;
    }
    job.tell([missing](JobCore& core, JobCore::Now now) {
        return core.prerequisites(missing.empty(), missing, now);
    });
}

void JobRunner::State::readiness_changed() {
    for (const auto& job : all_jobs()) {
        if (!job->spec.after.empty()) check_prerequisites(*job);
    }
}

std::vector<JobPtr> JobRunner::State::all_jobs() const {
    std::vector<JobPtr> all;
    for (const auto& [name, job] : jobs) all.push_back(job);
    return all;
}

Task<void> JobRunner::State::pump() {
    for (;;) {
        auto event = co_await edges.processes.next_event();
        if (event) {
            happened(*event);
            continue;
        }
        co_await edges.clock.sleep_for(options.retry_after);
        for (const auto& job : all_jobs()) {
            job->look = true;
            job->told.wake();
        }
    }
}

void JobRunner::State::happened(const runtime::ProcessEvent& event) {
    constexpr std::size_t kept_bytes_max = 4096;
    auto run = std::visit([](const auto& e) { return e.run; }, event);
    auto found = job_of.find(run);
    auto job = found == job_of.end() ? nullptr : found->second.lock();
    if (const auto* output = std::get_if<runtime::RunOutput>(&event); output && job) {
        edges.output.take(job->name, 0, *output);
        auto& tail = job->output[run];
        tail += output->bytes;
        if (tail.size() > kept_bytes_max) tail.erase(0, tail.size() - kept_bytes_max);
    }
    const auto* exited = std::get_if<runtime::RunExited>(&event);
    if (!exited) return;
    if (!job) {
        // Of a try that nobody here started or took over: no one else will look at it.
        drivers.spawn([](runtime::Processes& processes, runtime::RunId ended) -> Task<void> {
            (void)co_await processes.forget(ended);
        }(edges.processes, run));
        return;
    }
    edges.output.end_run(job->name, 0);
    auto tail = std::exchange(job->output[run], {});
    job->tell([exited = *exited, tail = std::move(tail)](JobCore& core, JobCore::Now now) {
        return core.exited(exited.run, exited.exit, tail, now);
    });
}

Task<void> JobRunner::shut_down() {
    auto& state = *state_;
    state.shutting_down = true;
    for (const auto& job : state.all_jobs()) {
        job->tell([](JobCore& core, JobCore::Now now) { return core.interrupt(now); });
    }
    auto busy = [&] {
        return std::ranges::any_of(state.jobs, [](const auto& entry) {
            const auto& job = *entry.second;
            return !job.core.idle() || !job.inputs.empty() || job.working;
        });
    };
    while (busy()) co_await state.stepped.wait();
}

std::vector<JobView> JobRunner::jobs() const {
    std::vector<JobView> views;
    for (const auto& [name, job] : state_->jobs) {
        views.push_back(job->core.view(name, state_->now()));
        views.back().alert_to = job->spec.alert.to;
    }
    return views;
}

std::optional<JobView> JobRunner::job(std::string_view name) const {
    auto found = state_->jobs.find(name);
    if (found == state_->jobs.end()) return std::nullopt;
    auto view = found->second->core.view(found->first, state_->now());
    view.alert_to = found->second->spec.alert.to;
    return view;
}

Result<std::vector<JobRun>> JobRunner::runs(std::string_view name) const {
    auto found = state_->jobs.find(name);
    if (found == state_->jobs.end()) {
        return fail(Errc::not_found, fmt::format("there is no job {}", name));
    }
    std::vector<JobRun> runs;
    for (const auto& [number, run] : found->second->core.runs()) runs.push_back(run);
    std::ranges::reverse(runs);
    return runs;
}

Result<void> JobRunner::run_now(std::string_view name) {
    auto found = state_->jobs.find(name);
    if (found == state_->jobs.end()) {
        return fail(Errc::not_found, fmt::format("there is no job {}", name));
    }
    found->second->tell([](JobCore& core, JobCore::Now now) { return core.run_now(now); });
    return {};
}

void JobRunner::readiness_changed() {
    state_->readiness_changed();
}

void JobRunner::observe(Observer observer) {
    state_->observer = std::move(observer);
}

}  // namespace holdfast::service
