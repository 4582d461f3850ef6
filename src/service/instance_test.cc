#include "service/instance.h"

#include <gtest/gtest.h>

#include <csignal>

namespace holdfast::service {
namespace {

using runtime::EndedBy;
using runtime::Notified;
using runtime::RunId;
using namespace std::chrono_literals;
using Kind = InstanceEvent::Kind;

class InstanceTest : public testing::Test {
  protected:
    InstanceTest() { spec.name = "shop"; }

    ReleasePtr release(VersionNumber version = 1) {
        return std::make_shared<const Release>(Release{version, version, 0, spec});
    }
    void start(RunId run) {
        instance.start(now, run);
        runtime::RunReport report;
        report.run = run;
        report.pid = static_cast<int>(run);
        instance.launched(now, report);
    }
    void wanted_and_started() {
        instance.want(now, release());
        start(1);
    }
    void ready(RunId run) {
        Notified notified;
        notified.ready = true;
        instance.notified(now, run, notified);
    }
    void exit(RunId run, EndedBy by, int signal) {
        runtime::Exit end;
        end.by = by;
        end.signal = signal;
        instance.exited(now, run, end, random);
    }
    void exit_with(RunId run, int code) {
        runtime::Exit end;
        end.by = EndedBy::itself;
        end.code = code;
        instance.exited(now, run, end, random);
    }
    void at(Instant time) {
        now = time;
        instance.tick(now);
    }
    template <class T>
    std::vector<T> taken() {
        std::vector<T> found;
        for (auto& action : out.take()) {
            if (auto* one = std::get_if<T>(&action)) found.push_back(*one);
        }
        return found;
    }

