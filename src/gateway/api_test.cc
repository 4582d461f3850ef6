#include "gateway/api.h"

#include <gmock/gmock.h>

#include "base/units.h"
#include "gateway/api_bench.h"
#include "gateway/routes.h"

namespace holdfast::gateway {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Door : public ApiBench {};
class UsersCalls : public ApiBench {};
class SettingsCalls : public ApiBench {};
class ServicesCalls : public ApiBench {};
class Streams : public ApiBench {};
class Status : public ApiBench {};

constexpr std::string_view shop = "name = \"shop\"\ncommand = [\"/bin/shop\"]\n";

TEST_F(Door, ReadingStateIsFreeOnLoopback) {
    declare("shop");
    for (auto target :
         {"/healthz", "/readyz", "/metrics", "/v1/version", "/v1/node", "/v1/status",
          "/v1/services", "/v1/services/shop", "/v1/services/shop/versions",
          "/v1/services/shop/why", "/v1/settings", "/v1/settings/log_files", "/v1/openapi.json"}) {
        EXPECT_EQ(ask("GET", target).status, 200) << target;
        EXPECT_EQ(ask("HEAD", target).status, 200) << target;
    }
}

TEST_F(Door, EverythingElseNeedsATokenOnLoopbackToo) {
    declare("shop");
    for (const auto& route : routes()) {
        if (route.action == access::Action::observe) continue;
        std::string path(route.path);
        if (auto brace = path.find("{service}"); brace != path.npos) path.replace(brace, 9, "shop");
        auto response = ask(std::string(route.method), path);
        EXPECT_EQ(response.status, 401) << route.name;
        EXPECT_THAT(response.body, HasSubstr(R"("code":"unauthenticated")"));
        EXPECT_THAT(response.body, HasSubstr("holdfast user create"));
    }
    EXPECT_THAT(operations.asked, IsEmpty());
}

TEST_F(Door, ATokenThatIsNotGoodIsRefusedEvenWhereNoneIsNeeded) {
    auto good = user("ann", "viewer");
    auto wrong = good;
    wrong.back() = wrong.back() == '0' ? '1' : '0';
    EXPECT_EQ(ask("GET", "/v1/status", "", good).status, 200);
    for (auto token : {wrong, std::string("hft_bob.00"), std::string("hfl_0.0.0"), std::string("x"),
                       std::string(4000, 'x')}) {
        EXPECT_EQ(ask("GET", "/v1/status", "", token).status, 401) << token;
    }
    EXPECT_EQ(ask("GET", "/v1/status", "", "", {{"Authorization", "Basic x"}}).status, 400);
}

TEST_F(Door, ALocalTokenEndsAfterItsLife) {
    auto token = local_tokens.issue(0, stepper_.clock().now());
    EXPECT_EQ(ask("GET", "/v1/users", "", token).status, 200);
    stepper_.pass(access::local_token_life);
    EXPECT_EQ(ask("GET", "/v1/users", "", token).status, 401);
}

TEST_F(Door, RolesMayDoWhatTheirTableSays) {
    declare("shop");
    struct Row {
        std::string_view role;
        int logs, stop, users;
    };
    for (const Row& row : {Row{"viewer", 200, 403, 403}, Row{"operator", 200, 200, 403},
                           Row{"admin", 200, 200, 200}}) {
        auto token = user(row.role, row.role);
        EXPECT_EQ(ask("GET", "/v1/services/shop/logs", "", token).status, row.logs) << row.role;
        EXPECT_EQ(ask("POST", "/v1/services/shop/stop", "", token).status, row.stop) << row.role;
        EXPECT_EQ(ask("GET", "/v1/users", "", token).status, row.users) << row.role;
    }
}

TEST_F(Door, ForeignHostAndOriginAreRefusedBeforeAnythingElse) {
    auto token = local_tokens.issue(0, stepper_.clock().now());
    auto foreign = finish(api.answer({.method = "GET",
                                      .target = "/v1/status",
                                      .headers = {{"Host", "evil.example:7400"}},
                                      .body = {}}));
    EXPECT_EQ(foreign.status, 403);
    auto page =
        ask("POST", "/v1/services", std::string(shop), token, {{"Origin", "http://evil.example"}});
    EXPECT_EQ(page.status, 403);
    EXPECT_THAT(*finish(catalog_.list()), IsEmpty());
}

TEST_F(Door, OtherMethodsAreToldWhichThereAre) {
    auto response = ask("PATCH", "/v1/settings/log_files");
    EXPECT_EQ(response.status, 405);
    ASSERT_EQ(response.headers.size(), 1U);
    EXPECT_EQ(response.headers[0].name, "Allow");
    EXPECT_EQ(response.headers[0].value, "GET, HEAD, PUT, DELETE");
    EXPECT_EQ(ask("GET", "/v1/nothing").status, 404);
    EXPECT_EQ(ask("GET", "/").status, 404);
    EXPECT_EQ(ask("GET", "/v1//services").status, 400);
}

TEST_F(Door, UnknownParameterIsRefusedAndNotIgnored) {
    auto response = act("POST", "/v1/services?dry-run=true", std::string(shop));
    EXPECT_EQ(response.status, 400);
    EXPECT_THAT(response.body, HasSubstr("did you mean \\\"dry_run\\\"?"));
    EXPECT_THAT(*finish(catalog_.list()), IsEmpty());
}

TEST_F(Door, ReadinessIsTheOperations) {
    operations.is_ready = false;
    EXPECT_EQ(ask("GET", "/readyz").status, 503);
    EXPECT_EQ(ask("GET", "/healthz").status, 200);
}

TEST_F(Door, MetricsSayWhatRunsAndWhatItTakes) {
    auto response = ask("GET", "/metrics");
    EXPECT_EQ(response.type, "text/plain; version=0.0.4; charset=utf-8");
    EXPECT_THAT(response.body,
                HasSubstr("holdfast_build_info{version=\"0.1.0\",build=\"abcdef\"} 1\n"));
    for (auto name : {"resident_memory_bytes", "open_fds", "threads"}) {
        auto at = response.body.find(std::string("\nholdfast_process_") + name + " ");
        ASSERT_NE(at, std::string::npos) << name;
        EXPECT_GT(std::stod(response.body.substr(response.body.find(' ', at))), 0) << name;
    }
}

TEST_F(UsersCalls, SecretsAreShownOnceAndNeverListed) {
    auto made = act("POST", "/v1/users", R"({"name": "ann", "role": "admin"})");
    EXPECT_EQ(made.status, 201);
    for (auto key : {"access_key", "secret_key", "token"}) EXPECT_THAT(made.body, HasSubstr(key));
    auto list = act("GET", "/v1/users");
    EXPECT_THAT(list.body, HasSubstr(R"("name":"ann","role":"admin")"));
    EXPECT_THAT(list.body, Not(HasSubstr("secret_key")));
    EXPECT_THAT(list.body, Not(HasSubstr("token")));
}

TEST_F(UsersCalls, NameIsTakenOnce) {
    user("ann", "viewer");
    EXPECT_EQ(act("POST", "/v1/users", R"({"name": "ann"})").status, 409);
}

TEST_F(UsersCalls, DeletedUsersTokenStopsWorkingAtOnce) {
    auto token = user("ann", "admin");
    EXPECT_EQ(ask("GET", "/v1/users", "", token).status, 200);
    EXPECT_EQ(act("DELETE", "/v1/users/ann").status, 200);
    EXPECT_EQ(ask("GET", "/v1/users", "", token).status, 401);
    EXPECT_EQ(act("DELETE", "/v1/users/ann").status, 404);
}

TEST_F(UsersCalls, DamagedRecordLetsNobodyInAndCanBeDeleted) {
    auto token = user("ann", "admin");
    put("access/users/ann", "{}");
    EXPECT_EQ(ask("GET", "/v1/users", "", token).status, 500);
    EXPECT_EQ(act("DELETE", "/v1/users/ann").status, 200);
    EXPECT_EQ(act("GET", "/v1/users").status, 200);
}

TEST_F(SettingsCalls, ChangeAndReset) {
    auto changed = act("PUT", "/v1/settings/log_files", R"({"value": "7"})");
    EXPECT_EQ(changed.status, 200);
    EXPECT_THAT(changed.body, HasSubstr(R"("value":"7","default":"4","unit":"count")"));
    EXPECT_THAT(ask("GET", "/v1/settings").body, HasSubstr(R"("key":"log_files","value":"7")"));
    EXPECT_EQ(act("DELETE", "/v1/settings/log_files").status, 200);
    EXPECT_THAT(ask("GET", "/v1/settings/log_files").body, HasSubstr(R"("value":"4")"));
}

TEST_F(SettingsCalls, RefuseWhatNothingWouldHeed) {
    auto refused = act("PUT", "/v1/settings/copies", R"({"value": "3"})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body, HasSubstr("not available yet"));
    EXPECT_THAT(ask("GET", "/v1/settings/copies").body, HasSubstr(R"("available":false)"));
    EXPECT_EQ(act("PUT", "/v1/settings/log_files", R"({"value": "0"})").status, 400);
    EXPECT_EQ(act("PUT", "/v1/settings/log_flies", R"({"value": "1"})").status, 404);
    EXPECT_TRUE(finish(embedded_->list("settings/"))->entries.empty());
}

TEST_F(ServicesCalls, ApplyAnswersWithThePlanAndRemembersWhoItWas) {
    auto applied = act("POST", "/v1/services?file=a.toml", std::string(shop));
    EXPECT_EQ(applied.status, 200) << applied.body;
    EXPECT_THAT(applied.body, HasSubstr(R"("service":"shop","change":"created","version":1)"));
    auto version = finish(catalog_.version("shop", std::nullopt));
    EXPECT_EQ(version->author, "local:1000");
    EXPECT_EQ(version->file, "a.toml");
}

TEST_F(ServicesCalls, DryRunChangesNothing) {
    EXPECT_THAT(act("POST", "/v1/services?dry_run=true", std::string(shop)).body,
                HasSubstr(R"("dry_run":true)"));
    EXPECT_THAT(*finish(catalog_.list()), IsEmpty());
    declare("shop");
    EXPECT_EQ(act("DELETE", "/v1/services/shop?dry_run=true").status, 200);
    EXPECT_EQ(act("POST", "/v1/services/shop/deploy?dry_run=true", R"({"env": {"A": "1"}})").status,
              200);
    EXPECT_EQ(finish(catalog_.version("shop", std::nullopt))->number, 1U);
}

TEST_F(ServicesCalls, WrongFileIsRefusedWithItsLine) {
    auto refused = act("POST", "/v1/services?file=a.toml", "name = \"shop\"\ncomand = [\"x\"]\n");
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body, HasSubstr("a.toml:2:1"));
}

TEST_F(ServicesCalls, JustDeclaredServiceIsShownBeforeTheSupervisorKnowsIt) {
    act("POST", "/v1/services", std::string(shop));
    auto shown = ask("GET", "/v1/services/shop");
    EXPECT_EQ(shown.status, 200);
    EXPECT_THAT(shown.body, HasSubstr("not taken up yet"));
    EXPECT_EQ(ask("GET", "/v1/services/nothing").status, 404);
}

TEST_F(ServicesCalls, WishesReachTheCatalog) {
    declare("shop");
    EXPECT_EQ(act("POST", "/v1/services/shop/stop").status, 200);
    EXPECT_EQ(head().wanted, service::Running::stopped);
    EXPECT_EQ(act("POST", "/v1/services/shop/start").status, 200);
    EXPECT_EQ(head().wanted, service::Running::running);
    EXPECT_EQ(act("POST", "/v1/services/shop/scale", R"({"instances": 2})").status, 200);
    EXPECT_EQ(head().instances, 2);
    auto serial = head().restart_serial;
    EXPECT_EQ(act("POST", "/v1/services/shop/restart", R"({"mode": "cold"})").status, 200);
    EXPECT_EQ(head().restart_serial, serial + 1);
    EXPECT_EQ(head().restart_mode, service::RestartMode::cold);
    EXPECT_EQ(act("DELETE", "/v1/services/shop").status, 200);
    EXPECT_TRUE(head().deleted);
    EXPECT_THAT(operations.asked, ElementsAre("start_now shop"));
}

TEST_F(ServicesCalls, StartAndRestartOfAJobAreARunNow) {
    ASSERT_TRUE(apply("job = { every = \"1h\" }\n", "tidy"));
    operations.said_jobs["tidy"].name = "tidy";
    EXPECT_EQ(act("POST", "/v1/services/tidy/start").status, 200);
    EXPECT_EQ(act("POST", "/v1/services/tidy/restart").status, 200);
    EXPECT_THAT(operations.asked, ElementsAre("run_now tidy", "run_now tidy"));
}

TEST_F(ServicesCalls, RunsOfAServerAreRefused) {
    declare("shop");
    EXPECT_EQ(act("GET", "/v1/services/shop/runs").status, 400);
}

TEST_F(ServicesCalls, UnknownServiceIsNotFoundEverywhere) {
    for (const auto& route : routes()) {
        std::string path(route.path);
        auto brace = path.find("{service}");
        if (brace == path.npos) continue;
        path.replace(brace, 9, "nothing");
        auto body = route.operation == Operation::scale ? R"({"instances": 1})" : "";
        EXPECT_EQ(act(std::string(route.method), path, body).status, 404) << route.name;
    }
}

TEST_F(Streams, DeployTellsItsProgressAndHowItEnded) {
    declare("shop");
    operations.said_progress = {"instance 0 replaced"};
    operations.said_result.outcome = service::RolloutOutcome::rolled_back;
    operations.said_result.reason = "it exited";
    auto response = act("POST", "/v1/services/shop/deploy", R"({"env": {"A": "1"}})");
    EXPECT_EQ(response.type, lines_type);
    auto lines = drain(response);
    EXPECT_THAT(lines, HasSubstr(R"("kind":"progress","service":"shop","version":2,)"
                                 R"("message":"instance 0 replaced"})"));
    EXPECT_THAT(lines, HasSubstr(R"("kind":"rolled_back","service":"shop","version":2,)"
                                 R"("now_live":1,"message":"it exited"})"));
    EXPECT_THAT(operations.asked, ElementsAre("follow shop 2"));
}

TEST_F(Streams, ApplyWaitsWhenAskedButNotForAJob) {
    auto response = act("POST", "/v1/services?wait=true", std::string(shop));
    EXPECT_THAT(drain(response), HasSubstr(R"("kind":"live")"));
    auto job = act("POST", "/v1/services?wait=true",
                   "name = \"tidy\"\ncommand = [\"/bin/shop\"]\njob = { every = \"1h\" }\n");
    EXPECT_EQ(job.stream, nullptr);
    EXPECT_THAT(job.body, HasSubstr(R"("service":"tidy","change":"created")"));
}

service::OutputLine line(WallTime at, std::string text) {
    return {.at = at, .stream = "out", .text = std::move(text), .instance = 0};
}

TEST_F(Streams, LogsAreLinesOfJsonWhateverBytesWerePrinted) {
    declare("shop");
    operations.said_output["shop"] = {line(WallTime(1h), "caf\xe9 \x01\"")};
    auto response = act("GET", "/v1/services/shop/logs?tail=5&instance=0");
    EXPECT_EQ(drain(response),
              "{\"at\":\"1970-01-01T01:00:00.000Z\",\"instance\":0,\"stream\":\"out\","
              "\"text\":\"caf\xEF\xBF\xBD \\u0001\\\"\"}\n");
    EXPECT_EQ(operations.asked_query.lines_max, 5U);
    EXPECT_EQ(operations.asked_query.instance, 0);
}

TEST_F(Streams, LogsOfASilentServiceAreEmpty) {
    declare("shop");
    auto response = act("GET", "/v1/services/shop/logs");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(drain(response), "");
}

TEST_F(Streams, FollowedLogsShowOnceWhatIsBothInThePastAndInTheFeed) {
    declare("shop");
    auto now = stepper_.clock().wall_now();
    auto ms = std::chrono::ceil<std::chrono::milliseconds>(now);
    operations.said_output["shop"] = {line(ms - 1h, "old"), line(ms, "both"), line(ms, "both")};
    operations.said_later = {line(ms + 1us, "both"), line(ms, "both"), line(ms, "both"),
                             line(ms, "new")};
    auto response = act("GET", "/v1/services/shop/logs?follow=true");
    std::string all;
    for (int i = 0; i < 3; ++i) all += finish(response.stream->next()).value_or("END");
    std::vector<std::string> texts;
    for (auto at = all.find("\"text\":\""); at != all.npos; at = all.find("\"text\":\"", at + 1)) {
        texts.push_back(all.substr(at + 8, all.find('"', at + 8) - at - 8));
    }
    EXPECT_THAT(texts, ElementsAre("old", "both", "both", "both", "new"));
}

TEST_F(Status, IsOkWhenNothingIsWrong) {
    declare("shop");
    auto status = ask("GET", "/v1/status").body;
    EXPECT_THAT(status, HasSubstr(R"("health":"ok","summary":"one machine: no redundancy")"));
    EXPECT_THAT(status, HasSubstr(R"("problems":[],"warnings":[])"));
}

TEST_F(Status, NamesWhatIsWrongSinceWhen) {
    declare("shop");
    operations.said_services["shop"].state = service::ServiceState::down;
    operations.said_services["shop"].reason = "exited with code 1";
    operations.said_services["shop"].since = WallTime(2h);
    auto status = ask("GET", "/v1/status").body;
    EXPECT_THAT(status, HasSubstr(R"("health":"degraded")"));
    EXPECT_THAT(status,
                HasSubstr(R"({"subject":"shop","what":"down: exited with code 1",)"
                          R"("since":"1970-01-01T02:00:00.000Z","next":"holdfast why shop"})"));
}

TEST_F(Status, IsDegradedWithoutItsKeeper) {
    operations.said_machine.keeper_reachable = false;
    operations.said_machine.keeper_lost_since = WallTime(3h);
    operations.said_keeper = fail(Errc::unavailable, "gone");
    auto status = ask("GET", "/v1/status").body;
    EXPECT_THAT(status, HasSubstr(R"("health":"degraded")"));
    EXPECT_THAT(status, HasSubstr(R"("keeper":{"state":"gone","gone_since":"1970-01-01T03)"));
}

TEST_F(Status, WarnsOfRolledBackVersionsAndMissedRunsWithoutCallingThemDegraded) {
    declare("shop");
    operations.said_services["shop"].last_rollout =
        service::RolloutResult{.service = "shop",
                               .version = 2,
                               .outcome = service::RolloutOutcome::rolled_back,
                               .reason = "it exited",
                               .now_live = 1,
                               .at = WallTime(1h)};
    operations.said_jobs["tidy"].name = "tidy";
    service::JobRun missed;
    missed.state = service::RunState::missed;
    missed.times = 3;
    missed.reason = "the node was down";
    operations.said_runs["tidy"] = {missed};
    auto status = ask("GET", "/v1/status").body;
    EXPECT_THAT(status, HasSubstr(R"("health":"ok")"));
    EXPECT_THAT(status, HasSubstr("shop: version 2 was rolled back: it exited"));
    EXPECT_THAT(status, HasSubstr("tidy: missed 3 times: the node was down"));
}

}  // namespace
}  // namespace holdfast::gateway
