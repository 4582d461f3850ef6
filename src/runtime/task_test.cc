#include "runtime/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/task_probes.h"

namespace holdfast::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// ---- Tasks.

TEST(Task, DoesNothingUntilItIsAwaited) {
    Log log;
    {
        auto task = [](Log& l) -> Task<void> {
            l.push_back("ran");
            co_return;
        }(log);
        EXPECT_THAT(log, IsEmpty());
    }
    EXPECT_THAT(log, IsEmpty());
}

TEST(Task, DestroyedBeforeItStartedDestroysItsParameters) {
    Log log;
    Gate gate;
    {
        auto task = noted(gate, Note(log, "parameter"));
    }
    EXPECT_THAT(log, ElementsAre("parameter"));
}

TEST(Task, DestroyedWhileSuspendedUnwindsFromTheInnermostOut) {
    Log log;
    Gate gate;
    auto inner = [](Gate& g, Log& l) -> Task<void> {
        Note note(l, "inner");
        co_await g.passed();
    };
    auto outer = [](auto make, Gate& g, Log& l) -> Task<void> {
        Note note(l, "outer");
        co_await make(g, l);
    };
    {
        TaskGroup group;
        group.spawn(outer(inner, gate, log));
        EXPECT_TRUE(gate.awaited());
        EXPECT_THAT(log, IsEmpty());
    }
    EXPECT_THAT(log, ElementsAre("inner", "outer"));
    EXPECT_FALSE(gate.awaited()) << "the leaf has withdrawn its wait";
    gate.open();
}

TEST(Task, DestroyedWhenDoneDestroysItsValueOnce) {
    Log log;
    TaskGroup group;
    group.spawn([](Log& l) -> Task<void> {
        auto make = [](Log& inner) -> Task<Note> { co_return Note(inner, "value"); };
        {
            Note value = co_await make(l);
            l.push_back("taken");
        }
        l.push_back("done");
    }(log));
    EXPECT_THAT(log, ElementsAre("taken", "value", "done"));
}

TEST(Task, AssigningOverASuspendedTaskEndsIt) {
    Log log;
    Gate gate;
    auto task = noted(gate, Note(log, "first"));
    task = noted(gate, Note(log, "second"));
    EXPECT_THAT(log, ElementsAre("first"));
    auto& same = task;
    task = std::move(same);
    EXPECT_THAT(log, ElementsAre("first"));
}

TEST(Task, HandsOverValuesThatCanOnlyBeMoved) {
    std::unique_ptr<int> got;
    TaskGroup group;
    group.spawn([](std::unique_ptr<int>& into) -> Task<void> {
        auto make = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
        into = co_await make();
    }(got));
    ASSERT_TRUE(got);
    EXPECT_EQ(*got, 7);
}

TEST(Task, ReturnsResultsOfEachKind) {
    auto good = []() -> Task<Result<int>> { co_return 3; };
    auto bad = []() -> Task<Result<int>> { co_return fail(Errc::invalid, "no"); };
    auto empty = []() -> Task<Result<void>> { co_return {}; };
    TaskGroup group;
    group.spawn([](auto g, auto b, auto e) -> Task<void> {
        EXPECT_EQ(*co_await g(), 3);
        EXPECT_EQ((co_await b()).error().message, "no");
        EXPECT_TRUE((co_await e()).has_value());
    }(good, bad, empty));
    EXPECT_EQ(group.size(), 0u);
}

TEST(Task, ThrowsOutOfTheAwaitThatWaitsForIt) {
    Log log;
    Gate gate;
    TaskGroup group;
    group.spawn([](Gate& g, Log& l) -> Task<void> {
        try {
            co_await throwing(g);
        } catch (const std::runtime_error& error) {
            l.push_back(error.what());
        }
    }(gate, log));
    EXPECT_THAT(log, IsEmpty());
    gate.open();
    EXPECT_THAT(log, ElementsAre("broken"));
}

TEST(TaskDeathTest, RefusesToBeAwaitedTwice) {
    auto twice = []() -> Task<void> {
        auto task = at_once(1);
        co_await std::move(task);
        co_await std::move(task);
    };
    TaskGroup group;
    EXPECT_DEATH(group.spawn(twice()), "continuation_");
}

TEST(TaskDeathTest, RefusesToBeAwaitedWhenMovedFrom) {
    auto moved_from = []() -> Task<void> {
        auto task = at_once(1);
        auto other = std::move(task);
        co_await std::move(task);
    };
    TaskGroup group;
    EXPECT_DEATH(group.spawn(moved_from()), "frame_");
}

// How far the stack reaches between the calls of here().
class StackReach {
  public:
    void here() {
        // Not the address of a local: under ASan that may be on the heap.
        auto address = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        lowest_ = std::min(lowest_, address);
        highest_ = std::max(highest_, address);
    }
    std::uintptr_t bytes() const { return highest_ - lowest_; }

  private:
    std::uintptr_t lowest_ = UINTPTR_MAX;
    std::uintptr_t highest_ = 0;
};

Task<int> measured(StackReach& reach) {
    reach.here();
    co_return 1;
}

TEST(Task, AMillionTasksThatFinishAtOnceDoNotGrowTheStack) {
    StackReach reach;
    int sum = 0;
    TaskGroup group;
    group.spawn([](StackReach& r, int& total) -> Task<void> {
        for (int i = 0; i < 1'000'000; ++i) total += co_await measured(r);
    }(reach, sum));
    EXPECT_EQ(sum, 1'000'000);
    EXPECT_LT(reach.bytes(), 4096u);
}

