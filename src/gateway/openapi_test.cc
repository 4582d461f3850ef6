#include "gateway/openapi.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <map>
#include <set>

#include "gateway/api_bench.h"
#include "gateway/routes.h"
#include "gateway/schema_bench.h"

namespace holdfast::gateway {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using testing::IsEmpty;

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(c));
    return out;
}

// One operation of the file.
struct Documented {
    std::string path;
    std::string method;  // "get"
    json::object item;
};

class OpenApi : public ApiBench {
  protected:
    OpenApi() {
        for (const auto& [path, item] : file.at("paths").as_object()) {
            for (const auto& [method, operation] : item.as_object()) {
                if (method == "parameters") continue;
                documented.emplace(
                    operation.at("operationId").as_string(),
                    Documented{std::string(path), std::string(method), operation.as_object()});
            }
        }
    }

    // Names of the query's parameters.
    std::set<std::string> query_of(const Documented& operation) const {
        std::set<std::string> names;
        const auto* parameters = operation.item.if_contains("parameters");
        if (parameters == nullptr) return names;
        for (const auto& parameter : parameters->as_array()) {
            const auto& resolved = checker.resolve(parameter).as_object();
            if (resolved.at("in") == "query") {
                names.emplace(std::string_view(resolved.at("name").as_string()));
            }
        }
        return names;
    }

    // Holds an answer to what the file says of it, and remembers that this status was seen.
    void hold(std::string_view name, Response response) {
        SCOPED_TRACE(fmt::format("{} answers {}", name, response.status));
        auto code = std::to_string(response.status);
        const auto* answer =
            documented.find(name)->second.item.at("responses").as_object().if_contains(code);
        ASSERT_NE(answer, nullptr) << "the file does not know this status: " << response.body;
        seen[std::string(name)].insert(code);
        auto type = response.type.substr(0, response.type.find(';'));
        const auto* content = checker.resolve(*answer).at("content").as_object().if_contains(type);
        ASSERT_NE(content, nullptr) << "the file does not know this type: " << type;
        const auto& schema = content->as_object().at("schema");
        auto body = drain(response);
        if (type == "text/plain") return hold_value(schema, json::value(body));
        if (type != lines_type) return hold_value(schema, json::parse(body));
        for (std::size_t from = 0; from < body.size();) {
            auto end = body.find('\n', from);
            hold_value(schema, json::parse(body.substr(from, end - from)));
            from = end + 1;
        }
    }

    void hold_value(const json::value& schema, const json::value& value) {
        EXPECT_THAT(checker.check(schema, value), IsEmpty()) << json::serialize(value);
    }

    // Everything that can be said, so that every optional field is there once.
    void say_everything();

    json::value file = json::parse(openapi_json());
    SchemaCheck checker{file};
    std::map<std::string, Documented, std::less<>> documented;
    std::map<std::string, std::set<std::string>> seen;
};

runtime::Exit some_exit() {
    return {.at = WallTime(1h),
            .by = runtime::EndedBy::itself,
            .code = 1,
            .signal = 11,
            .core_dumped = true};
}

service::ServiceView whole_service() {
    service::InstanceView instance;
    instance.id = "shop.0";
    instance.state = service::InstanceState::backing_off;
    instance.reason = "exited";
    instance.run = 7;
    instance.pid = 70;
    instance.started = WallTime(1h);
    instance.status = "warming up";
    instance.weakened = {"no memory cgroup"};
    instance.beside = 8;
    instance.last_exit = some_exit();
    instance.last_exit_reason = "exited with code 1";
    instance.next_start = WallTime(2h);
    service::RolloutResult result{.service = "shop",
                                  .version = 2,
                                  .outcome = service::RolloutOutcome::failed,
                                  .reason = "it exited",
                                  .now_live = 1,
                                  .at = WallTime(1h)};
    service::RolloutView rollout;
    rollout.strategy = "hot";
    rollout.watch_until = WallTime(3h);
    service::ServiceView view;
    view.name = "shop";
    view.state = service::ServiceState::down;
    view.previous = 1;
    view.address = "127.0.0.1";
    view.port = 8080;
    view.after = {"db"};
    view.instances = {instance};
    view.rollout = rollout;
    view.last_rollout = result;
    return view;
}

service::JobView whole_job() {
    service::JobRun run;
    run.number = 3;
    run.started = WallTime(1h);
    run.ended = WallTime(2h);
    run.state = service::RunState::failed;
    run.code = 1;
    run.signal = 9;
    run.output = "\xff";
    service::JobView job;
    job.name = "tidy";
    job.next = WallTime(5h);
    job.last_ended = run;
    job.reason = "run 3 failed";
    return job;
}

