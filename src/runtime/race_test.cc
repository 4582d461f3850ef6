#include "runtime/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/task_probes.h"

namespace holdfast::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// ---- Races.

Task<void> log_race(Task<int> a, Task<int> b, Log& log) {
    auto outcome = co_await race(std::move(a), std::move(b));
    log.push_back(outcome.index() == 0 ? "a " + std::to_string(std::get<0>(outcome))
                                       : "b " + std::to_string(std::get<1>(outcome)));
}

TEST(Race, ASecondTaskIsNeverStartedIfTheFirstIsDoneAtOnce) {
    Log log;
    auto started = [](Log& l) -> Task<int> {
        l.push_back("started");
        co_return 2;
    };
    TaskGroup group;
    group.spawn(log_race(at_once(1), started(log), log));
    EXPECT_THAT(log, ElementsAre("a 1"));
}

TEST(Race, ASecondTaskThatIsDoneAtOnceWins) {
    Log log;
    Gate gate;
    TaskGroup group;
    group.spawn(log_race(noted(gate, Note(log, "a ended")), at_once(2), log));
    EXPECT_THAT(log, ElementsAre("a ended", "b 2"));
    EXPECT_FALSE(gate.awaited());
}

TEST(Race, EndsTheLoserBeforeItReturns) {
    for (bool first_wins : {true, false}) {
        SCOPED_TRACE(first_wins);
        Log log;
        Gate a, b;
        TaskGroup group;
        group.spawn(log_race(noted(a, Note(log, "a gone")), noted(b, Note(log, "b gone")), log));
        EXPECT_THAT(log, IsEmpty());
        (first_wins ? a : b).open();
        if (first_wins)
            EXPECT_THAT(log, ElementsAre("a gone", "b gone", "a 1"));
        else
            EXPECT_THAT(log, ElementsAre("b gone", "a gone", "b 1"));
        EXPECT_FALSE(a.awaited() || b.awaited());
        EXPECT_EQ(group.size(), 0u);
    }
}

TEST(Race, EndsBothWhenItIsAbandoned) {
    Log log;
    Gate a, b;
    {
        TaskGroup group;
        group.spawn(log_race(noted(a, Note(log, "a gone")), noted(b, Note(log, "b gone")), log));
    }
    EXPECT_THAT(log, testing::UnorderedElementsAre("a gone", "b gone"));
    EXPECT_FALSE(a.awaited() || b.awaited());
}

TEST(Race, AbandonedBeforeItStartedEndsBoth) {
    Log log;
    Gate a, b;
    {
        auto task = race(noted(a, Note(log, "a gone")), noted(b, Note(log, "b gone")));
    }
    EXPECT_THAT(log, testing::UnorderedElementsAre("a gone", "b gone"));
}

TEST(Race, TheFirstWinsIfTheSecondFinishesIt) {
    Log log;
    Gate a;
    auto opens = [](Gate& gate) -> Task<int> {
        gate.open();
        co_return 2;
    };
    TaskGroup group;
    group.spawn(log_race(through(a, 1), opens(a), log));
    EXPECT_THAT(log, ElementsAre("a 1"));
}

TEST(Race, ThrowsWhatTheFirstToFinishThrew) {
    for (bool at_start : {true, false}) {
        SCOPED_TRACE(at_start);
        Log log;
        Gate a, b;
        if (at_start) b.open();
        TaskGroup group;
        group.spawn([](Gate& x, Gate& y, Log& l) -> Task<void> {
            try {
                co_await race(noted(x, Note(l, "a gone")), throwing(y));
            } catch (const std::runtime_error& error) {
                l.push_back(error.what());
            }
        }(a, b, log));
        if (!at_start) b.open();
        EXPECT_THAT(log, ElementsAre("a gone", "broken"));
        EXPECT_EQ(group.size(), 0u);
    }
}

TEST(Race, AnExceptionOfTheLoserIsNeverSeen) {
    Log log;
    Gate a, b;
    TaskGroup group;
    group.spawn(log_race(through(a, 1), throwing(b), log));
    a.open();
    b.open();
    EXPECT_THAT(log, ElementsAre("a 1"));
}

TEST(Race, RacesOfRacesEndAllButTheWinner) {
    for (int winner = 0; winner < 4; ++winner) {
        SCOPED_TRACE(winner);
        Gate gates[4];
        int won = -1;
        TaskGroup group;
        group.spawn([](Gate* g, int& into) -> Task<void> {
            auto outcome = co_await race(race(passing(g[0]), passing(g[1])),
                                         race(passing(g[2]), passing(g[3])));
            into = outcome.index() == 0 ? static_cast<int>(std::get<0>(outcome).index())
                                        : 2 + static_cast<int>(std::get<1>(outcome).index());
        }(gates, won));
        gates[winner].open();
        EXPECT_EQ(won, winner);
        for (auto& gate : gates) EXPECT_FALSE(gate.awaited());
    }
}

// ---- Joins.

Task<void> log_all(Task<int> a, Task<int> b, Log& log) {
    auto [x, y] = co_await all(std::move(a), std::move(b));
    log.push_back(std::to_string(x) + " " + std::to_string(y));
}

TEST(All, WaitsForBothInEitherOrder) {
    for (int order = 0; order < 2; ++order) {
        SCOPED_TRACE(order);
        Log log;
        Gate a, b;
        TaskGroup group;
        group.spawn(log_all(through(a, 1), through(b, 2), log));
        (order == 0 ? a : b).open();
        EXPECT_THAT(log, IsEmpty());
        (order == 0 ? b : a).open();
        EXPECT_THAT(log, ElementsAre("1 2"));
    }
}

TEST(All, TakesTasksThatAreDoneAtOnceOnEitherSide) {
    Log log;
    Gate gate;
    TaskGroup group;
    group.spawn(log_all(at_once(1), at_once(2), log));
    EXPECT_THAT(log, ElementsAre("1 2"));
    group.spawn(log_all(at_once(3), through(gate, 4), log));
    gate.open();
    EXPECT_THAT(log, ElementsAre("1 2", "3 4"));
    Gate other;
    group.spawn(log_all(through(other, 5), at_once(6), log));
    other.open();
    EXPECT_THAT(log, ElementsAre("1 2", "3 4", "5 6"));
}

TEST(All, AbandonedHalfwayEndsTheOtherHalf) {
    Log log;
    Gate a, b;
    {
        TaskGroup group;
        group.spawn(log_all(noted(a, Note(log, "a done")), noted(b, Note(log, "b gone")), log));
        a.open();
        EXPECT_THAT(log, ElementsAre("a done"));
    }
    EXPECT_THAT(log, ElementsAre("a done", "b gone"));
}

TEST(All, ThrowsTheFirstTasksExceptionAfterBothAreDone) {
    Log log;
    Gate a, b;
    TaskGroup group;
    group.spawn([](Gate& x, Gate& y, Log& l) -> Task<void> {
        try {
            co_await all(throwing(x), noted(y, Note(l, "b done")));
        } catch (const std::runtime_error& error) {
            l.push_back(error.what());
        }
    }(a, b, log));
    a.open();
    EXPECT_THAT(log, IsEmpty());
    b.open();
    EXPECT_THAT(log, ElementsAre("b done", "broken"));
}

TEST(All, JoinsVoidTasks) {
    Gate a, b;
    bool done = false;
    TaskGroup group;
    group.spawn([](Gate& x, Gate& y, bool& into) -> Task<void> {
        co_await all(passing(x), passing(y));
        into = true;
    }(a, b, done));
    a.open();
    b.open();
    EXPECT_TRUE(done);
}

}  // namespace
}  // namespace holdfast::runtime