    Instant now{};
    runtime::Random random{1};
    Spec spec;
    Outbox out;
    Instance instance{{"shop", 0}, out};
};

TEST_F(InstanceTest, IsReadyAfterASecondOfLifeWithoutOtherSigns) {
    wanted_and_started();
    EXPECT_EQ(instance.next_deadline(), now + 1s);
    at(Instant{} + 1s - 1ns);
    EXPECT_FALSE(instance.ready());
    at(Instant{} + 1s);
    EXPECT_TRUE(instance.ready());
}

TEST_F(InstanceTest, WaitsForReadyOfAProgramThatUsesTheNotifySocket) {
    wanted_and_started();
    Notified notified;
    notified.status = "warming up";
    instance.notified(now, 1, notified);
    at(Instant{} + 1h);
    EXPECT_FALSE(instance.ready());
    ready(1);
    EXPECT_TRUE(instance.ready());
}

TEST_F(InstanceTest, ConnectsToItsOwnPortUnlessItHasOnceSaidReadyItself) {
    spec.listen = ListenSpec{.port = 80, .sockets = SocketMode::own};
    wanted_and_started();
    ASSERT_EQ(taken<StartProbe>().size(), 1u);
    ready(1);
    ASSERT_TRUE(instance.ready());
    exit(1, EndedBy::outside, SIGKILL);
    start(2);
    instance.probed(now, {2, ProbeRole::ready, true, now, "connected"});
    EXPECT_FALSE(instance.ready());
    ready(2);
    EXPECT_TRUE(instance.ready());
}

TEST_F(InstanceTest, LetsOnlyTheDeclaredProbeDecide) {
    spec.health.ready = health::ProbeSpec{health::ProbeSpec::Kind::http, "/ready", ""};
    wanted_and_started();
    ready(1);
    at(Instant{} + 1h);
    EXPECT_FALSE(instance.ready());
    instance.probed(now, {1, ProbeRole::ready, true, now, "HTTP 200"});
    EXPECT_TRUE(instance.ready());
    instance.probed(now, {1, ProbeRole::ready, false, now, "HTTP 503"});
    EXPECT_EQ(instance.state(), InstanceState::unready);
    EXPECT_TRUE(taken<StopRun>().empty()) << "slow or ill is no reason to restart";
}

TEST_F(InstanceTest, StartsAgainAtOnceAndUncountedWhatWasReadyAndKilledFromOutside) {
    wanted_and_started();
    ready(1);
    exit(1, EndedBy::outside, SIGKILL);
    EXPECT_TRUE(instance.needs_start());
    EXPECT_EQ(instance.start_due(), now);
    EXPECT_EQ(instance.failures(), 0);
    start(2);
    auto counted = taken<CountRestart>();
    ASSERT_EQ(counted.size(), 1u);
    EXPECT_EQ(counted[0].cause, RestartCause::outside);
}

TEST_F(InstanceTest, CountsAKillFromOutsideBeforeItWasReady) {
    wanted_and_started();
    exit(1, EndedBy::outside, SIGKILL);
    EXPECT_EQ(instance.failures(), 1);
    EXPECT_EQ(instance.take_events().back().kind, Kind::killed);
}

TEST_F(InstanceTest, BacksOffFromItsOwnExitsAndFromTheKernelsKills) {
    wanted_and_started();
    ready(1);
    exit_with(1, 0);
    EXPECT_EQ(instance.failures(), 1) << "a service that ends has failed, whatever its code";
    start(2);
    ready(2);
    exit(2, EndedBy::oom, SIGKILL);
    EXPECT_EQ(instance.failures(), 2);
    EXPECT_NE(instance.reason().find("memory"), std::string::npos);
}

TEST_F(InstanceTest, ForgetsFailuresAfterHealthyTimeAndNotOnAStart) {
    wanted_and_started();
    exit_with(1, 1);
    start(2);
    ready(2);
    EXPECT_EQ(instance.failures(), 1);
    at(now + spec.restart.reset_after - 1ns);
    EXPECT_EQ(instance.failures(), 1);
    at(now + 1ns);
    EXPECT_EQ(instance.failures(), 0);
}

TEST_F(InstanceTest, EndsARunWhoseWatchdogIsSilent) {
    wanted_and_started();
    Notified notified;
    notified.ready = true;
    notified.watchdog = now;
    instance.notified(now, 1, notified);
    EXPECT_EQ(instance.next_deadline(), now + 3s);
    at(Instant{} + 3s - 1ns);
    EXPECT_TRUE(instance.ready());
    at(Instant{} + 3s);
    auto stops = taken<StopRun>();
    ASSERT_EQ(stops.size(), 1u);
    EXPECT_EQ(stops[0].grace, 1s);
    exit(1, EndedBy::holdfast, SIGKILL);
    EXPECT_EQ(instance.failures(), 1) << "a hang is a failure like a crash";
    EXPECT_NE(instance.reason().find("WATCHDOG=1"), std::string::npos);
}

TEST_F(InstanceTest, EndsARunWhoseLiveProbeHasFailedForLong) {
    spec.health.live = health::ProbeSpec{health::ProbeSpec::Kind::http, "/live", ""};
    wanted_and_started();
    EXPECT_TRUE(taken<StartProbe>().empty()) << "not before it is ready";
    ready(1);
    ASSERT_EQ(taken<StartProbe>().size(), 1u);
    auto failing = now + 10s;
    at(failing + 1s);
    instance.probed(now, {1, ProbeRole::live, false, failing, "timed out"});
    EXPECT_TRUE(taken<StopRun>().empty());
    instance.probed(now, {1, ProbeRole::live, true, now, "HTTP 200"});
    at(failing + 1h);
    EXPECT_TRUE(instance.ready());
    instance.probed(now, {1, ProbeRole::live, false, now - 3s, "timed out"});
    EXPECT_EQ(taken<StopRun>().size(), 1u);
}

TEST_F(InstanceTest, HeedsATriggeredWatchdogAtOnce) {
    wanted_and_started();
    ready(1);
    Notified notified;
    notified.ready = true;
    notified.watchdog_trigger = true;
    instance.notified(now, 1, notified);
    EXPECT_EQ(taken<StopRun>().size(), 1u);
}

TEST_F(InstanceTest, KeepsTheOldRunUntilTheNewOneIsReady) {
    spec.listen = ListenSpec{.port = 80, .sockets = SocketMode::inherit};
    wanted_and_started();
    ready(1);
    instance.want(now, release(2));
    instance.replace(now, ReplaceHow::hot, 10s, "new version");
    ASSERT_TRUE(instance.needs_start());
    taken<LaunchRun>();
    start(2);
    auto actions = out.take();
    ASSERT_TRUE(std::holds_alternative<LaunchRun>(actions.front()));
    EXPECT_EQ(std::get<LaunchRun>(actions.front()).beside, 1u);
    EXPECT_TRUE(instance.ready());
    ready(2);
    auto stops = taken<StopRun>();
    ASSERT_EQ(stops.size(), 1u);
    EXPECT_EQ(stops[0].run, 1u);
    EXPECT_EQ(stops[0].grace, spec.deploy.drain);
    EXPECT_TRUE(instance.ready());
    EXPECT_EQ(instance.main_run(), 2u);
}

TEST_F(InstanceTest, GivesUpANewRunThatIsNotReadyInTimeAndKeepsTheOld) {
    spec.listen = ListenSpec{.port = 80, .sockets = SocketMode::inherit};
    spec.health.ready = health::ProbeSpec{health::ProbeSpec::Kind::exec, "", "check"};
    wanted_and_started();
    instance.probed(now, {1, ProbeRole::ready, true, now, "exited with 0"});
    instance.want(now, release(2));
    instance.replace(now, ReplaceHow::hot, 10s, "new version");
    start(2);
    out.take();
    at(now + 10s);
    auto stops = taken<StopRun>();
    ASSERT_EQ(stops.size(), 1u);
    EXPECT_EQ(stops[0].run, 2u);
    instance.take_events();
    exit(2, EndedBy::holdfast, SIGTERM);
    auto events = instance.take_events();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].kind, Kind::hot_failed);
    EXPECT_TRUE(instance.ready());
    EXPECT_EQ(instance.main_run(), 1u);
    EXPECT_FALSE(instance.needs_start()) << "it is not tried again by itself";
}

TEST_F(InstanceTest, LetsTheNewRunStandInWhenTheOldOneDiesMeanwhile) {
    spec.listen = ListenSpec{.port = 80, .sockets = SocketMode::inherit};
    wanted_and_started();
    ready(1);
    instance.replace(now, ReplaceHow::hot, 10s, "restart");
    start(2);
    exit_with(1, 1);
    EXPECT_EQ(instance.main_run(), 2u);
    EXPECT_FALSE(instance.needs_start());
    ready(2);
    EXPECT_TRUE(instance.ready());
}

TEST_F(InstanceTest, StopsARunThatIsStillBeingLaunched) {
    instance.want(now, release());
    instance.start(now, 1);
    instance.stop(now, "stopped by an operator");
    EXPECT_TRUE(taken<StopRun>().empty());
    runtime::RunReport report;
    report.run = 1;
    instance.launched(now, report);
    EXPECT_EQ(taken<StopRun>().size(), 1u);
    exit(1, EndedBy::holdfast, SIGTERM);
    EXPECT_EQ(instance.state(), InstanceState::stopped);
}

TEST_F(InstanceTest, CallsAMissingProgramCertain) {
    instance.want(now, release());
    instance.start(now, 1);
    instance.launch_failed(now, 1, {Errc::invalid, "no such program: /nowhere"}, random);
    auto events = instance.take_events();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(events[0].certain);
    EXPECT_NE(instance.reason().find("/nowhere"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::service