health::Account whole_account() {
    health::Record record;
    record.id = 2;
    record.subject = "instance/shop.0";
    record.kind = "state";
    record.details = {{"code", "1"}};
    record.caused_by = 1;
    health::Incident incident;
    incident.first = 1;
    incident.ended = WallTime(1h);
    incident.worst = "down";
    health::TimelineEntry entry;
    entry.record = record;
    entry.incident = 1;
    health::Account account;
    account.state = "down";
    account.incidents = {incident};
    account.timeline = {entry};
    return account;
}

void OpenApi::say_everything() {
    declare("shop");
    operations.said_services["shop"] = whole_service();
    ASSERT_TRUE(apply("job = { every = \"1h\" }\n", "tidy"));
    operations.said_jobs["tidy"] = whole_job();
    operations.said_runs["tidy"] = {*whole_job().last_ended};
    operations.said_account = whole_account();
    operations.said_output["shop"] = {
        {.at = WallTime(1h), .stream = "err", .text = "x", .instance = 0}};
    operations.said_progress = {"one"};
    operations.said_machine.keeper_lost_since = WallTime(1h);
    operations.said_keeper->took_over = "the one before was killed";
    operations.said_keeper->damaged_table = "/var/lib/x";
    operations.said_keeper->weakened = {"no cgroups"};
    operations.said_keeper->node_deaths = {{.at = WallTime(1h), .reason = "killed"}};
    report(1, service::OutcomeState::live);
}

TEST_F(OpenApi, FileAndRoutesNameTheSameOperations) {
    std::set<std::string> routed;
    for (const auto& route : routes()) {
        SCOPED_TRACE(route.name);
        routed.emplace(route.name);
        auto found = documented.find(route.name);
        ASSERT_NE(found, documented.end());
        const auto& operation = found->second;
        EXPECT_EQ(operation.path, route.path);
        EXPECT_EQ(operation.method, lower(route.method));
        EXPECT_EQ(operation.item.at("x-action").as_string(), access::action_name(route.action));
        EXPECT_EQ(operation.item.contains("security"), free_on_loopback(route.action))
            << "`security: []` says that no token is needed";
        EXPECT_EQ(query_of(operation),
                  std::set<std::string>(route.query.begin(), route.query.end()));
    }
    for (const auto& [name, operation] : documented) EXPECT_TRUE(routed.contains(name)) << name;
}

// A request that is answered with the status.
struct Case {
    std::string_view name;
    std::string target;
    std::string body = "";
};

std::vector<Case> good_cases() {
    return {
        {"healthz", "/healthz"},
        {"readyz", "/readyz"},
        {"metrics", "/metrics"},
        {"openapi", "/v1/openapi.json"},
        {"version", "/v1/version"},
        {"node", "/v1/node"},
        {"status", "/v1/status"},
        {"services", "/v1/services"},
        {"apply", "/v1/services?dry_run=true", "name = \"new\"\ncommand = [\"/bin/shop\"]\n"},
        {"apply", "/v1/services", "name = \"new\"\ncommand = [\"/bin/shop\"]\n"},
        {"apply", "/v1/services?wait=true", "name = \"new\"\ncommand = [\"/bin/shop\", \"x\"]\n"},
        {"service", "/v1/services/shop"},
        {"service", "/v1/services/tidy"},
        {"service", "/v1/services/new"},
        {"spec", "/v1/services/shop/spec"},
        {"spec", "/v1/services/shop/spec?effective=true"},
        {"deploy", "/v1/services/shop/deploy", R"({"env": {"A": "1"}, "command": ["/bin/shop"]})"},
        {"deploy", "/v1/services/shop/deploy?dry_run=true"},
        {"rollback", "/v1/services/shop/rollback?dry_run=true", R"({"to": 1})"},
        {"rollback", "/v1/services/shop/rollback", R"({"to": 1})"},
        {"history", "/v1/services/shop/versions"},
        {"restart", "/v1/services/shop/restart", R"({"mode": "cold"})"},
        {"scale", "/v1/services/shop/scale", R"({"instances": 2})"},
        {"stop", "/v1/services/shop/stop"},
        {"start", "/v1/services/shop/start"},
        {"logs", "/v1/services/shop/logs?tail=3"},
        {"why", "/v1/services/shop/why"},
        {"runs", "/v1/services/tidy/runs"},
        {"create_user", "/v1/users", R"({"name": "ann", "role": "operator"})"},
        {"users", "/v1/users"},
        {"delete_user", "/v1/users/ann"},
        {"set_setting", "/v1/settings/log_files", R"({"value": "9"})"},
        {"settings", "/v1/settings"},
        {"setting", "/v1/settings/log_files"},
        {"reset_setting", "/v1/settings/log_files"},
        {"delete", "/v1/services/shop?dry_run=true"},
        {"delete", "/v1/services/shop"}};
}

