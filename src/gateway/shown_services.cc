#include <map>

#include "gateway/shown_parts.h"

namespace holdfast::gateway {
namespace {

using namespace shown;

std::string_view ended_by_name(runtime::EndedBy by) {
    switch (by) {
        case runtime::EndedBy::itself:
            return "itself";
        case runtime::EndedBy::holdfast:
            return "holdfast";
        case runtime::EndedBy::oom:
            return "oom";
        case runtime::EndedBy::outside:
            return "outside";
        case runtime::EndedBy::unknown:
            return "unknown";
    }
    return "unknown";
}

json::object exit_object(const runtime::Exit& exit, std::string_view reason) {
    json::object out{{"at", time(exit.at)},
                     {"by", ended_by_name(exit.by)},
                     {"reason", to_utf8(reason)},
                     {"core_dumped", exit.core_dumped}};
    if (exit.code) out["code"] = *exit.code;
    if (exit.signal) out["signal"] = *exit.signal;
    return out;
}

json::object instance_object(const service::InstanceView& view) {
    json::object out{{"id", view.id},
                     {"instance", view.index},
                     {"state", state_name(view.state)},
                     {"reason", to_utf8(view.reason)},
                     {"since", time(view.since)},
                     {"version", view.version}};
    if (view.run != 0) {
        out["run"] = view.run;
        out["pid"] = view.pid;
        if (view.started) out["started"] = time(*view.started);
    }
    if (view.beside) out["beside"] = *view.beside;
    if (!view.status.empty()) out["status"] = to_utf8(view.status);
    out["restarts"] = view.restarts;
    out["failed_starts"] = view.failed_starts;
    if (view.next_start) out["next_start"] = time(*view.next_start);
    if (view.last_exit) out["last_exit"] = exit_object(*view.last_exit, view.last_exit_reason);
    out["weakened"] = texts(view.weakened);
    return out;
}

json::object rollout_object(const service::RolloutView& view) {
    json::object out{{"version", view.version},   {"from", view.from},
                     {"strategy", view.strategy}, {"phase", phase_name(view.phase)},
                     {"since", time(view.since)}, {"replaced", view.replaced},
                     {"wanted", view.wanted},     {"reason", to_utf8(view.reason)}};
    if (view.watch_until) out["watch_until"] = time(*view.watch_until);
    return out;
}

json::object result_object(const service::RolloutResult& result) {
    return {{"version", result.version},
            {"outcome", outcome_name(result.outcome)},
            {"reason", to_utf8(result.reason)},
            {"now_live", result.now_live},
            {"at", time(result.at)}};
}

json::object summary(const service::ServiceView& view) {
    json::object out{{"name", view.name},
                     {"kind", "server"},
                     {"state", state_name(view.state)},
                     {"reason", to_utf8(view.reason)},
                     {"since", time(view.since)},
                     {"version", view.version},
                     {"wanted", view.wanted},
                     {"ready", view.ready},
                     {"restarts", view.restarts},
                     {"restarts_last_hour", view.restarts_last_hour}};
    if (view.address) {
        out["address"] = *view.address;
        out["port"] = view.port;
    }
    if (view.rollout) out["rollout"] = rollout_object(*view.rollout);
    return out;
}

struct JobStanding {
    std::string_view state;
    WallTime since;
};

// A job is `waiting` for its time, unless something is to be said of it.
JobStanding standing_of(const service::JobView& job, WallTime node_started) {
    auto last = job.last_ended ? job.last_ended->ended.value_or(node_started) : node_started;
    if (job.current) return {"running", job.current->started.value_or(node_started)};
    if (job.paused) return {"stopped", last};
    bool failed = job.last_ended && job.last_ended->state == service::RunState::failed;
    return {failed ? "failed" : "waiting", last};
}

json::object summary(const service::JobView& job, WallTime node_started) {
    auto standing = standing_of(job, node_started);
    return {{"name", job.name},
            {"kind", "job"},
            {"state", standing.state},
            {"reason", to_utf8(job.reason)},
            {"since", time(standing.since)},
            {"version", job.version},
            {"wanted", 0},
            {"ready", 0},
            {"restarts", 0},
            {"restarts_last_hour", 0}};
}

}  // namespace

json::array shown::summaries(std::span<const service::ServiceView> servers,
                             std::span<const service::JobView> jobs, WallTime node_started) {
    std::multimap<std::string_view, json::object> all;
    for (const auto& view : servers) all.emplace(view.name, summary(view));
    for (const auto& job : jobs) all.emplace(job.name, summary(job, node_started));
    json::array out;
    for (auto& item : all) out.emplace_back(std::move(item.second));
    return out;
}

std::string services_json(std::span<const service::ServiceView> servers,
                          std::span<const service::JobView> jobs, WallTime node_started) {
    return json::serialize(json::object{{"services", summaries(servers, jobs, node_started)}});
}

std::string service_json(const service::ServiceView& view) {
    auto out = summary(view);
    out["after"] = texts(view.after);
    if (view.previous != 0) out["previous"] = view.previous;
    if (view.last_rollout) out["last_rollout"] = result_object(*view.last_rollout);
    json::array instances;
    for (const auto& instance : view.instances) instances.emplace_back(instance_object(instance));
    out["instances"] = std::move(instances);
    return json::serialize(out);
}

std::string service_json(const service::JobView& view, WallTime node_started) {
    auto out = summary(view, node_started);
    out["after"] = json::array();
    out["instances"] = json::array();
    return json::serialize(out);
}

std::string runs_json(const service::JobView& job, std::span<const service::JobRun> runs) {
    json::array list;
    for (const auto& run : runs) {
        json::object out{{"run", run.number},
                         {"version", run.version},
                         {"due", time(run.due)},
                         {"times", run.times},
                         {"state", state_name(run.state)},
                         {"tries", run.tries},
                         {"reason", to_utf8(run.reason)},
                         {"output", to_utf8(run.output)}};
        if (run.started) out["started"] = time(*run.started);
        if (run.ended) out["ended"] = time(*run.ended);
        if (run.code) out["code"] = *run.code;
        if (run.signal) out["signal"] = *run.signal;
        list.emplace_back(std::move(out));
    }
    json::object out{
        {"service", job.name}, {"paused", job.paused}, {"reason", to_utf8(job.reason)}};
    if (job.next) out["next"] = time(*job.next);
    out["runs"] = std::move(list);
    return json::serialize(out);
}

std::string output_line_json(const service::OutputLine& line) {
    return json::serialize(json::object{{"at", time(line.at)},
                                        {"instance", line.instance},
                                        {"stream", line.stream},
                                        {"text", to_utf8(line.text)}}) +
           "\n";
}

std::string progress_json(std::string_view service, service::VersionNumber version,
                          std::string_view message, WallTime at) {
    return json::serialize(json::object{{"at", time(at)},
                                        {"kind", "progress"},
                                        {"service", service},
                                        {"version", version},
                                        {"message", to_utf8(message)}}) +
           "\n";
}

std::string progress_json(const service::RolloutResult& result) {
    return json::serialize(json::object{{"at", time(result.at)},
                                        {"kind", outcome_name(result.outcome)},
                                        {"service", result.service},
                                        {"version", result.version},
                                        {"now_live", result.now_live},
                                        {"message", to_utf8(result.reason)}}) +
           "\n";
}

}  // namespace holdfast::gateway
