// JobCore: what becomes of one job: when it runs, how often it tries, and what counts.
//
// Pure. A run is a number of tries with back-off between them; a try counts only if the program
// exits with 0 and, where the spec asks for it, the verification does too. At most one run of a job
// goes on at a time; what happens to one that is due meanwhile is `overlap`: skipped, queued (at
// most ten), or taking the place of the one that runs.
//
// Everything the core would need after a restart is in the records it hands out, and the driver
// makes them durable before it acts on the same step. So a try is known before it can have begun,
// and one whose end nobody saw is a failed try, not a forgotten one: no try ever runs twice at
// once.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "service/backoff.h"
#include "service/job.h"
#include "service/schedule.h"
#include "service/spec.h"

namespace holdfast::service {

struct StartTry {
    std::uint64_t number = 0;
    int attempt = 1;
    runtime::RunId run = 0;
    bool verify = false;  // The verification, not the program.
};
struct StopTry {
    runtime::RunId run = 0;
};
struct ForgetTry {  // The keeper may forget it: its end is recorded.
    runtime::RunId run = 0;
};
using JobAction = std::variant<StartTry, StopTry, ForgetTry>;

struct JobStep {
    // To be made durable together, before the actions.
    std::vector<JobRun> records;
    std::vector<std::uint64_t> erased;  // Numbers of runs that are no longer kept.
    std::optional<JobMemory> memory;
    std::vector<JobAction> actions;  // In order.
    std::vector<std::string> notes;  // For the journal.

    bool empty() const {
        return records.empty() && erased.empty() && !memory && actions.empty() && notes.empty();
    }
};

// Not thread-safe. Instants passed in must never decrease; wall times may.
class JobCore {
  public:
    static constexpr std::size_t kept_max = 50;
    static constexpr std::size_t queued_max = 10;

    struct Kept {  // As an earlier node left it.
        JobMemory memory;
        std::vector<JobRun> runs;  // By number.
    };
    struct Wanted {
        JobSpec spec;
        VersionNumber version = 0;
        bool paused = false;

        bool operator==(const Wanted&) const = default;
    };
    struct Now {
        Instant instant;
        WallTime wall;
    };

    JobCore(Wanted wanted, Kept kept, Now now, runtime::Random random);

    // The keeper's runs in the job's slots: at first, and whenever their ends may have been missed.
    // Nothing begins before the first time.
    JobStep adopt(const std::vector<runtime::RunReport>& reports, Now now);

    JobStep advance(Now now);
    JobStep want(Wanted wanted, Now now);
    // Whether the services it comes after are ready. Starts as true.
    JobStep prerequisites(bool ready, std::string waiting_for, Now now);
    // Its owner wants a run now, beside the schedule. Of a paused job: as soon as it goes on.
    JobStep run_now(Now now);
    // The service was deleted: stop what runs. Then it is over once idle().
    JobStep retire(Now now);
    // Holdfast itself is being stopped: as retire(), but what waits is kept for its next start.
    JobStep interrupt(Now now);

    // What came of an action. `refused`: it could not be started, and why.
    JobStep refused(runtime::RunId run, std::string reason, Now now);
    JobStep exited(runtime::RunId run, const runtime::Exit& exit, std::string output, Now now);

    Instant next_deadline() const;
    JobView view(std::string name, Now now) const;
    const std::map<std::uint64_t, JobRun>& runs() const { return runs_; }
    bool idle() const { return !current_; }
    bool retired() const { return retired_; }

  private:
    void take(WallTime due, Now now, JobStep& step);
    void miss(const Missed& missed, Now now, JobStep& step);
    void skip(WallTime due, std::string reason, Now now, JobStep& step);
    void begin_next(Now now, JobStep& step);
    void begin_try(JobRun& run, Now now, JobStep& step);
    void try_failed(JobRun& run, std::string reason, Now now, JobStep& step);
    void end_run(JobRun& run, RunState state, std::string reason, Now now, JobStep& step);
    void stop_current(Ending ending, std::string reason, Now now, JobStep& step);
    void drop_queue(RunState state, std::string reason, Now now, JobStep& step);
    void adopt_current(const std::vector<runtime::RunReport>& reports, Now now, JobStep& step);
    void begin_verify(JobRun& run, JobStep& step);
    Schedule make_schedule(Now now);
    void check_schedule(Now now, JobStep& step);
    JobRun& add_run(WallTime due, JobStep& step);
    void keep(const JobRun& run, JobStep& step);
    void prune(JobStep& step);
    void remember(JobStep& step);
    runtime::RunId new_run();

    Wanted wanted_;
    JobMemory memory_;
    std::map<std::uint64_t, JobRun> runs_;  // The last kept_max, and all that have not ended.
    Schedule schedule_;
    runtime::Random random_;
    std::optional<std::uint64_t> current_;
    std::deque<std::uint64_t> queue_;
    Instant retry_at_ = Instant::max();
    Backoff backoff_;
    bool run_when_resumed_ = false;
    bool ready_ = true;
    std::string waiting_for_;
    bool adopted_ = false;
    bool retired_ = false;
    bool interrupted_ = false;
};

// Why a try failed, in words: "exited with code 3", "took longer than 1h", "killed from outside by
// SIGKILL"; empty: it did not.
std::string failure_of(const runtime::Exit& exit, Duration timeout);

}  // namespace holdfast::service
