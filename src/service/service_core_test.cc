#include "service/service_core.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>

#include "service/supervisor_core.h"

namespace holdfast::service {
namespace {

using runtime::EndedBy;
using runtime::RunId;
using namespace std::chrono_literals;

// Drives the whole core with one service, "shop", and answers launches at once.
class ServiceCoreTest : public testing::Test {
  protected:
    DesiredService wanted(int instances = 1) {
        DesiredService service;
        service.spec.name = "shop";
        service.spec.restart.backoff_least = 10s;
        service.spec.restart.backoff_most = 10s;
        service.version = 1;
        service.instances = instances;
        return service;
    }
    static void hot(DesiredService& service) {
        service.spec.listen = ListenSpec{.port = 80, .sockets = SocketMode::inherit};
        service.spec.deploy.strategy = DeploySpec::Strategy::hot;
    }
    void want(const DesiredService& service, std::optional<OutcomeState> known = std::nullopt) {
        core.want(now, "shop", service, known);
        step();
    }
    void step() {
        for (bool more = true; more;) {
            more = false;
            for (auto& action : core.step(now)) {
                if (auto* launch = std::get_if<LaunchRun>(&action)) {
                    last_run = launch->run;
                    ++launches;
                    runtime::RunReport report;
                    report.run = launch->run;
                    core.launched(now, report);
                    more = true;
                }
                if (auto* ask = std::get_if<AskRollback>(&action)) asked = *ask;
                if (auto* end = std::get_if<EndRollout>(&action)) ended.push_back(end->result);
                if (auto* close = std::get_if<CloseSocket>(&action)) closed.push_back(close->name);
                if (auto* stop = std::get_if<StopRun>(&action)) stopped.push_back(stop->run);
            }
        }
    }
    void pass(Duration duration) {
        Instant until = now + duration;
        for (;;) {
            Instant next = core.next_deadline();
            if (next > until) break;
            now = std::max(now, next);
            step();
        }
        now = until;
        step();
    }
    void exit(RunId run, EndedBy by, int signal) {
        runtime::Exit end;
        end.by = by;
        end.signal = signal;
        core.exited(now, run, end);
        step();
    }
    ServiceView view() { return *core.service(Moment{now, {}}, "shop"); }
    RunId run_of(std::size_t index) { return view().instances[index].run; }

    Instant now{};
    SupervisorCore core{{.starting_max = 4, .start_hold_max = 10s, .first_run = 1},
                        runtime::Random(7)};
    RunId last_run = 0;
    int launches = 0;
    std::optional<AskRollback> asked;
    std::vector<RolloutResult> ended;
    std::vector<std::string> closed;
    std::vector<RunId> stopped;
};

TEST_F(ServiceCoreTest, NeverMakesTheLastCandidateWaitForItsBackOff) {
    want(wanted());
    for (int i = 0; i < 5; ++i) exit(last_run, EndedBy::itself, SIGSEGV);
    EXPECT_EQ(launches, 6);
}

TEST_F(ServiceCoreTest, RestartsAtMostTenTimesASecond) {
    want(wanted());
    for (int i = 0; i < 10'000 && now < Instant{} + 3s; ++i) {
        if (auto run = run_of(0)) exit(run, EndedBy::itself, SIGSEGV);
        now += 1ms;
        step();
    }
    EXPECT_LE(launches, 1 + 31);
    EXPECT_GE(launches, 25);
}

TEST_F(ServiceCoreTest, BacksOffWhileAnotherInstanceIsReady) {
    want(wanted(2), OutcomeState::live);
    pass(1s);
    ASSERT_EQ(view().ready, 2);
    exit(run_of(0), EndedBy::itself, SIGSEGV);
    EXPECT_EQ(view().instances[0].state, InstanceState::backing_off);
    EXPECT_EQ(view().state, ServiceState::degraded);
    pass(10s);
    EXPECT_EQ(launches, 3);
}

TEST_F(ServiceCoreTest, StartsAtOnceOnAnOperatorsWord) {
    want(wanted(2), OutcomeState::live);
    pass(1s);
    exit(run_of(0), EndedBy::itself, SIGSEGV);
    core.start_now(now, "shop");
    step();
    EXPECT_EQ(view().instances[0].state, InstanceState::starting);
}

TEST_F(ServiceCoreTest, GoesBackWhenTheNewVersionCrashesInItsWatch) {
    auto service = wanted();
    want(service, OutcomeState::live);
    pass(1s);
    service.version = 2;
    want(service);
    exit(run_of(0), EndedBy::holdfast, SIGTERM);
    pass(2s);
    ASSERT_EQ(view().state, ServiceState::ready);
    EXPECT_EQ(view().rollout->phase, RolloutPhase::watching);
    exit(run_of(0), EndedBy::itself, SIGSEGV);
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->version, 2u);
    EXPECT_NE(asked->reason.find("SIGSEGV"), std::string::npos);

    service.version = 3;
    service.restores = 1;
    service.cause = Cause::rollback;
    want(service);
    if (auto run = run_of(0)) exit(run, EndedBy::holdfast, SIGTERM);
    EXPECT_TRUE(ended.empty()) << "the old version is not ready yet";
    pass(2s);
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].version, 2u);
    EXPECT_EQ(ended[0].outcome, RolloutOutcome::rolled_back);
    EXPECT_EQ(ended[0].now_live, 3u);
}

