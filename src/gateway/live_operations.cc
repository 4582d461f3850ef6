#include "gateway/live_operations.h"

namespace holdfast::gateway {

bool LiveOperations::ready() const {
    return supervising_ && edges_.supervisor.machine().keeper_reachable;
}

service::MachineView LiveOperations::machine() const {
    return edges_.supervisor.machine();
}

runtime::Task<Result<keeper::KeeperStatus>> LiveOperations::keeper_status() {
    return edges_.keeper_status();
}

std::vector<service::ServiceView> LiveOperations::services() const {
    return edges_.supervisor.services();
}

std::optional<service::ServiceView> LiveOperations::service(std::string_view name) const {
    return edges_.supervisor.service(name);
}

Result<void> LiveOperations::start_now(std::string_view name) {
    return edges_.supervisor.start_now(name);
}

std::unique_ptr<service::RolloutFeed> LiveOperations::follow_rollout(
    std::string name, service::VersionNumber version) {
    return edges_.supervisor.follow_rollout(std::move(name), version);
}

std::vector<service::JobView> LiveOperations::jobs() const {
    return edges_.jobs.jobs();
}

std::optional<service::JobView> LiveOperations::job(std::string_view name) const {
    return edges_.jobs.job(name);
}

Result<std::vector<service::JobRun>> LiveOperations::runs(std::string_view name) const {
    return edges_.jobs.runs(name);
}

Result<void> LiveOperations::run_now(std::string_view name) {
    return edges_.jobs.run_now(name);
}

health::Account LiveOperations::explain(std::string_view name) const {
    return edges_.journal.explain("service/" + std::string(name));
}

runtime::Task<Result<std::vector<service::OutputLine>>> LiveOperations::output(
    std::string name, service::OutputQuery query) {
    return edges_.output.read(std::move(name), query);
}

std::unique_ptr<service::OutputFeed> LiveOperations::follow_output(std::string name,
                                                                   std::optional<int> instance) {
    return edges_.output.follow(std::move(name), instance);
}

}  // namespace holdfast::gateway
