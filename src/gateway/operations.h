// What REST needs of the rooms that run services, in one place: main() puts live_operations.h over
// the supervisor and its companions, tests put a few services in memory.
//
// What is wanted of services does not pass here: that is the catalog's, which stands on the
// coordinator and is the same in both.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "health/timeline.h"
#include "keeper/status.h"
#include "runtime/task.h"
#include "service/job.h"
#include "service/output_log.h"
#include "service/supervisor.h"
#include "service/view.h"

namespace holdfast::gateway {

// What does not change while the node lives.
struct NodeFacts {
    std::string name;
    std::string version;
    std::string build;  // Of the executable, in hexadecimal.
    std::string data_directory;
    WallTime started;
    bool as_root = false;
};

// One event loop. References and views are not kept across calls.
class Operations {
  public:
    virtual ~Operations() = default;

    virtual bool ready() const = 0;  // The node supervises, and reaches its keeper.
    virtual service::MachineView machine() const = 0;
    virtual runtime::Task<Result<keeper::KeeperStatus>> keeper_status() = 0;

    virtual std::vector<service::ServiceView> services() const = 0;  // By name; servers only.
    virtual std::optional<service::ServiceView> service(std::string_view name) const = 0;
    virtual Result<void> start_now(std::string_view name) = 0;
    // A version that the catalog knows; it need not have begun.
    virtual std::unique_ptr<service::RolloutFeed> follow_rollout(
        std::string name, service::VersionNumber version) = 0;

    virtual std::vector<service::JobView> jobs() const = 0;  // By name.
    virtual std::optional<service::JobView> job(std::string_view name) const = 0;
    virtual Result<std::vector<service::JobRun>> runs(std::string_view name) const = 0;
    virtual Result<void> run_now(std::string_view name) = 0;

    virtual health::Account explain(std::string_view name) const = 0;

    virtual runtime::Task<Result<std::vector<service::OutputLine>>> output(
        std::string name, service::OutputQuery query) = 0;
    virtual std::unique_ptr<service::OutputFeed> follow_output(std::string name,
                                                               std::optional<int> instance) = 0;
};

}  // namespace holdfast::gateway