TEST(Task, RacesAndJoinsThatFinishAtOnceDoNotGrowTheStack) {
    StackReach reach;
    Gate shut;
    int sum = 0;
    TaskGroup group;
    group.spawn([](StackReach& r, Gate& g, int& total) -> Task<void> {
        for (int i = 0; i < 100'000; ++i) {
            total += std::get<0>(co_await race(measured(r), passing(g)));
            total += std::get<1>(co_await race(passing(g), measured(r)));
            total += std::get<1>(co_await all(measured(r), measured(r)));
        }
    }(reach, shut, sum));
    EXPECT_EQ(sum, 300'000);
    EXPECT_LT(reach.bytes(), 8192u);
}

Task<int> nested(int depth, Gate& gate, StackReach& reach) {
    if (depth == 0) {
        co_await gate.passed();
        co_return 0;
    }
    int below = co_await nested(depth - 1, gate, reach);
    reach.here();
    co_return below + 1;
}

TEST(Task, AWaitAThousandCallsDeepReturnsThroughAllOfThemOnAFlatStack) {
    Gate gate;
    StackReach reach;
    std::vector<int> results;
    TaskGroup group;
    group.spawn(keep_result(nested(1000, gate, reach), results));
    gate.open();
    EXPECT_THAT(results, ElementsAre(1000));
    EXPECT_LT(reach.bytes(), 4096u);
}

TEST(Task, AWaitAThousandCallsDeepCanBeAbandoned) {
    Gate gate;
    StackReach reach;
    std::vector<int> results;
    {
        TaskGroup group;
        group.spawn(keep_result(nested(1000, gate, reach), results));
    }
    EXPECT_FALSE(gate.awaited());
    EXPECT_THAT(results, IsEmpty());
}

// ---- Groups.

TEST(TaskGroup, RunsATaskToItsFirstSuspensionBeforeSpawnReturns) {
    Log log;
    Gate gate;
    TaskGroup group;
    group.spawn([](Gate& g, Log& l) -> Task<void> {
        l.push_back("started");
        co_await g.passed();
        l.push_back("ended");
    }(gate, log));
    EXPECT_THAT(log, ElementsAre("started"));
    EXPECT_EQ(group.size(), 1u);
    gate.open();
    EXPECT_THAT(log, ElementsAre("started", "ended"));
    EXPECT_EQ(group.size(), 0u);
}

TEST(TaskGroup, StopEndsSuspendedTasksAndCanBeSpawnedIntoAgain) {
    Log log;
    Gate a, b, c;
    std::vector<int> results;
    TaskGroup group;
    group.spawn(keep_result(noted(a, Note(log, "a")), results));
    group.spawn(keep_result(noted(b, Note(log, "b")), results));
    group.spawn(keep_result(noted(c, Note(log, "c")), results));
    b.open();  // The middle one has left by itself.
    EXPECT_EQ(group.size(), 2u);
    group.stop();
    EXPECT_EQ(group.size(), 0u);
    EXPECT_THAT(log, ElementsAre("b", "c", "a"));
    EXPECT_FALSE(a.awaited() || c.awaited());

    group.spawn(keep_result(at_once(5), results));
    EXPECT_THAT(results, ElementsAre(1, 5));
}

TEST(TaskGroup, ATaskMaySpawnIntoItsOwnGroup) {
    Log log;
    Gate gate;
    TaskGroup group;
    auto child = [](Gate& g, Log& l) -> Task<void> {
        l.push_back("child");
        co_await g.passed();
        l.push_back("child done");
    };
    group.spawn([](TaskGroup& own, auto make, Gate& g, Log& l) -> Task<void> {
        l.push_back("parent");
        own.spawn(make(g, l));
        l.push_back("parent done");
        co_return;
    }(group, child, gate, log));
    EXPECT_THAT(log, ElementsAre("parent", "child", "parent done"));
    EXPECT_EQ(group.size(), 1u);
    gate.open();
    EXPECT_EQ(log.back(), "child done");
}

TEST(TaskGroup, ATaskEndedByStopMayWakeAnotherOfTheGroup) {
    Log log;
    Gate forever, woken;
    class Opener {
      public:
        explicit Opener(Gate& gate) : gate_(gate) {}
        ~Opener() { gate_.open(); }
        Opener(const Opener&) = delete;
        Opener& operator=(const Opener&) = delete;

      private:
        Gate& gate_;
    };
    TaskGroup group;
    group.spawn([](Gate& g, Log& l) -> Task<void> {
        co_await g.passed();
        l.push_back("woken");
    }(woken, log));
    group.spawn([](Gate& g, Gate& opens) -> Task<void> {
        Opener opener(opens);
        co_await g.passed();
    }(forever, woken));
    group.stop();
    EXPECT_THAT(log, ElementsAre("woken"));
    EXPECT_EQ(group.size(), 0u);
}

TEST(TaskGroup, StopsTasksWhoseFrameOwnsAnotherGroup) {
    Log log;
    Gate gate;
    {
        TaskGroup outer;
        outer.spawn([](Gate& g, Log& l) -> Task<void> {
            Gate never;
            TaskGroup inner;
            std::vector<int> results;
            inner.spawn(keep_result(noted(never, Note(l, "grandchild")), results));
            co_await g.passed();
        }(gate, log));
    }
    EXPECT_THAT(log, ElementsAre("grandchild"));
}

TEST(TaskGroupDeathTest, AnExceptionThatNobodyAwaitsEndsTheProcess) {
    TaskGroup group;
    EXPECT_DEATH(group.spawn([]() -> Task<void> {
        throw std::runtime_error("nobody waits");
        co_return;
    }()),
                 "nobody waits");
}

}  // namespace
}  // namespace holdfast::runtime
