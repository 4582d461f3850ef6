#include "keeper/run.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

namespace holdfast::keeper {

namespace {

using namespace std::chrono_literals;
using runtime::EndedBy;
using Due = Run::Due;

const Instant now{1000s};

Run live() {
    Run run;
    run.id = 1;
    run.phase = Phase::live;
    run.stop_grace = 10s;
    return run;
}

TEST(Run, WithoutDeadlinesAsksForNothing) {
    auto run = live();
    EXPECT_EQ(run.next_deadline(), Instant::max());
    EXPECT_EQ(run.due(now + 24h), Due::nothing);
}

TEST(Run, IsKilledWhenItsGraceIsOverAndAgainUntilItEnds) {
    auto run = live();
    run.begin_stop(now, 5s);
    EXPECT_EQ(run.due(now + 5s - 1ns), Due::nothing);
    EXPECT_EQ(run.due(now + 5s), Due::kill);
    EXPECT_EQ(run.next_deadline(), now + 5s + 100ms);
    EXPECT_EQ(run.due(now + 5s + 100ms), Due::kill);
}

TEST(Run, ASecondStopOnlyShortens) {
    auto run = live();
    run.begin_stop(now, 5s);
    run.begin_stop(now + 1s, 60s);
    EXPECT_EQ(run.next_deadline(), now + 5s);
    run.begin_stop(now + 1s, 1s);
    EXPECT_EQ(run.next_deadline(), now + 2s);
    run.begin_stop(now + 1s, Duration::max());
    run.begin_stop(now + 1s, Duration::min());
    EXPECT_EQ(run.next_deadline(), now + 1s);
}

TEST(Run, OverItsTimeIsTerminatedThenKilled) {
    auto run = live();
    run.end_at = now + 3s;
    EXPECT_EQ(run.next_deadline(), now + 3s);
    EXPECT_EQ(run.due(now + 3s), Due::terminate);
    EXPECT_TRUE(run.stopping);
    EXPECT_EQ(run.due(now + 4s), Due::nothing);
    EXPECT_EQ(run.due(now + 13s), Due::kill);
}

TEST(Run, IsOverOnlyWhenNothingOfItIsLeft) {
    auto run = live();
    run.main_ended(now, {.at = WallTime(1s), .by = EndedBy::itself, .code = 0, .signal = {}});
    EXPECT_EQ(run.due(now), Due::kill);
    EXPECT_FALSE(run.emptied(now, 2));
    EXPECT_FALSE(run.report().exit);
    EXPECT_EQ(run.due(now + 2ms), Due::kill);
    EXPECT_TRUE(run.emptied(now + 2ms, 0));
    EXPECT_EQ(run.report().exit->code, 0);
    EXPECT_EQ(run.next_deadline(), Instant::max());
    EXPECT_TRUE(run.weakened.empty());
}

TEST(Run, GivesUpRemainsThatCannotBeKilledAndSaysSo) {
    auto run = live();
    run.main_ended(now, {.at = WallTime(1s), .by = EndedBy::itself, .code = 0, .signal = {}});
    EXPECT_FALSE(run.emptied(now + remains_max - 1ns, 1));
    EXPECT_TRUE(run.emptied(now + remains_max, 1));
    EXPECT_EQ(run.weakened,
              std::vector<std::string>{"1 processes of it could not be killed within 10 s"});
}

TEST(Run, AnEmptyCgroupDoesNotEndARunWhoseMainProcessLives) {
    auto run = live();
    EXPECT_FALSE(run.emptied(now, 0));
    EXPECT_TRUE(run.alive());
}

struct Judgement {
    const char* name;
    WaitStatus status;
    bool stopping, oom;
    EndedBy by;
};

TEST(JudgeEnd, NamesWhoEndedIt) {
    const Judgement table[] = {
        {"exit 0", {CLD_EXITED, 0}, false, false, EndedBy::itself},
        {"exit 1 though its cgroup had an OOM kill", {CLD_EXITED, 1}, false, true, EndedBy::itself},
        {"fault", {CLD_DUMPED, SIGSEGV}, false, false, EndedBy::itself},
        {"abort", {CLD_DUMPED, SIGABRT}, false, false, EndedBy::itself},
        {"broken pipe", {CLD_KILLED, SIGPIPE}, false, false, EndedBy::itself},
        {"SIGKILL by somebody", {CLD_KILLED, SIGKILL}, false, false, EndedBy::outside},
        {"SIGTERM by somebody", {CLD_KILLED, SIGTERM}, false, false, EndedBy::outside},
        {"SIGHUP by somebody", {CLD_KILLED, SIGHUP}, false, false, EndedBy::outside},
        {"SIGKILL by the kernel", {CLD_KILLED, SIGKILL}, false, true, EndedBy::oom},
        {"SIGTERM beside an OOM kill", {CLD_KILLED, SIGTERM}, false, true, EndedBy::outside},
        {"our stop", {CLD_KILLED, SIGTERM}, true, false, EndedBy::holdfast},
        {"our stop, heeded by an exit", {CLD_EXITED, 0}, true, false, EndedBy::holdfast},
        {"our kill", {CLD_KILLED, SIGKILL}, true, false, EndedBy::holdfast},
    };
    for (auto& each : table) {
        auto exit = judge_end(WallTime(1s), each.status, each.stopping, each.oom);
        EXPECT_EQ(exit.by, each.by) << each.name;
        EXPECT_EQ(exit.code.has_value(), each.status.code == CLD_EXITED) << each.name;
        EXPECT_EQ(exit.core_dumped, each.status.code == CLD_DUMPED) << each.name;
    }
}

TEST(MergeNotification, KeepsTheLatestOfEach) {
    runtime::Notified known;
    EXPECT_TRUE(merge_notification(known, "READY=1\nSTATUS=one\n", now));
    EXPECT_TRUE(known.ready);
    EXPECT_EQ(known.status, "one");
    EXPECT_FALSE(merge_notification(known, "READY=1", now));
    EXPECT_FALSE(merge_notification(known, "MAINPID=1\nFDSTORE=1\n\n=\n", now));
    EXPECT_TRUE(merge_notification(known, "WATCHDOG=1", now + 1s));
    EXPECT_EQ(known.watchdog, now + 1s);
    EXPECT_TRUE(merge_notification(known, "RELOADING=1", now));
    EXPECT_TRUE(merge_notification(known, "READY=1", now));
    EXPECT_FALSE(known.reloading);
    EXPECT_TRUE(merge_notification(known, "STOPPING=1\nWATCHDOG=trigger", now));
    EXPECT_TRUE(known.stopping && known.watchdog_trigger);
    EXPECT_TRUE(merge_notification(known, "STATUS=" + std::string(1000, 'x'), now));
    EXPECT_EQ(known.status.size(), 255u);
}

}  // namespace

}  // namespace holdfast::keeper
