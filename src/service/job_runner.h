// JobRunner: the jobs of this machine, beside the Supervisor that keeps its servers.
//
// A thin shell around one JobCore per job. It follows the catalog's desired state (specs with [job]
// only), keeps runs under services/runs/ in the coordinator, starts tries through the keeper, so
// that they outlive the node, and takes them over when the node starts again.
//
// Lives on one event loop with the edges it is given, all of which outlive it. Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/clock.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "runtime/task.h"
#include "service/job.h"

namespace holdfast::health {
class Journal;
}
namespace holdfast::coord {
class Coordinator;
}

namespace holdfast::service {

class OutputLog;

struct JobRunnerOptions {
    std::string node = "node";  // HOLDFAST_NODE.
    std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    std::string home;
    std::string user;
    Duration retry_after = std::chrono::seconds(1);  // A coordinator or keeper that is away.
};

struct JobRunnerEdges {
    runtime::Clock& clock;
    runtime::Processes& processes;  // ProcessShare's Part::jobs: it reads next_event() itself.
    coord::Coordinator& coordinator;
    health::Journal& journal;
    OutputLog& output;  // Jobs write as instance 0 of their service.
    runtime::Random random;
    // Whether a service is ready, for `after`. Empty: all are.
    std::function<bool(std::string_view)> is_ready;
};

class JobRunner {
  public:
    JobRunner(JobRunnerEdges edges, JobRunnerOptions options);
    ~JobRunner();
    JobRunner(const JobRunner&) = delete;
    JobRunner& operator=(const JobRunner&) = delete;

    // Adopts what runs, then runs what is due. Ends only by being destroyed: runs of jobs go on in
    // the keeper, and the next node takes them over.
    runtime::Task<void> run();

    // Stops every try, and starts no more; returns when nothing runs.
    runtime::Task<void> shut_down();

    std::vector<JobView> jobs() const;  // By name.
    std::optional<JobView> job(std::string_view name) const;
    // Newest first; not_found: no such job.
    Result<std::vector<JobRun>> runs(std::string_view name) const;

    // A run now, beside the schedule: `start` of a job.
    Result<void> run_now(std::string_view name);

    // Call when a service became ready or ceased to be: jobs that come after it look again.
    void readiness_changed();

    // Called after every run that succeeded or failed, with the job as it is then. Must not call
    // back except to read.
    using Observer = std::function<void(const JobView& job, const JobRun& run)>;
    void observe(Observer observer);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::service
