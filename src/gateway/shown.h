// What is shown of services, jobs, versions and the node, as the OpenAPI file describes it. Pure:
// values in, JSON out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "access/user.h"
#include "base/time.h"
#include "coord/settings.h"
#include "gateway/operations.h"
#include "health/timeline.h"
#include "keeper/status.h"
#include "service/catalog.h"
#include "service/catalog_rules.h"
#include "service/job.h"
#include "service/output_log.h"
#include "service/view.h"

namespace holdfast::gateway {

// Servers and jobs together, by name.
std::string services_json(std::span<const service::ServiceView> servers,
                          std::span<const service::JobView> jobs, WallTime node_started);
std::string service_json(const service::ServiceView& view);
std::string service_json(const service::JobView& view, WallTime node_started);

struct NodeShown {
    const NodeFacts& facts;
    service::MachineView machine;
    std::optional<keeper::KeeperStatus> keeper;  // None: it does not answer.
    int pid = 0;
    std::uint64_t resident_bytes = 0;
    WallTime now;
};
std::string node_json(const NodeShown& node);
std::string version_json(const NodeFacts& facts);

struct Problem {
    std::string subject;
    std::string what;
    WallTime since;
    std::string next;

    bool operator==(const Problem&) const = default;
};

// What is wrong, worst first: with the node, then with services and jobs by name.
std::vector<Problem> problems_of(const service::MachineView& machine,
                                 std::span<const service::ServiceView> servers,
                                 std::span<const service::JobView> jobs);

struct StatusShown {
    NodeShown node;
    std::vector<service::ServiceView> servers;
    std::vector<service::JobView> jobs;
    std::vector<std::string> warnings;
};
std::string status_json(const StatusShown& status);

std::string plan_json(const service::Plan& plan, service::DryRun dry_run);
std::string deleted_json(std::string_view name, service::DryRun dry_run);
std::string spec_json(const service::Version& version, std::string_view name, bool effective);
std::string history_json(std::string_view name, std::span<const service::HistoryEntry> history);
std::string why_json(std::string_view name, const health::Account& account);
std::string runs_json(const service::JobView& job, std::span<const service::JobRun> runs);

// Lines of streams, with their line end.
std::string output_line_json(const service::OutputLine& line);
std::string progress_json(std::string_view service, service::VersionNumber version,
                          std::string_view message, WallTime at);
std::string progress_json(const service::RolloutResult& result);

std::string users_json(std::span<const access::User> users);
std::string user_json(const access::User& user);
std::string user_keys_json(const access::NewUser& made);
std::string settings_json(std::span<const coord::SettingValue> settings);
std::string setting_json(const coord::SettingValue& setting);

}  // namespace holdfast::gateway