TEST_F(ServiceCoreTest, HoldsNoKillFromOutsideAgainstANewVersion) {
    auto service = wanted();
    want(service, OutcomeState::live);
    pass(1s);
    service.version = 2;
    want(service);
    exit(run_of(0), EndedBy::holdfast, SIGTERM);
    pass(2s);
    exit(run_of(0), EndedBy::outside, SIGKILL);
    pass(service.spec.deploy.watch + 2s);
    EXPECT_FALSE(asked);
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].outcome, RolloutOutcome::live);
}

TEST_F(ServiceCoreTest, RestartsAndDoesNotGoBackAfterTheWatch) {
    want(wanted());
    pass(5min);
    ASSERT_EQ(ended.size(), 1u);
    exit(run_of(0), EndedBy::itself, SIGSEGV);
    EXPECT_FALSE(asked);
    EXPECT_EQ(launches, 2);
}

TEST_F(ServiceCoreTest, LeavesAFailedVersionWhenAskedTo) {
    auto service = wanted();
    want(service, OutcomeState::live);
    pass(1s);
    service.version = 2;
    service.spec.deploy.rollback = DeploySpec::Rollback::manual;
    want(service);
    exit(run_of(0), EndedBy::holdfast, SIGTERM);
    exit(run_of(0), EndedBy::itself, SIGABRT);
    exit(run_of(0), EndedBy::itself, SIGABRT);
    EXPECT_FALSE(asked);
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].outcome, RolloutOutcome::failed);
    EXPECT_EQ(launches, 4) << "it is kept trying";
}

TEST_F(ServiceCoreTest, TellsThatThereIsNoGoingBack) {
    want(wanted());
    exit(run_of(0), EndedBy::itself, SIGABRT);
    exit(run_of(0), EndedBy::itself, SIGABRT);
    ASSERT_TRUE(asked);
    core.rollback_refused(now, "shop", "there is no earlier version");
    step();
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].outcome, RolloutOutcome::failed);
    EXPECT_NE(ended[0].reason.find("no earlier version"), std::string::npos);
    pass(2s);
    EXPECT_EQ(view().state, ServiceState::ready) << "and goes on trying";
}

TEST_F(ServiceCoreTest, RestartsColdOneAfterTheOther) {
    auto service = wanted(3);
    want(service, OutcomeState::live);
    pass(1s);
    service.restart_serial = 1;
    want(service);
    for (std::size_t i = 0; i < 3; ++i) {
        ASSERT_EQ(stopped.size(), i + 1);
        EXPECT_EQ(view().ready, 2);
        exit(stopped.back(), EndedBy::holdfast, SIGTERM);
        pass(1s);
    }
    EXPECT_EQ(view().ready, 3);
    pass(1h);
    EXPECT_EQ(launches, 6);
    EXPECT_EQ(view().restarts, 0u);
}

TEST_F(ServiceCoreTest, ScalesDownFromTheHighestIndex) {
    auto service = wanted(3);
    want(service, OutcomeState::live);
    pass(1s);
    auto last = run_of(2);
    auto middle = run_of(1);
    service.instances = 1;
    want(service);
    EXPECT_EQ(stopped, (std::vector<RunId>{last, middle}));
    exit(last, EndedBy::holdfast, SIGTERM);
    exit(middle, EndedBy::holdfast, SIGTERM);
    EXPECT_EQ(view().instances.size(), 1u);
}

TEST_F(ServiceCoreTest, OpensANewPortBeforeItClosesTheOld) {
    auto service = wanted();
    hot(service);
    want(service, OutcomeState::live);
    pass(1s);
    service.version = 2;
    service.spec.listen->port = 81;
    want(service);
    pass(1s);
    ASSERT_EQ(stopped.size(), 1u) << "the new one has taken over";
    EXPECT_TRUE(closed.empty()) << "the old one still drains";
    exit(stopped[0], EndedBy::holdfast, SIGTERM);
    EXPECT_EQ(closed, (std::vector<std::string>{"shop/127.0.0.1/80"}));
}

TEST_F(ServiceCoreTest, ClosesItsSocketWhenItIsDeleted) {
    auto service = wanted();
    hot(service);
    want(service, OutcomeState::live);
    pass(1s);
    core.unwant(now, "shop");
    step();
    exit(stopped.at(0), EndedBy::holdfast, SIGTERM);
    EXPECT_EQ(closed.size(), 1u);
    EXPECT_FALSE(core.service(Moment{now, {}}, "shop"));
}

TEST_F(ServiceCoreTest, IsDownWhenTheOnlyInstanceCrashesAndNotWhenItIsRestarted) {
    auto service = wanted();
    want(service, OutcomeState::live);
    pass(1s);
    service.restart_serial = 1;
    want(service);
    EXPECT_EQ(view().state, ServiceState::starting);
    exit(stopped.at(0), EndedBy::holdfast, SIGTERM);
    EXPECT_EQ(view().state, ServiceState::starting);
    pass(1s);
    exit(run_of(0), EndedBy::itself, SIGSEGV);
    EXPECT_EQ(view().state, ServiceState::down);
}

}  // namespace
}  // namespace holdfast::service
