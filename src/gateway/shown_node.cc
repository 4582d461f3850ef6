#include <fmt/format.h>

#include <algorithm>

#include "gateway/shown_parts.h"

namespace holdfast::gateway {
namespace {

using namespace shown;

json::object keeper_object(const NodeShown& node) {
    bool reached = node.machine.keeper_reachable && node.keeper.has_value();
    json::object out{{"state", reached ? "ok" : "gone"}};
    if (node.machine.keeper_lost_since) out["gone_since"] = time(*node.machine.keeper_lost_since);
    if (!node.keeper) return out;
    out["pid"] = node.keeper->pid;
    out["started"] = time(node.keeper->started);
    out["build"] = node.keeper->build_id;
    if (!node.keeper->took_over.empty()) out["took_over"] = to_utf8(node.keeper->took_over);
    out["node_restarts"] = node.keeper->node_restarts;
    json::array deaths;
    for (const auto& death : node.keeper->node_deaths) {
        deaths.emplace_back(
            json::object{{"at", time(death.at)}, {"reason", to_utf8(death.reason)}});
    }
    out["node_deaths"] = std::move(deaths);
    return out;
}

json::object node_object(const NodeShown& node) {
    return {{"name", node.facts.name},
            {"version", node.facts.version},
            {"build", node.facts.build},
            {"pid", node.pid},
            {"started", time(node.facts.started)},
            {"uptime_seconds", seconds(std::max(Duration(0), node.now - node.facts.started))},
            {"data", node.facts.data_directory},
            {"resident_bytes", node.resident_bytes},
            {"keeper", keeper_object(node)}};
}

json::object problem_object(const Problem& problem) {
    return {{"subject", problem.subject},
            {"what", to_utf8(problem.what)},
            {"since", time(problem.since)},
            {"next", problem.next}};
}

void add_service_problem(const service::ServiceView& view, std::vector<Problem>& problems) {
    bool wrong =
        view.state == service::ServiceState::down || view.state == service::ServiceState::degraded;
    if (!wrong) return;
    problems.push_back({.subject = view.name,
                        .what = fmt::format("{}: {}", state_name(view.state), view.reason),
                        .since = view.since,
                        .next = fmt::format("holdfast why {}", view.name)});
}

void add_job_problem(const service::JobView& job, std::vector<Problem>& problems) {
    if (!job.last_ended || job.last_ended->state != service::RunState::failed) return;
    problems.push_back(
        {.subject = job.name,
         .what = fmt::format("run {} failed: {}", job.last_ended->number, job.last_ended->reason),
         .since = job.last_ended->ended.value_or(job.last_ended->due),
         .next = fmt::format("holdfast history {}", job.name)});
}

void add_keeper_warnings(const keeper::KeeperStatus& keeper, json::array& warnings) {
    if (!keeper.damaged_table.empty()) {
        warnings.emplace_back(fmt::format("the keeper's table was damaged and is set aside: {}",
                                          to_utf8(keeper.damaged_table)));
    }
    for (const auto& weak : keeper.weakened) warnings.emplace_back(to_utf8(weak));
}

void add_rollout_warnings(std::span<const service::ServiceView> servers, json::array& warnings) {
    for (const auto& view : servers) {
        if (!view.last_rollout) continue;
        auto outcome = view.last_rollout->outcome;
        if (outcome != service::RolloutOutcome::rolled_back &&
            outcome != service::RolloutOutcome::failed) {
            continue;
        }
        warnings.emplace_back(
            fmt::format("{}: version {} {}: {}", view.name, view.last_rollout->version,
                        outcome == service::RolloutOutcome::failed ? "failed" : "was rolled back",
                        to_utf8(view.last_rollout->reason)));
    }
}

}  // namespace

std::string node_json(const NodeShown& node) {
    return json::serialize(node_object(node));
}

std::string version_json(const NodeFacts& facts) {
    return json::serialize(
        json::object{{"version", facts.version}, {"build", facts.build}, {"api", "v1"}});
}

std::vector<Problem> problems_of(const service::MachineView& machine,
                                 std::span<const service::ServiceView> servers,
                                 std::span<const service::JobView> jobs) {
    std::vector<Problem> problems;
    if (!machine.keeper_reachable) {
        problems.push_back(
            {.subject = "keeper",
             .what = "it does not answer: services run on, but none can be started or stopped",
             .since = machine.keeper_lost_since.value_or(machine.since),
             .next = "the node starts a new one by itself; if this lasts, see the node's own log"});
    }
    for (const auto& view : servers) add_service_problem(view, problems);
    for (const auto& job : jobs) add_job_problem(job, problems);
    return problems;
}

std::string status_json(const StatusShown& status) {
    auto problems = problems_of(status.node.machine, status.servers, status.jobs);
    json::array problem_list;
    for (const auto& problem : problems) problem_list.emplace_back(problem_object(problem));
    auto warnings = texts(status.warnings);
    if (status.node.keeper) add_keeper_warnings(*status.node.keeper, warnings);
    add_rollout_warnings(status.servers, warnings);
    return json::serialize(json::object{
        {"health", problems.empty() ? "ok" : "degraded"},
        {"summary", "one machine: no redundancy"},
        {"node", node_object(status.node)},
        {"services", summaries(status.servers, status.jobs, status.node.facts.started)},
        {"problems", std::move(problem_list)},
        {"warnings", std::move(warnings)}});
}

}  // namespace holdfast::gateway
