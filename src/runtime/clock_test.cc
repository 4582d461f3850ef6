#include "runtime/clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace holdfast::runtime {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Instant start = Instant(1000h);

// A clock that stands where the test puts it.
class HandClock final : public Clock {
  public:
    Instant now() const override { return now_; }
    WallTime wall_now() const override { return WallTime{}; }
    TimerQueue& timers() override { return timers_; }
    void advance_to(Instant at) {
        now_ = at;
        timers_.advance(at);
    }

  private:
    Instant now_ = start;
    TimerQueue timers_;
};

class Timers : public testing::Test {
  protected:
    std::unique_ptr<Timer> timer(const std::string& name) {
        return std::make_unique<Timer>(queue, [this, name] { fired.push_back(name); });
    }
    TimerQueue queue;
    std::vector<std::string> fired;
};

TEST_F(Timers, FireInTheOrderTheyAreDueAndThenAsArmed) {
    auto a = timer("a"), b = timer("b"), c = timer("c"), d = timer("d");
    a->arm(start + 2s);
    b->arm(start + 1s);
    c->arm(start + 2s);
    d->arm(start + 1s);
    EXPECT_EQ(queue.next_deadline(), start + 1s);
    EXPECT_EQ(queue.advance(start + 2s), 4u);
    EXPECT_THAT(fired, ElementsAre("b", "d", "a", "c"));
    EXPECT_EQ(queue.next_deadline(), Instant::max());
}

TEST_F(Timers, FireAtTheirInstantAndNotBefore) {
    auto a = timer("a");
    a->arm(start);
    EXPECT_EQ(queue.advance(start - 1ns), 0u);
    EXPECT_TRUE(a->armed());
    EXPECT_EQ(queue.advance(start), 1u);
    EXPECT_FALSE(a->armed());
    EXPECT_EQ(queue.advance(start + 1h), 0u);
}

TEST_F(Timers, ArmingAgainReplacesTheEarlierArming) {
    auto a = timer("a");
    a->arm(start + 1s);
    a->arm(start + 5s);
    EXPECT_EQ(queue.advance(start + 1s), 0u);
    a->arm(start + 2s);
    EXPECT_EQ(queue.advance(start + 10s), 1u);
}

TEST_F(Timers, DisarmedOrDestroyedOnesDoNotFire) {
    auto a = timer("a"), b = timer("b");
    a->arm(start);
    b->arm(start);
    a->disarm();
    b.reset();
    EXPECT_EQ(queue.advance(start), 0u);
    EXPECT_THAT(fired, IsEmpty());
}

TEST_F(Timers, OneThatArmsItselfForNowWaitsForTheNextCall) {
    int count = 0;
    Timer again(queue, [&] {
        ++count;
        again.arm(start);
    });
    again.arm(start);
    EXPECT_EQ(queue.advance(start), 1u);
    EXPECT_EQ(queue.advance(start), 1u);
    EXPECT_EQ(count, 2);
}

TEST_F(Timers, ThoseArmedMeanwhileForAnEarlierInstantFireInTheSameCall) {
    auto late = timer("late");
    Timer first(queue, [&] { late->arm(start + 1s); });
    first.arm(start);
    EXPECT_EQ(queue.advance(start + 2s), 2u);
    EXPECT_THAT(fired, ElementsAre("late"));
}

TEST_F(Timers, OneMayDestroyItselfAndOthersWhenItFires) {
    auto victim = timer("victim");
    std::unique_ptr<Timer> suicide;
    suicide = std::make_unique<Timer>(queue, [&] {
        victim.reset();
        suicide.reset();
    });
    suicide->arm(start);
    victim->arm(start);
    EXPECT_EQ(queue.advance(start), 1u);
    EXPECT_THAT(fired, IsEmpty());
}

Task<void> note_after(Clock& clock, Duration duration, std::vector<std::string>& log,
                      std::string what) {
    co_await clock.sleep_for(duration);
    log.push_back(std::move(what));
}

