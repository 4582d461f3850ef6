#include "health/probe.h"

#include <gtest/gtest.h>

#include <vector>

namespace holdfast::health {
namespace {

using namespace std::chrono_literals;

constexpr Instant start = Instant(1000h);  // Any instant will do; zero would hide mistakes.

ProbeResult well() {
    return {Answer::well, "http:/ready answered 200", 1ms};
}
ProbeResult unwell() {
    return {Answer::unwell, "http:/ready answered 503", 1ms};
}

Probing::Options usual() {
    return {.name = "http:/ready"};
}

// Carries one probe through at its time; the clock moves to it.
std::optional<VerdictChange> ask(Probing& probing, Instant& now, const ProbeResult& result,
                                 Duration takes = 1ms) {
    now = probing.next_deadline();
    auto step = probing.advance(now);
    EXPECT_TRUE(step.start);
    EXPECT_FALSE(step.change);
    if (!step.start) return std::nullopt;
    now += takes;
    return probing.answer(*step.start, result, now);
}

TEST(Probing, NeedsRiseGoodAnswersInARowToPass) {
    Probing probing({.name = "p", .rise = 3}, start, runtime::Random(1));
    Instant now = start;
    EXPECT_FALSE(ask(probing, now, well()));
    EXPECT_FALSE(ask(probing, now, well()));
    EXPECT_FALSE(ask(probing, now, unwell())) << "one bad answer is not yet a verdict";
    EXPECT_FALSE(ask(probing, now, well()));
    EXPECT_FALSE(ask(probing, now, well()));
    EXPECT_EQ(probing.verdict(), Verdict::unknown);
    auto change = ask(probing, now, well());
    ASSERT_TRUE(change);
    EXPECT_EQ(change->to, Verdict::passing);
    EXPECT_EQ(change->reason, "http:/ready answered 200, 3rd of 3");
}

TEST(Probing, FallsAfterFallBadAnswersAndKeepsTheReason) {
    Probing probing(usual(), start, runtime::Random(1));
    Instant now = start;
    ask(probing, now, well());
    ASSERT_TRUE(ask(probing, now, well()));
    EXPECT_FALSE(ask(probing, now, unwell(), 0ms));
    Instant first_bad = now;
    auto change = ask(probing, now, unwell());
    ASSERT_TRUE(change);
    EXPECT_EQ(change->from, Verdict::passing);
    EXPECT_EQ(change->to, Verdict::failing);
    EXPECT_EQ(change->reason, "http:/ready answered 503, 2nd of 2");
    EXPECT_EQ(change->since, first_bad);
    EXPECT_EQ(probing.unwell_since(), first_bad);
    EXPECT_FALSE(ask(probing, now, unwell())) << "each change is reported once";
    EXPECT_EQ(probing.reason(), "http:/ready answered 503, 2nd of 2");
}

TEST(Probing, ForgetsABadAnswerThatAGoodOneFollows) {
    Probing probing(usual(), start, runtime::Random(1));
    Instant now = start;
    ask(probing, now, well());
    ask(probing, now, well());
    for (int i = 0; i < 20; ++i) EXPECT_FALSE(ask(probing, now, i % 2 ? well() : unwell()));
    EXPECT_EQ(probing.verdict(), Verdict::passing);
    EXPECT_FALSE(probing.unwell_since());
}

TEST(Probing, CountsNoAnswerInTimeAsBad) {
    Probing probing({.name = "tcp", .timeout = 700ms, .fall = 1, .rise = 1}, start,
                    runtime::Random(1));
    Instant now = start;
    ask(probing, now, well());
    now = probing.next_deadline();
    auto asked = probing.advance(now);
    ASSERT_TRUE(asked.start);
    EXPECT_EQ(probing.next_deadline(), now + 700ms);
    EXPECT_FALSE(probing.advance(now + 699ms).abandon);
    auto step = probing.advance(now + 700ms);
    EXPECT_TRUE(step.abandon);
    ASSERT_TRUE(step.change);
    EXPECT_EQ(step.change->reason, "tcp gave no answer in 700ms");
    EXPECT_FALSE(probing.answer(*asked.start, well(), now + 701ms)) << "too late";
    EXPECT_EQ(probing.verdict(), Verdict::failing);
}

TEST(Probing, DoesNotBlameAnInstanceForTheNodesOwnStandstill) {
    Probing probing({.name = "tcp", .fall = 1, .rise = 1}, start, runtime::Random(1));
    Instant now = start;
    ask(probing, now, well());
    now = probing.next_deadline();
    ASSERT_TRUE(probing.advance(now).start);
    auto step = probing.advance(now + 30s);
    EXPECT_TRUE(step.abandon);
    EXPECT_FALSE(step.change);
    EXPECT_EQ(probing.verdict(), Verdict::passing);
}

TEST(Probing, CountsAProbeThatCouldNotBeCarriedOutForNothing) {
    Probing probing({.name = "exec:x", .fall = 2, .rise = 1}, start, runtime::Random(1));
    Instant now = start;
    ask(probing, now, well());
    ProbeResult unasked{Answer::unasked, "the keeper is away", 0ms};
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(ask(probing, now, unasked));
    EXPECT_EQ(probing.verdict(), Verdict::passing);
    EXPECT_FALSE(ask(probing, now, unwell()));
    EXPECT_FALSE(ask(probing, now, unasked));
    EXPECT_TRUE(ask(probing, now, unwell())) << "it interrupts no count";
}

// The first figure of the recovery table: start time + 50 ms.
TEST(Probing, NoticesAStartOfUpToASecondWithin50Ms) {
    for (Duration ready_after = 0ms; ready_after <= 1000ms; ready_after += 1ms) {
        Probing probing(usual(), start, runtime::Random(7));
        Instant now = start;
        std::optional<VerdictChange> change;
        while (!change || change->to != Verdict::passing) {
            change = ask(probing, now,
                         probing.next_deadline() >= start + ready_after ? well() : unwell());
            ASSERT_LT(now, start + 2s);
        }
        ASSERT_LE(now, start + ready_after + 50ms);
    }
}

TEST(Probing, AsksASlowStarterLessAndLessOften) {
    Probing probing(usual(), start, runtime::Random(1));
    Instant now = start;
    int asked = 0;
    for (; now < start + 60s; ++asked) ask(probing, now, unwell());
    EXPECT_LT(asked, 400);
    EXPECT_LE(probing.next_deadline() - now, 250ms);
}

TEST(Probing, JittersItsProbesByATenth) {
    Probing probing({.name = "p", .every = 1s, .rise = 1}, start, runtime::Random(3));
    Instant now = start;
    ask(probing, now, well());
    Duration least = 1h, most{};
    for (int i = 0; i < 200; ++i) {
        Duration gap = probing.next_deadline() - now;
        least = std::min(least, gap);
        most = std::max(most, gap);
        ask(probing, now, well());
    }
    EXPECT_GE(least, 900ms);
    EXPECT_LE(most, 1100ms);
    EXPECT_LT(least, 930ms);
    EXPECT_GT(most, 1070ms);
}

TEST(Probing, LeavesALiveProbeItsPeriodBeforeTheFirstAnswer) {
    Probing probing({.name = "live", .every = 10s, .quick_start = false}, start,
                    runtime::Random(1));
    EXPECT_GT(probing.next_deadline(), start);
    EXPECT_LE(probing.next_deadline(), start + 10s);
    Instant now = start;
    ask(probing, now, unwell());
    EXPECT_GE(probing.next_deadline() - now, 9s);
}

TEST(Probing, CountsInWords) {
    std::vector<std::string> words;
    for (int n : {1, 2, 3, 4, 10, 11, 12, 13, 21, 22, 101, 111}) words.push_back(ordinal(n));
    EXPECT_EQ(words, (std::vector<std::string>{"1st", "2nd", "3rd", "4th", "10th", "11th", "12th",
                                               "13th", "21st", "22nd", "101st", "111th"}));
}

// An instance that is well or ill for random spans, answered late, never or not at all. Safety: a
// verdict only ever changes after enough of the same answers. Liveness: once the instance stays as
// it is, the verdict follows within fall or rise probes.
TEST(ProbingSimulation, FollowsTheInstanceAndNeverAheadOfItsAnswers) {
    for (unsigned seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        runtime::Random random(seed);
        Probing::Options options{.name = "p",
                                 .every = random.between(50ms, 2s),
                                 .timeout = random.between(20ms, 1s),
                                 .fall = 1 + static_cast<int>(random.below(4)),
                                 .rise = 1 + static_cast<int>(random.below(4)),
                                 .quick_start = random.chance(0.8)};
        Probing probing(options, start, random.fork());
        Instant now = start;
        bool is_well = random.chance(0.5);
        int good = 0, bad = 0;
        auto count = [&](bool was_good) { (was_good ? ++good : ++bad, was_good ? bad : good) = 0; };
        auto check = [&](const std::optional<VerdictChange>& change) {
            if (!change) return;
            ASSERT_GE(change->to == Verdict::passing ? good : bad,
                      change->to == Verdict::passing ? options.rise : options.fall);
            ASSERT_LE(change->since, now);
        };
        for (int i = 0; i < 400; ++i) {
            bool settled = i > 360;
            if (!settled && random.chance(0.05)) is_well = !is_well;
            ASSERT_GE(probing.next_deadline(), now);
            now = probing.next_deadline();
            auto step = probing.advance(now);
            ASSERT_TRUE(step.start);
            if (!settled && random.chance(0.1)) {  // Never answered.
                now = probing.next_deadline();
                auto over = probing.advance(now);
                ASSERT_TRUE(over.abandon);
                count(false);
                check(over.change);
                continue;
            }
            now += random.between(0ns, options.timeout - 1ns);
            if (!settled && random.chance(0.1)) {
                ASSERT_FALSE(probing.answer(*step.start, {Answer::unasked, "", 0ms}, now));
                continue;
            }
            count(is_well);
            check(probing.answer(*step.start, is_well ? well() : unwell(), now));
        }
        EXPECT_EQ(probing.verdict(), is_well ? Verdict::passing : Verdict::failing);
    }
}

}  // namespace
}  // namespace holdfast::health
