#include "cli/render.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/units.h"
#include "cli/table.h"

namespace holdfast::cli {
namespace {

namespace json = boost::json;

Page page() {
    return {.now = *parse_wall_time("2026-11-21T12:00:00Z"), .width = 80};
}

// Compares with golden/NAME.txt. To accept a change: HOLDFAST_WRITE_GOLDEN=1, then review the diff.
void expect_golden(const std::string& name, const std::string& text) {
    std::string path = std::string(HF_GOLDEN_DIRECTORY) + "/" + name + ".txt";
    if (std::getenv("HOLDFAST_WRITE_GOLDEN")) std::ofstream(path) << text;
    std::ifstream file(path);
    std::stringstream golden;
    golden << file.rdbuf();
    EXPECT_EQ(text, golden.str()) << path;

    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(text_width(line), 80u) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
    }
}

const std::string long_name(40, 'n');  // The contract promises 80 columns for names this long.

json::value service(const std::string& name, const std::string& state, int ready, int wanted) {
    return {{"name", name},
            {"kind", "server"},
            {"state", state},
            {"reason", "exited with code 1 after 12ms, 3 times in a row; next start in 1.6s"},
            {"since", "2026-11-21T08:30:00.000Z"},
            {"wanted", wanted},
            {"ready", ready},
            {"version", 12}};
}

json::value deploying_service() {
    auto shown = service("shop", "ready", 3, 3);
    shown.as_object()["rollout"] = {
        {"version", 12}, {"from", 11},  {"strategy", "hot"}, {"phase", "watching"},
        {"replaced", 3}, {"wanted", 3}, {"reason", ""},      {"since", "2026-11-21T11:59:48.000Z"}};
    return shown;
}

json::value node() {
    return {{"name", "box"},
            {"version", "0.1.0"},
            {"pid", 4242},
            {"started", "2026-11-18T08:00:00.000Z"},
            {"keeper",
             {{"state", "ok"},
              {"pid", 4241},
              {"node_restarts", 2},
              {"node_deaths",
               {{{"at", "2026-11-21T11:50:00.000Z"}, {"reason", "killed by SIGKILL"}}}}}}};
}

TEST(Render, Status) {
    json::value status{
        {"health", "degraded"},
        {"summary", "one machine: no redundancy"},
        {"node", node()},
        {"services", {deploying_service(), service(long_name, "backing_off", 10, 20)}},
        {"problems",
         {{{"subject", long_name},
           {"what", "exited with code 1 after 12ms, 3 times in a row, and is not ready"},
           {"since", "2026-11-21T11:59:48.000Z"},
           {"next", "holdfast logs " + long_name}}}},
        {"warnings", {"services without `user` run as root, because Holdfast does: shop"}}};
    expect_golden("status", render_status(status, page()));
}

TEST(Render, StatusOfAMachineWithoutServices) {
    json::value status{{"health", "ok"},
                       {"summary", "one machine: no redundancy"},
                       {"node", node()},
                       {"services", json::array()},
                       {"problems", json::array()},
                       {"warnings", json::array()}};
    expect_golden("status_empty", render_status(status, page()));
}

json::value instance(int index, const std::string& state, json::value last_exit) {
    return {{"instance", index},
            {"state", state},
            {"since", "2026-11-21T11:58:00.000Z"},
            {"reason", "ready 84ms after its start, by http:/ready"},
            {"restarts", 17},
            {"version", 12},
            {"pid", 123456},
            {"status", "serving 42 connections"},
            {"weakened", {"memory limit: no memory cgroup is writable here"}},
            {"last_exit", std::move(last_exit)}};
}

TEST(Render, Service) {
    auto shown = service(long_name, "degraded", 1, 2);
    shown.as_object()["address"] = "127.0.0.1";
    shown.as_object()["port"] = 8080;
    shown.as_object()["rollout"] = deploying_service().at("rollout");
    shown.as_object()["last_rollout"] = {{"version", 11},
                                         {"outcome", "rolled_back"},
                                         {"at", "2026-11-21T11:00:00.000Z"},
                                         {"reason", "2 of 2 new instances exited with code 1"}};
    shown.as_object()["instances"] = {instance(0, "ready",
                                               {{"at", "2026-11-21T11:58:00.000Z"},
                                                {"by", "outside"},
                                                {"signal", 9},
                                                {"reason", "killed from outside by SIGKILL"}}),
                                      instance(1, "backing_off",
                                               {{"at", "2026-11-21T11:58:00.000Z"},
                                                {"by", "itself"},
                                                {"code", 1},
                                                {"reason", "exited with code 1"}})};
    expect_golden("service", render_service(shown, page()));
}

TEST(Render, History) {
    json::value versions{
        {"service", "shop"},
        {"versions",
         {{{"version", 1},
           {"created", "2026-11-20T10:00:00.000Z"},
           {"by", "local:0"},
           {"cause", "apply"},
           {"current", false},
           {"outcome", {{"state", "rolled_back"}, {"reason", "never ready within 60s"}}},
           {"command", {"/opt/shop/bin/shop", "--port", "${PORT}"}}},
          {{"version", 2},
           {"created", "2026-11-21T10:00:00.000Z"},
           {"by", "ann"},
           {"cause", "deploy"},
           {"current", true},
           {"restores", 1},
           {"outcome", {{"state", "live"}, {"reason", "watched for 30s without a failure"}}},
           {"command", {"/opt/shop/bin/shop", "--port", "${PORT}", "--with-more-words"}}}}}};
    expect_golden("history", render_history(versions, page()));
}

TEST(Render, Why) {
    json::value why{{"service", "shop"},
                    {"state", "ready"},
                    {"since", "2026-11-21T11:59:00.000Z"},
                    {"reason", "all 3 instances are ready"},
                    {"incidents",
                     {{{"began", "2026-11-20T23:59:59.900Z"},
                       {"ended", "2026-11-21T00:00:01.123Z"},
                       {"worst", "degraded"},
                       {"cause", "http:/ready answered 503 at 2 of 2 probes"},
                       {"resolution", "ready again"},
                       {"lasted_seconds", 1.223}}}},
                    {"timeline",
                     {{{"at", "2026-11-20T23:59:59.900Z"},
                       {"subject", "service/shop"},
                       {"kind", "state"},
                       {"from", "ready"},
                       {"to", "degraded"},
                       {"indent", 0},
                       {"reason",
                        "http:/ready answered 503 at 2 of 2 probes; the last took 12ms and said "
                        "\"database is away\""}},
                      {{"at", "2026-11-21T00:00:01.123Z"},
                       {"subject", "instance/shop.0"},
                       {"kind", "run"},
                       {"from", ""},
                       {"to", "started"},
                       {"indent", 1},
                       {"reason", "as pid 12"}}}}};
    expect_golden("why", render_why(why, page()));
}

TEST(Render, Runs) {
    json::value runs{{"service", "report"},
                     {"reason", "succeeded 8h 28m ago, due again in 15h 30m"},
                     {"next", "2026-11-22T03:30:00.000Z"},
                     {"runs",
                      {{{"run", 7},
                        {"due", "2026-11-21T03:30:00.000Z"},
                        {"started", "2026-11-21T03:30:00.010Z"},
                        {"ended", "2026-11-21T03:31:12.500Z"},
                        {"state", "succeeded"},
                        {"tries", 2},
                        {"reason", "exit code 0, verified"}}}}};
    expect_golden("runs", render_runs(runs, page()));
}

TEST(Render, UsersAndSettings) {
    json::value users{{"users",
                       {{{"name", "ann"},
                         {"role", "admin"},
                         {"access_key", "HFAK1234567890ABCDEF"},
                         {"created", "2026-11-21T10:00:00.000Z"}}}}};
    json::value settings{{"settings",
                          {{{"key", "copies"},
                            {"value", "1"},
                            {"default", "1"},
                            {"unit", "count"},
                            {"description", "Durable copies of each key on different machines."},
                            {"available", false}}}}};
    expect_golden("users_settings",
                  render_users(users, page()) + render_settings(settings, page()));
}

TEST(Render, Checks) {
    using Verdict = Check::Verdict;
    expect_golden("checks",
                  render_checks({{"kernel", Verdict::ok, "Linux 6.1.0", ""},
                                 {"cgroups", Verdict::warning, "none writable",
                                  "limits on memory and cpu cannot be enforced: run as root, or "
                                  "delegate the controllers to this user (systemd: Delegate=yes)"},
                                 {"keeper", Verdict::failure, "No such file or directory",
                                  "install holdfast-keeper in the same directory as holdfast"}}));
}

TEST(Render, ErrorsEndWithWhatToDo) {
    json::value body{{"error",
                      {{"code", "not_found"},
                       {"message", "there is no service \"shpo\""},
                       {"next", "holdfast services lists them"}}}};
    EXPECT_EQ(render_error(body),
              "error: there is no service \"shpo\"\nnext: holdfast services lists them\n");
}

TEST(Render, PrettyJsonReadsBackAsTheSame) {
    json::value value{{"a", {1, 2.5, json::object{{"b", nullptr}}}}, {"e", json::array()}};
    EXPECT_EQ(json::parse(pretty(value)), value);
    EXPECT_EQ(pretty(json::object{{"a", 1}}), "{\n  \"a\": 1\n}\n");
}

// Whatever a node of another version leaves out, the command prints something.
TEST(Render, SurvivesMissingFields) {
    for (const json::value& value : {json::value(nullptr), json::value(json::object()),
                                     json::value{{"services", {1, nullptr}}, {"timeline", {1}}}}) {
        render_status(value, page());
        render_service(value, page());
        render_history(value, page());
        render_why(value, page());
        render_runs(value, page());
        render_settings(value, page());
        render_applied(value);
        render_error(value);
    }
}

}  // namespace
}  // namespace holdfast::cli
