// What JobRunner and its per-job drivers share. Not for other rooms.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coord/coordinator.h"
#include "health/journal.h"
#include "service/catalog_desired.h"
#include "service/instance_launch.h"
#include "service/job_core.h"
#include "service/job_runner.h"
#include "service/output_log.h"

namespace holdfast::service {

// One job. Only its driver touches the core, so that a step is carried out before the next is made;
// everybody else leaves an input.
struct Job {
    using Input = std::function<JobStep(JobCore&, JobCore::Now)>;

    Job(std::string n, Spec s, VersionNumber v, JobCore c)
        : name(std::move(n)), spec(std::move(s)), version(v), core(std::move(c)) {}

    void tell(Input input) {
        inputs.push_back(std::move(input));
        told.wake();
    }
    std::string slot() const { return name + "/job"; }

    std::string name;
    Spec spec;
    VersionNumber version;
    std::uint64_t restart_serial = 0;  // Rose: `restart` of a job is a run now.
    JobMemory memory;                  // As last written.
    coord::Revision revision = 0;      // At which that was.
    JobCore core;
    std::deque<Input> inputs;
    bool working = false;  // On a step that is not carried out to its end.
    bool look =
        true;  // At what the keeper runs, before anything else: at the start, or after it was away.
    runtime::Signal told;
    std::map<runtime::RunId, std::string> output;  // The end of what live tries have written.
    std::map<std::uint64_t, RunState> announced;   // Runs whose state the journal has.
    RunState last_result = RunState::queued;       // Of the last run that succeeded or failed.
    // Wanted again before it was gone.
    std::optional<DesiredService> successor;
};
// shared_ptr: a driver outlives the job's place in the map by the end of its last step.
using JobPtr = std::shared_ptr<Job>;

struct JobRunner::State {
    State(JobRunnerEdges e, JobRunnerOptions o);

    JobCore::Now now() const { return {edges.clock.now(), edges.clock.wall_now()}; }

    // Following what is wanted.
    runtime::Task<void> follow();
    runtime::Task<void> take(DesiredChange change);
    runtime::Task<void> want(std::string name, DesiredService service);
    runtime::Task<void> sweep();
    void retire(const std::string& name);
    void check_prerequisites(Job& job);
    void readiness_changed();
    // A copy: who is woken may run at once, and may be the last step of a job.
    std::vector<JobPtr> all_jobs() const;

    // Following what happens.
    runtime::Task<void> pump();
    void happened(const runtime::ProcessEvent& event);

    // One job's driver.
    runtime::Task<void> drive(JobPtr job);
    runtime::Task<void> look(Job& job);
    runtime::Task<void> carry_out(Job& job, JobStep step);
    runtime::Task<void> keep(Job& job, const JobStep& step);
    runtime::Task<void> start_try(Job& job, StartTry start);
    runtime::Task<void> stop_try(Job& job, StopTry stop);
    runtime::Task<bool> launched_after_all(runtime::RunId run);
    runtime::Task<void> commit(Job& job, std::vector<coord::Operation> operations);
    runtime::Task<bool> try_commit(Job& job, std::vector<coord::Operation> operations);
    runtime::Task<void> erase_records(std::string name);
    void announce(Job& job, const JobRun& run);
    Result<runtime::LaunchSpec> launch_of(const Job& job, const StartTry& start) const;

    JobRunnerEdges edges;
    JobRunnerOptions options;
    Surroundings around;
    DesiredWatch watch;
    std::map<std::string, JobPtr, std::less<>> jobs;
    std::map<runtime::RunId, std::weak_ptr<Job>> job_of;  // Of live tries.
    Observer observer;
    bool shutting_down = false;
    runtime::Signal stepped;  // For shut_down(): some job has carried out a step.
    runtime::TaskGroup drivers;
};

}  // namespace holdfast::service
