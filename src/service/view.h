// What people and programs are shown of services while they run: plain values, a snapshot.
//
// The supervisor's cores fill them; REST turns them into JSON, the command into tables, the alerts
// compare two of them. Nothing here refers back into the cores, so a snapshot may be kept.
//
// Durations are spans of the node's own clock; wall times are for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "runtime/process.h"
#include "service/catalog_records.h"

namespace holdfast::service {

// Worst first in what it demands of a reader: `down` and `degraded` are alarms, the others are not.
enum class ServiceState {
    down,       // Wanted, had been ready or its start has failed, and no instance is ready now.
    degraded,   // Some instances ready, not all that are wanted.
    deploying,  // A rollout is under way, and at least one instance is ready or was not yet
                // expected.
    starting,   // On its first way up; no start has failed yet.
    waiting,    // Not started, because a service it comes after is not ready.
    stopping,   // On its way to stopped.
    ready,      // Every wanted instance is ready.
    stopped,    // Not wanted, and nothing of it runs.
};

enum class InstanceState {
    waiting,      // For the services named in `after`.
    queued,       // For its turn to start: only so many start at once on one machine.
    backing_off,  // Before the next start.
    starting,     // Launched, not ready yet.
    ready,
    unready,  // Runs, was ready, and its ready probe fails.
    stopping,
    stopped,
};

// "down", "backing_off": the names used in JSON and in tables.
std::string_view state_name(ServiceState state);
std::string_view state_name(InstanceState state);

struct InstanceView {
    std::string id;  // "shop.0"
    int index = 0;
    std::string slot;  // The keeper's name for it: "shop/0".
    InstanceState state = InstanceState::stopped;
    std::string reason;         // Why it is in this state, with measured times.
    WallTime since;             // Of the state.
    VersionNumber version = 0;  // Of the run that stands for it, or of the next one to start.

    runtime::RunId run = 0;  // 0: none runs.
    int pid = 0;
    std::optional<WallTime> started;    // Of the run.
    std::string status;                 // What it said last by STATUS=.
    std::vector<std::string> weakened;  // What the keeper could not enforce, in words.
    std::optional<runtime::RunId>
        beside;  // The second run of a hot restart: coming up, or draining.

    std::uint64_t restarts = 0;  // Since the node began to supervise it.
    int failed_starts = 0;       // In a row.
    std::optional<runtime::Exit> last_exit;
    std::string last_exit_reason;        // The same in words: "killed from outside by SIGKILL".
    std::optional<WallTime> next_start;  // While backing off.
};

enum class RolloutPhase { replacing, watching, rolling_back };
std::string_view phase_name(RolloutPhase phase);

struct RolloutView {
    VersionNumber version = 0;
    VersionNumber from = 0;  // 0: the service's first version.
    std::string strategy;    // "hot" or "recreate"
    RolloutPhase phase = RolloutPhase::replacing;
    WallTime since;    // Begin of the rollout.
    int replaced = 0;  // Instances that run the version and are ready.
    int wanted = 0;
    std::optional<WallTime> watch_until;
    std::string reason;  // Of rolling back.
    // The version it takes the place of because that one has failed; 0: none.
    VersionNumber replaces_failed = 0;
};

enum class RolloutOutcome {
    live,         // The version runs and its watch has passed.
    rolled_back,  // It failed, and the previous version runs again.
    failed,       // It failed and was left, or there was nothing to go back to.
    superseded,   // Another version, a stop or a deletion came first.
};
std::string_view outcome_name(RolloutOutcome outcome);

struct RolloutResult {
    std::string service;
    VersionNumber version = 0;
    RolloutOutcome outcome = RolloutOutcome::live;
    std::string reason;          // In words, with measured times.
    VersionNumber now_live = 0;  // The version that runs afterwards; 0: none.
    WallTime at;

    bool operator==(const RolloutResult&) const = default;
};

struct ServiceView {
    std::string name;
    ServiceState state = ServiceState::stopped;
    std::string reason;  // Why, in words: the worst instance's reason, or what is being waited for.
    WallTime since;      // Of the state.

    VersionNumber version = 0;   // That is wanted now.
    VersionNumber previous = 0;  // That an automatic rollback would go back to; 0: none.
    int wanted = 0;              // Instances; 0 when stopped.
    int ready = 0;
    std::uint64_t restarts = 0;  // Since the node began to supervise it.
    std::uint64_t restarts_last_hour = 0;

    std::optional<std::string> address;  // Of `listen`.
    std::uint16_t port = 0;
    std::vector<std::string> after;
    std::vector<std::string> alert_to;  // Whom to tell of changes, from the spec.

    std::vector<InstanceView> instances;  // By index.
    std::optional<RolloutView> rollout;   // While one is under way.
    std::optional<RolloutResult> last_rollout;
};

// Of the whole machine, for the first lines of `status`.
struct MachineView {
    std::string node;
    WallTime since;  // The node's start.
    bool keeper_reachable = true;
    std::optional<WallTime> keeper_lost_since;
    bool shutting_down = false;
    int starting = 0;      // Instances in the middle of a start.
    int starting_max = 0;  // The cap on that.
    int queued = 0;        // Instances that wait for their turn.
};

}  // namespace holdfast::service
