#include <fmt/format.h>
#include <unistd.h>

#include "gateway/calls.h"
#include "gateway/openapi.h"
#include "gateway/process_stats.h"
#include "gateway/shown.h"

namespace holdfast::gateway {
namespace {

constexpr Duration keeper_wait = std::chrono::seconds(2);

// The keeper's word, unless it is away: then the node's own must do.
runtime::Task<NodeShown> look_at_node(const ApiEdges& edges) {
    auto status = co_await runtime::within(edges.clock, keeper_wait, "the keeper",
                                           edges.operations.keeper_status());
    co_return NodeShown{.facts = edges.facts,
                        .machine = edges.operations.machine(),
                        .keeper = status ? std::optional(*std::move(status)) : std::nullopt,
                        .pid = getpid(),
                        .resident_bytes = own_process_stats().resident_bytes,
                        .now = edges.clock.wall_now()};
}

}  // namespace

Answered NodeCalls::health(Call call) {
    if (call.route->operation == Operation::healthz) co_return text_response("alive\n");
    if (edges_.operations.ready()) co_return text_response("ready\n");
    co_return text_response(
        "not ready: the node has not taken over its services, or its keeper is "
        "gone\n",
        503);
}

Answered NodeCalls::metrics(Call) {
    auto response = text_response(edges_.metrics.expose());
    response.type = "text/plain; version=0.0.4; charset=utf-8";
    co_return response;
}

Answered NodeCalls::openapi(Call) {
    co_return json_response(std::string(openapi_json()));
}

Answered NodeCalls::version(Call) {
    co_return json_response(version_json(edges_.facts));
}

Answered NodeCalls::node(Call) {
    co_return json_response(node_json(co_await look_at_node(edges_)));
}

Answered NodeCalls::status(Call) {
    auto node = co_await look_at_node(edges_);
    auto warned = co_await warnings();
    co_return json_response(status_json({.node = std::move(node),
                                         .servers = edges_.operations.services(),
                                         .jobs = edges_.operations.jobs(),
                                         .warnings = std::move(warned)}));
}

runtime::Task<std::vector<std::string>> NodeCalls::warnings() {
    std::vector<std::string> warnings;
    if (edges_.facts.as_root) warnings = co_await services_as_root();
    coord::Settings settings(edges_.coordinator);
    auto values = co_await settings.values();
    if (!values) {
        warnings.push_back("settings cannot be read: " + values.error().message);
    } else {
        for (const auto& complaint : values->complaints()) {
            warnings.push_back("a stored setting is not heeded: " + complaint);
        }
    }
    warn_of_missed_runs(warnings);
    co_return warnings;
}

runtime::Task<std::vector<std::string>> NodeCalls::services_as_root() {
    auto entries = co_await edges_.catalog.list();
    if (!entries) {
        std::vector<std::string> failed = {"services cannot be listed: " + entries.error().message};
        co_return failed;
    }
    std::string names;
    for (const auto& entry : *entries) {
        auto version = co_await edges_.catalog.version(entry.name, std::nullopt);
        if (!version || !version->spec.user.empty()) continue;
        names += (names.empty() ? "" : ", ") + entry.name;
    }
    std::vector<std::string> warnings;
    if (!names.empty()) {
        warnings.push_back("run as root, for want of a `user` in their files: " + names);
    }
    co_return warnings;
}

void NodeCalls::warn_of_missed_runs(std::vector<std::string>& warnings) {
    for (const auto& job : edges_.operations.jobs()) {
        auto runs = edges_.operations.runs(job.name);
        if (!runs || runs->empty()) continue;
        const auto& newest = runs->front();
        if (newest.state != service::RunState::missed) continue;
        warnings.push_back(fmt::format("{}: missed {} time{}: {}", job.name, newest.times,
                                       newest.times == 1 ? "" : "s", newest.reason));
    }
}

}  // namespace holdfast::gateway
