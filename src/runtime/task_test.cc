#include "runtime/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;

// Notes its own end, as a timer that withdraws itself would.
class Note {
  public:
    Note(Log& log, std::string what) : log_(&log), what_(std::move(what)) {}
    Note(Note&& other) noexcept
        : log_(std::exchange(other.log_, nullptr)), what_(std::move(other.what_)) {}
    Note& operator=(Note&&) = delete;
    ~Note() {
        if (log_) log_->push_back(what_);
    }

  private:
    Log* log_;
    std::string what_;
};

// A leaf that is done when the test says so. Waiting that is abandoned is withdrawn.
class Gate {
  public:
    class Wait {
      public:
        explicit Wait(Gate& gate) : gate_(gate) {}
        ~Wait() { gate_.waiting_ = {}; }
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        bool await_ready() const noexcept { return gate_.open_; }
        void await_suspend(std::coroutine_handle<> self) noexcept { gate_.waiting_ = self; }
        void await_resume() const noexcept {}

      private:
        Gate& gate_;
    };
    Wait passed() { return Wait(*this); }
    bool awaited() const { return waiting_ != nullptr; }
    void open() {
        open_ = true;
        if (waiting_) std::exchange(waiting_, {}).resume();
    }

  private:
    bool open_ = false;
    std::coroutine_handle<> waiting_;
};

Task<int> at_once(int value) {
    co_return value;
}
Task<int> through(Gate& gate, int value) {
    co_await gate.passed();
    co_return value;
}
Task<int> throwing(Gate& gate) {
    co_await gate.passed();
    throw std::runtime_error("broken");
}
Task<void> passing(Gate& gate) {
    co_await gate.passed();
}

// Waits at the gate with a note in its frame.
Task<int> noted(Gate& gate, Note note) {
    Note inside = std::move(note);
    co_await gate.passed();
    co_return 1;
}

Task<void> keep_result(Task<int> task, std::vector<int>& into) {
    into.push_back(co_await std::move(task));
}

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
