// A job's runs, and how they are kept: docs/formats/jobs.md.
//
// A run is one occasion on which the job was due, with all its tries; a try is one start of the
// program. Runs of one job are numbered from 1 and never renumbered; the last fifty are kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "runtime/process.h"
#include "service/catalog_records.h"
#include "service/spec.h"

namespace holdfast::service {

enum class RunState {
    queued,     // Waits for the run before it, or for the services the job comes after.
    running,    // Trying, verifying, or waiting between two tries.
    succeeded,  // A try exited with 0, and its result was verified where the spec asks for it.
    failed,
    missed,    // Nobody was there to start it when it was due, or the clock jumped over it.
    skipped,   // The run before it was still going on.
    replaced,  // Stopped, or never begun, because the next one was due.
};
std::string_view state_name(RunState state);
inline bool ended(RunState state) {
    return state != RunState::queued && state != RunState::running;
}

enum class TryPhase { none, running, verifying, backing_off };

// Why a run is being stopped by us.
enum class Ending { none, replaced, stopped };

struct JobRun {
    std::uint64_t number = 0;
    VersionNumber version = 0;
    WallTime due;
    std::uint64_t times = 1;  // Of missed and skipped: how many occasions in a row this stands for.
    std::optional<WallTime> started;  // Of the first try.
    std::optional<WallTime> ended;
    RunState state = RunState::queued;
    int tries = 0;  // Begun so far.
    TryPhase phase = TryPhase::none;
    Ending ending = Ending::none;
    runtime::RunId run = 0;     // Of the last try.
    runtime::RunId verify = 0;  // Of its verification, if there is one.
    std::optional<int> code;    // Of the last try that ended.
    std::optional<int> signal;
    std::string reason;
    std::string output;  // The end of what the last try and its verification wrote: at most 2 KiB.

    bool operator==(const JobRun&) const = default;
};

// What a job must remember beside its runs.
struct JobMemory {
    std::uint64_t last_number = 0;
    // The latest occasion that was decided on, whatever the decision; none: never yet.
    std::optional<WallTime> decided;
    VersionNumber done = 0;    // Of `once`: the version that has had its run.
    bool paused = false;       // Stopped by its owner: occasions pass without being missed.
    std::string schedule;      // By which `decided` was decided: see schedule_text().
    std::uint64_t serial = 0;  // Of the change of the job's records that wrote this one.

    bool operator==(const JobMemory&) const = default;
};

// "every 1h", "at 03:30", "once".
std::string schedule_text(const JobSpec& spec);

inline constexpr std::string_view job_memories_prefix = "services/jobs/";
std::string job_memory_key(std::string_view service);
std::string job_runs_prefix(std::string_view service);
std::string job_run_key(std::string_view service, std::uint64_t number);

// JSON. Fields that this release does not know are ignored. Errc::corrupt names the key.
std::string encode(const JobRun& run);
std::string encode(const JobMemory& memory);
Result<JobRun> decode_job_run(std::string_view key, std::string_view json);
Result<JobMemory> decode_job_memory(std::string_view key, std::string_view json);

// What people are shown of a job.
struct JobView {
    std::string name;
    VersionNumber version = 0;
    bool paused = false;
    std::optional<WallTime> next;       // When it is due next; none: paused, or done for good.
    std::optional<JobRun> current;      // Running.
    std::vector<JobRun> queued;         // In order.
    std::optional<JobRun> last_ended;   // Succeeded or failed.
    std::string reason;                 // One sentence: "run 7 succeeded: exited with code 0".
    std::vector<std::string> alert_to;  // Of the spec.
};

}  // namespace holdfast::service