TEST(Sleep, EndsAtItsInstantAndNotBefore) {
    HandClock clock;
    std::vector<std::string> log;
    TaskGroup group;
    group.spawn(note_after(clock, 2s, log, "slow"));
    group.spawn(note_after(clock, 1s, log, "fast"));
    group.spawn(note_after(clock, 0s, log, "none"));
    group.spawn(note_after(clock, -1s, log, "past"));
    EXPECT_THAT(log, ElementsAre("none", "past"));
    clock.advance_to(start + 1s - 1ns);
    EXPECT_EQ(log.size(), 2u);
    clock.advance_to(start + 1s);
    EXPECT_EQ(log.back(), "fast");
    clock.advance_to(start + 2s);
    EXPECT_EQ(log.back(), "slow");
}

TEST(Sleep, ThatIsAbandonedLeavesNoTimerBehind) {
    HandClock clock;
    std::vector<std::string> log;
    {
        TaskGroup group;
        group.spawn(note_after(clock, 2s, log, "never"));
        EXPECT_EQ(clock.timers().next_deadline(), start + 2s);
    }
    EXPECT_EQ(clock.timers().next_deadline(), Instant::max());
}

TEST(Sleep, PastTheEndOfTimeNeverEnds) {
    HandClock clock;
    std::vector<std::string> log;
    TaskGroup group;
    group.spawn(note_after(clock, Duration::max(), log, "never"));
    clock.advance_to(start + 24h * 365 * 100);
    EXPECT_THAT(log, IsEmpty());
    EXPECT_EQ(group.size(), 1u);
}

Task<Result<int>> answer_after(Clock& clock, Duration duration, int value) {
    co_await clock.sleep_for(duration);
    co_return value;
}

TEST(Within, GivesTheValueInTimeAndAnErrorThatSaysWhatTookTooLong) {
    HandClock clock;
    std::vector<Result<int>> got;
    auto ask = [](Clock& c, Duration takes, std::vector<Result<int>>& into) -> Task<void> {
        into.push_back(co_await within(c, 1500ms, "asking a", answer_after(c, takes, 5)));
    };
    TaskGroup group;
    group.spawn(ask(clock, 1s, got));
    group.spawn(ask(clock, 2s, got));
    clock.advance_to(start + 1s);
    clock.advance_to(start + 1500ms);
    ASSERT_EQ(got.size(), 2u);
    EXPECT_EQ(got[0], 5);
    EXPECT_EQ(got[1].error(), (Error{Errc::unavailable, "asking a took longer than 1.5s"}));
    EXPECT_EQ(clock.timers().next_deadline(), Instant::max()) << "the task is gone";
}

Task<void> count_wakes(Signal& signal, int& count) {
    for (;;) {
        co_await signal.wait();
        ++count;
    }
}

TEST(SignalTest, WakesBeforeTheWaitMakeOne) {
    Signal signal;
    signal.wake();
    signal.wake();
    int count = 0;
    TaskGroup group;
    group.spawn(count_wakes(signal, count));
    EXPECT_EQ(count, 1);
    signal.wake();
    signal.wake();
    EXPECT_EQ(count, 3);
}

TEST(SignalTest, AWaitThatLostItsRaceDoesNotEatAWake) {
    HandClock clock;
    Signal signal;
    std::vector<std::size_t> outcomes;
    TaskGroup group;
    group.spawn([](Clock& c, Signal& s, std::vector<std::size_t>& into) -> Task<void> {
        for (int i = 0; i < 2; ++i)
            into.push_back((co_await race(s.waited(), c.sleep_for(1s))).index());
    }(clock, signal, outcomes));
    clock.advance_to(start + 1s);
    EXPECT_THAT(outcomes, ElementsAre(1));
    signal.wake();
    EXPECT_THAT(outcomes, ElementsAre(1, 0));
    signal.wake();  // Nobody waits.
    group.spawn([](Signal& s) -> Task<void> { co_await s.wait(); }(signal));
    EXPECT_EQ(group.size(), 0u);
}

}  // namespace
}  // namespace holdfast::runtime
