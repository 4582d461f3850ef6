// DesiredWatch: the services as they are wanted now, and every change of that, for the supervisor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "coord/coordinator.h"
#include "runtime/task.h"
#include "service/catalog_records.h"
#include "service/spec.h"

namespace holdfast::service {

struct DesiredService {
    Spec spec;
    VersionNumber version = 0;
    Cause cause = Cause::apply;  // Of the version.
    VersionNumber restores = 0;  // Of a version that is a rollback.
    std::string sha256;          // Of its executable, when it was made.
    Running running = Running::running;
    int instances = 1;                 // `scale` or the spec's own.
    std::uint64_t restart_serial = 0;  // Rose: restart, in restart_mode.
    RestartMode restart_mode = RestartMode::automatic;

    bool operator==(const DesiredService&) const = default;
};

// A service that is wanted like this from now on; or, without a value, no longer; or whose records
// cannot be read (Errc::corrupt): leave what runs alone, and say so.
struct DesiredChange {
    std::string name;
    Result<std::optional<DesiredService>> wanted;
};

struct DesiredEvent {
    bool complete = false;  // True of the first, and after a gap: services not named have gone.
    std::vector<DesiredChange> changes;  // By name; only the latest of each.
};

// Changes that follow each other quickly may be reported as one. Not thread-safe.
class DesiredWatch {
  public:
    explicit DesiredWatch(coord::Coordinator& coordinator);

    // At once the first time, then waits for a change. After an error call again, after a pause:
    // nothing is lost.
    runtime::Task<Result<DesiredEvent>> next();

  private:
    runtime::Task<Result<void>> start();
    runtime::Task<Result<void>> wait();
    runtime::Task<Result<DesiredChange>> load(std::string name, std::optional<std::string> text);

    coord::Coordinator& coordinator_;
    std::unique_ptr<coord::Watch> watch_;
    bool complete_ = false;
    // Heads that have changed and have not been reported; no value: erased.
    std::map<std::string, std::optional<std::string>> pending_;
};

// The same once: all services that are wanted now, by name.
runtime::Task<Result<std::vector<DesiredChange>>> load_desired(coord::Coordinator& coordinator);

}  // namespace holdfast::service
