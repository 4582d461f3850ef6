#include "service/schedule.h"

#include <gtest/gtest.h>

#include <map>

#include "base/units.h"
#include "runtime/random.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;

constexpr Instant boot = Instant(1000h);

WallTime wall(std::string_view text) {
    return *parse_wall_time(text);
}
std::string text(WallTime time) {
    return format_wall_time(time);
}

JobSpec every(Duration period) {
    JobSpec spec;
    spec.when = JobSpec::When::every;
    spec.every = period;
    return spec;
}
JobSpec at(std::string time_of_day) {
    JobSpec spec;
    spec.when = JobSpec::When::at;
    spec.at = std::move(time_of_day);
    return spec;
}
JobSpec once() {
    return JobSpec{};
}

TEST(Schedule, FindsTheDailyOccasionsAround) {
    struct Case {
        std::string when;
        std::string next;
        std::string last;
    };
    for (const auto& [when, next, last] : {
             Case{"2026-11-21T03:29:59.999Z", "2026-11-21T03:30:00.000Z",
                  "2026-11-20T03:30:00.000Z"},
             Case{"2026-11-21T03:30:00.000Z", "2026-11-22T03:30:00.000Z",
                  "2026-11-21T03:30:00.000Z"},
             Case{"2026-11-21T23:59:59.000Z", "2026-11-22T03:30:00.000Z",
                  "2026-11-21T03:30:00.000Z"},
             Case{"2026-12-31T12:00:00.000Z", "2027-01-01T03:30:00.000Z",
                  "2026-12-31T03:30:00.000Z"},
             Case{"2028-02-28T12:00:00.000Z", "2028-02-29T03:30:00.000Z",
                  "2028-02-28T03:30:00.000Z"},
             // The nights on which much of Europe and America change their clocks: UTC does not.
             Case{"2026-03-29T01:30:00.000Z", "2026-03-29T03:30:00.000Z",
                  "2026-03-28T03:30:00.000Z"},
             Case{"2026-10-25T01:30:00.000Z", "2026-10-25T03:30:00.000Z",
                  "2026-10-24T03:30:00.000Z"},
         }) {
        SCOPED_TRACE(when);
        EXPECT_EQ(text(next_daily(wall(when), 3h + 30min)), next);
        EXPECT_EQ(text(last_daily(wall(when), 3h + 30min)), last);
    }
}

TEST(Schedule, ReadsATimeOfDayAndNothingElse) {
    EXPECT_EQ(*parse_time_of_day("03:30"), 3h + 30min);
    EXPECT_EQ(*parse_time_of_day("23:59:59"), 24h - 1s);
    for (auto wrong :
         {"", "3:30", "24:00", "12:60", "12:30:60", "12-30", "12:30:5", "1a:30", "12:30 "}) {
        EXPECT_FALSE(parse_time_of_day(wrong)) << wrong;
    }
}

TEST(Schedule, RunsANewIntervalAtOnceAndThenEachPeriod) {
    auto now = wall("2026-11-21T10:00:00.000Z");
    Schedule schedule(every(1h), std::nullopt, boot, now);
    EXPECT_EQ(schedule.due(boot, now).take, now);
    EXPECT_EQ(schedule.next_deadline(), boot + 1h);
    EXPECT_FALSE(schedule.due(boot + 59min, now + 59min).take);
    EXPECT_EQ(schedule.due(boot + 1h, now + 1h).take, now + 1h);
    EXPECT_EQ(schedule.next(boot + 1h, now + 1h), now + 2h);
}

TEST(Schedule, IgnoresTheWallClockWhileAnIntervalRuns) {
    auto now = wall("2026-11-21T10:00:00.000Z");
    Schedule schedule(every(1h), std::nullopt, boot, now);
    schedule.due(boot, now);
    for (Duration jump : {-48h, -1h, 1h, 48h}) {
        EXPECT_FALSE(schedule.due(boot + 30min, now + 30min + jump).take);
        EXPECT_EQ(schedule.next_deadline(), boot + 1h);
    }
}

TEST(Schedule, KeepsItsRhythmThroughARestart) {
    auto decided = wall("2026-11-21T10:00:00.000Z");
    auto now = wall("2026-11-21T10:20:00.000Z");
    Schedule schedule(every(1h), decided, boot, now);
    EXPECT_FALSE(schedule.due(boot, now).take);
    EXPECT_EQ(schedule.next_deadline(), boot + 40min);
    auto occasions = schedule.due(boot + 40min, now + 40min);
    EXPECT_EQ(occasions.take, decided + 1h);
    EXPECT_FALSE(occasions.missed);
}

TEST(Schedule, ReportsWhatWasMissedAndDoesNotMakeUpForIt) {
    auto decided = wall("2026-11-21T10:00:00.000Z");
    auto now = wall("2026-11-21T13:20:00.000Z");
    Schedule schedule(every(1h), decided, boot, now);
    auto occasions = schedule.due(boot, now);
    EXPECT_FALSE(occasions.take);
    ASSERT_TRUE(occasions.missed);
    EXPECT_EQ(occasions.missed->first, decided + 1h);
    EXPECT_EQ(occasions.missed->times, 3u);
    EXPECT_EQ(occasions.missed->reason, "Holdfast was not running when it was due");
    EXPECT_EQ(schedule.next_deadline(), boot + 40min);
    EXPECT_FALSE(schedule.due(boot, now).missed) << "once";
}