std::vector<Case> bad_cases() {
    return {{"apply", "/v1/services", "name = "},
            {"deploy", "/v1/services/shop/deploy", "[]"},
            {"rollback", "/v1/services/shop/rollback", R"({"to": 0})"},
            {"restart", "/v1/services/shop/restart", R"({"mode": "warm"})"},
            {"scale", "/v1/services/shop/scale", "{}"},
            {"logs", "/v1/services/shop/logs?tail=x"},
            {"runs", "/v1/services/shop/runs"},
            {"create_user", "/v1/users", R"({"name": "X"})"},
            {"set_setting", "/v1/settings/log_files", R"({"value": "x"})"}};
}

std::string method_of(std::string_view name) {
    for (const auto& route : routes()) {
        if (route.name == name) return std::string(route.method);
    }
    ADD_FAILURE() << "no route " << name;
    return "";
}

// The path of an operation with its braces filled by something that is not there.
std::string path_to_nothing(std::string path) {
    auto open = path.find('{');
    if (open != path.npos) path.replace(open, path.find('}') - open + 1, "nothing");
    return path;
}

TEST_F(OpenApi, EveryAnswerIsAsTheFileSays) {
    say_everything();
    auto viewer = user("watcher", "viewer");
    for (const auto& [name, operation] : documented) {
        auto method = method_of(name);
        auto path = path_to_nothing(operation.path);
        hold(name, ask(method, path, "", ""));
        if (operation.item.at("responses").as_object().contains("403")) {
            hold(name, ask(method, path, "", viewer));
        }
        auto valid = name == "scale" ? R"({"instances": 1})" : R"({"value": "1"})";
        if (path != operation.path) {
            hold(name, act(method, path, name == "scale" || name == "set_setting" ? valid : ""));
        }
    }
    for (const auto& bad : bad_cases())
        hold(bad.name, act(method_of(bad.name), bad.target, bad.body));
    for (const auto& good : good_cases()) {
        hold(good.name, act(method_of(good.name), good.target, good.body));
    }
    operations.is_ready = false;
    hold("readyz", ask("GET", "/readyz"));
    user("twin", "viewer");
    hold("create_user", act("POST", "/v1/users", R"({"name": "twin"})"));
    ASSERT_TRUE(apply("", "shop"));
    hold("rollback", act("POST", "/v1/services/shop/rollback"));
}

TEST_F(OpenApi, EverySuccessTheFileListsHappens) {
    say_everything();
    for (const auto& good : good_cases()) {
        hold(good.name, act(method_of(good.name), good.target, good.body));
    }
    for (const auto& [name, operation] : documented) {
        for (const auto& [code, answer] : operation.item.at("responses").as_object()) {
            if (code.starts_with("2")) {
                EXPECT_TRUE(seen[name].contains(std::string(code))) << name << " " << code;
            }
        }
    }
}

TEST(SchemaCheck, FindsWhatDoesNotFit) {
    auto file = json::parse(R"({"s": {"type": "object", "required": ["a"],
        "additionalProperties": false, "properties": {
            "a": {"type": "integer", "minimum": 1}, "b": {"type": "array", "items": {"enum": ["x"]}},
            "t": {"type": "string", "format": "date-time"}}}})");
    SchemaCheck checker(file);
    const auto& schema = file.at("s");
    auto complaints = [&](std::string_view text) {
        return checker.check(schema, json::parse(text)).size();
    };
    EXPECT_EQ(complaints(R"({"a": 1, "b": ["x"], "t": "2026-11-21T00:09:42.123Z"})"), 0U);
    for (auto text :
         {"{}", "[]", R"({"a": 0})", R"({"a": "1"})", R"({"a": 1.5})", R"({"a": 1, "c": 1})",
          R"({"a": 1, "b": ["y"]})", R"({"a": 1, "b": 1})", R"({"a": 1, "t": "now"})"}) {
        EXPECT_EQ(complaints(text), 1U) << text;
    }
    auto strange = json::parse(R"({"type": "string", "pattern": "x"})");
    EXPECT_EQ(checker.check(strange, json::value("x")).size(), 1U);
}

}  // namespace
}  // namespace holdfast::gateway
