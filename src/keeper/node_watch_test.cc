#include "keeper/node_watch.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::keeper {

namespace {

using namespace std::chrono_literals;
using Due = NodeWatch::Due;

const Instant start{1000s};
const WallTime wall{5000s};

TEST(NodeWatch, StartsTheNodeAtOnceAndOnce) {
    NodeWatch watch({}, start, wall);
    EXPECT_EQ(watch.due(start), Due::start);
    watch.started(start, wall);
    EXPECT_EQ(watch.due(start), Due::nothing);
    EXPECT_EQ(watch.state(), NodeState::starting);
    watch.ready(wall + 1s);
    EXPECT_EQ(watch.state(), NodeState::ready);
    EXPECT_EQ(watch.since(), wall + 1s);
}

TEST(NodeWatch, KillsASilentNodeAtTheDeadlineAndNotBefore) {
    NodeWatch watch({.beat_max = 10s, .start_max = 60s}, start, wall);
    watch.started(start, wall);
    EXPECT_EQ(watch.next_deadline(), start + 60s);
    watch.beat(start + 20s);
    EXPECT_EQ(watch.next_deadline(), start + 30s);
    EXPECT_EQ(watch.due(start + 30s - 1ns), Due::nothing);
    EXPECT_EQ(watch.due(start + 30s), Due::kill);
    EXPECT_EQ(watch.due(start + 30s), Due::nothing);
    EXPECT_EQ(watch.due(start + 31s), Due::kill) << "the first had no effect";
}

TEST(NodeWatch, DoesNotBlameTheNodeForTimeInWhichNobodyRan) {
    NodeWatch watch({.beat_max = 10s, .start_max = 60s}, start, wall);
    watch.excuse(start);
    EXPECT_EQ(watch.next_deadline(), start) << "none runs: it is to be started";
    watch.started(start, wall);
    watch.beat(start);
    watch.excuse(start + 3600s);
    EXPECT_EQ(watch.due(start + 3609s), Due::nothing);
    EXPECT_EQ(watch.due(start + 3610s), Due::kill);
}

TEST(NodeWatch, AnswersTheFirstDeathAtOnceAndLaterOnesWithinADoublingLimit) {
    NodeWatch watch({}, start, wall);
    watch.started(start, wall);
    watch.died(start + 1s, wall, "why", 0.999);
    EXPECT_EQ(watch.due(start + 1s), Due::start);
    auto now = start + 1s;
    Duration limit = 10ms;
    for (int death = 2; death < 20; ++death) {
        watch.started(now, wall);
        watch.died(now, wall, "why", 0.999);
        EXPECT_GT(watch.next_deadline(), now + limit * 9 / 10) << death;
        EXPECT_LE(watch.next_deadline(), now + limit) << death;
        now = watch.next_deadline();
        limit = std::min<Duration>(limit * 2, 5s);
    }
    EXPECT_EQ(watch.restarts(), 19u);
    EXPECT_EQ(watch.deaths().size(), 16u);
}

TEST(NodeWatch, ForgetsDeathsAfterTenSecondsOfLife) {
    NodeWatch watch({}, start, wall);
    auto now = start;
    for (int death = 0; death < 10; ++death) {
        watch.started(now, wall);
        watch.died(now, wall, "why", 0.5);
        now = watch.next_deadline();
    }
    watch.started(now, wall);
    watch.died(now + 10s, wall, "why", 0.5);
    EXPECT_EQ(watch.next_deadline(), now + 10s);
}

TEST(NodeWatch, KeepsANodeDownThatIsHeld) {
    NodeWatch watch({}, start, wall);
    watch.started(start, wall);
    watch.hold(start + 5s, wall);
    watch.died(start, wall, "killed by SIGKILL", 0);
    EXPECT_EQ(watch.state(), NodeState::held);
    EXPECT_EQ(watch.due(start + 5s - 1ns), Due::nothing);
    EXPECT_EQ(watch.due(start + 5s), Due::start);
}

TEST(NodeWatch, StartsNoneWhileItShutsDown) {
    NodeWatch watch({}, start, wall);
    watch.started(start, wall);
    watch.leave(wall);
    watch.died(start, wall, "exited with 0", 0);
    EXPECT_EQ(watch.next_deadline(), Instant::max());
    EXPECT_EQ(watch.state(), NodeState::leaving);
}

// Whatever happens: never two starts without a death between, and after the last event a node is
// started within five seconds if there is none.
TEST(NodeWatch, NeverStartsTwiceAndNeverGivesUp) {
    for (unsigned seed = 1; seed <= 500; ++seed) {
        std::mt19937 random(seed);
        NodeWatch watch({}, start, wall);
        auto now = start;
        bool runs = false;
        for (int step = 0; step < 200; ++step) {
            now += 1ms * (random() % 3000);
            auto due = watch.due(now);
            if (due == Due::start) {
                ASSERT_FALSE(runs) << "seed " << seed;
                runs = true;
                watch.started(now, wall);
            } else if (runs && (due == Due::kill || random() % 4 == 0)) {
                runs = false;
                watch.died(now, wall, "why", static_cast<double>(random() % 1000) / 1000);
            } else if (runs) {
                watch.beat(now);
            }
        }
        if (!runs) {
            EXPECT_EQ(watch.due(now + 5s), Due::start) << "seed " << seed;
        }
    }
}

}  // namespace

}  // namespace holdfast::keeper