TEST(Schedule, TakesAnOccasionThatARestartDelayedByLessThanFiveMinutes) {
    auto decided = wall("2026-11-20T03:30:00.000Z");
    auto late = wall("2026-11-21T03:34:59.000Z");
    EXPECT_EQ(Schedule(at("03:30"), decided, boot, late).due(boot, late).take, decided + 24h);
    auto later = wall("2026-11-21T03:35:01.000Z");
    auto occasions = Schedule(at("03:30"), decided, boot, later).due(boot, later);
    EXPECT_FALSE(occasions.take);
    ASSERT_TRUE(occasions.missed);
    EXPECT_EQ(occasions.missed->times, 1u);
}

TEST(Schedule, DoesNotBelieveAClockThatWasSetBackOverARestart) {
    auto decided = wall("2030-01-01T00:00:00.000Z");
    auto now = wall("2026-11-21T10:00:00.000Z");
    Schedule interval(every(1h), decided, boot, now);
    EXPECT_FALSE(interval.due(boot, now).take);
    EXPECT_EQ(interval.next_deadline(), boot + 1h) << "not in 2030";
    Schedule daily(at("03:30"), decided, boot, now);
    auto occasions = daily.due(boot, now);
    EXPECT_TRUE(occasions.note);
    EXPECT_FALSE(occasions.take);
    EXPECT_EQ(text(*daily.next(boot, now)), "2026-11-22T03:30:00.000Z");
}

TEST(Schedule, LooksAtTheWallClockTwiceAMinuteAtLeast) {
    auto now = wall("2026-11-21T10:00:00.000Z");
    Schedule schedule(at("03:30"), std::nullopt, boot, now);
    schedule.due(boot, now);
    EXPECT_EQ(schedule.next_deadline(), boot + 30s);
    now = wall("2026-11-22T03:29:50.000Z");
    schedule.due(boot + 17h, now);
    EXPECT_EQ(schedule.next_deadline(), boot + 17h + 10s);
}

TEST(Schedule, NeverTakesADailyOccasionTwiceWhenTheClockIsSetBack) {
    auto now = wall("2026-11-21T03:00:00.000Z");
    Schedule schedule(at("03:30"), std::nullopt, boot, now);
    schedule.due(boot, now);
    EXPECT_TRUE(schedule.due(boot + 30min, now + 30min).take);
    // Set back by half an hour: 03:30 comes again.
    EXPECT_FALSE(schedule.due(boot + 31min, now + 1min).take);
    EXPECT_FALSE(schedule.due(boot + 60min, now + 30min).take);
    EXPECT_EQ(text(*schedule.next(boot + 60min, now + 30min)), "2026-11-22T03:30:00.000Z");
}

TEST(Schedule, ReportsADailyOccasionThatTheClockJumpedOver) {
    auto now = wall("2026-11-21T03:00:00.000Z");
    Schedule schedule(at("03:30"), std::nullopt, boot, now);
    schedule.due(boot, now);
    auto occasions = schedule.due(boot + 30s, now + 2h);
    EXPECT_FALSE(occasions.take);
    ASSERT_TRUE(occasions.missed);
    EXPECT_EQ(occasions.missed->reason, "the clock jumped over it, forward by 1h 59m");
}

TEST(Schedule, TakesOnceOnce) {
    auto now = wall("2026-11-21T10:00:00.000Z");
    Schedule schedule(once(), std::nullopt, boot, now);
    EXPECT_TRUE(schedule.due(boot, now).take);
    EXPECT_FALSE(schedule.due(boot + 24h, now + 24h).take);
    EXPECT_EQ(schedule.next_deadline(), Instant::max());
    EXPECT_FALSE(Schedule(once(), now, boot, now).due(boot, now).take);
}

// Days of a node's life: it sleeps, restarts, its clock is stepped either way. Safety: no occasion
// is taken twice, every one that passes is taken or reported. Liveness: with an honest clock each
// is taken within a minute.
TEST(ScheduleSimulation, AccountsForEveryDailyOccasionOnce) {
    for (unsigned seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        runtime::Random random(seed);
        bool honest = seed % 3 == 0;  // No steps of the clock.
        Instant now = boot;
        WallTime time = wall("2026-11-21T12:00:00.000Z");
        std::optional<WallTime> decided;
        std::map<WallTime, int> taken;
        std::uint64_t missed = 0;
        std::optional<Schedule> schedule(std::in_place, at("03:30"), decided, now, time);
        for (int i = 0; i < 3000; ++i) {
            auto occasions = schedule->due(now, time);
            if (occasions.take) {
                ASSERT_EQ(++taken[*occasions.take], 1) << text(*occasions.take);
                ASSERT_LE(*occasions.take, time);
                ASSERT_LE(time - *occasions.take, 5min);
            }
            if (occasions.missed) missed += occasions.missed->times;
            if (occasions.note) taken.clear();
            ASSERT_GT(schedule->next_deadline(), now);
            ASSERT_LE(schedule->next_deadline(), now + 30s);
            Duration pass =
                random.chance(0.1) ? random.between(0s, 20h) : schedule->next_deadline() - now;
            if (random.chance(0.9) && pass < 1min) pass = random.between(0s, 10min);
            now += pass;
            time += pass;
            if (!honest && random.chance(0.05)) time += random.between(-3h, 3h);
            if (random.chance(0.05)) {
                decided = schedule->decided();
                schedule.emplace(at("03:30"), decided, now, time);
            }
        }
        auto days = (time - wall("2026-11-21T12:00:00.000Z")) / 24h;
        if (honest) {
            EXPECT_NEAR(static_cast<double>(taken.size() + missed), static_cast<double>(days), 1.0);
        } else {
            EXPECT_GE(static_cast<long>(taken.size() + missed) + 1, days);
        }
    }
}

}  // namespace
}  // namespace holdfast::service
