// Operations over the rooms that really run services on this machine.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/operations.h"
#include "health/journal.h"
#include "runtime/task.h"
#include "service/job_runner.h"
#include "service/output_log.h"
#include "service/supervisor.h"

namespace holdfast::gateway {

struct LiveEdges {
    service::Supervisor& supervisor;
    service::JobRunner& jobs;
    health::Journal& journal;
    service::OutputLog& output;
    // Of the keeper's link.
    std::function<runtime::Task<Result<keeper::KeeperStatus>>()> keeper_status;
};

class LiveOperations final : public Operations {
  public:
    explicit LiveOperations(LiveEdges edges) : edges_(std::move(edges)) {}  // They outlive it.

    // Call when the supervisor has taken over what runs; until then ready() is false.
    void set_supervising() { supervising_ = true; }

    bool ready() const override;
    service::MachineView machine() const override;
    runtime::Task<Result<keeper::KeeperStatus>> keeper_status() override;
    std::vector<service::ServiceView> services() const override;
    std::optional<service::ServiceView> service(std::string_view name) const override;
    Result<void> start_now(std::string_view name) override;
    std::unique_ptr<service::RolloutFeed> follow_rollout(std::string name,
                                                         service::VersionNumber version) override;
    std::vector<service::JobView> jobs() const override;
    std::optional<service::JobView> job(std::string_view name) const override;
    Result<std::vector<service::JobRun>> runs(std::string_view name) const override;
    Result<void> run_now(std::string_view name) override;
    health::Account explain(std::string_view name) const override;
    runtime::Task<Result<std::vector<service::OutputLine>>> output(
        std::string name, service::OutputQuery query) override;
    std::unique_ptr<service::OutputFeed> follow_output(std::string name,
                                                       std::optional<int> instance) override;

  private:
    LiveEdges edges_;
    bool supervising_ = false;
};

}  // namespace holdfast::gateway
