#include "service/start_gate.h"

#include <gtest/gtest.h>

#include "service/backoff.h"
#include "service/start_window.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{};

TEST(StartGate, GivesNoMoreTurnsThanAllowed) {
    StartGate gate(2, 10s);
    for (int i = 0; i < 3; ++i) gate.request({"a", i}, Urgency::ordinary);
    EXPECT_EQ(gate.grant(t0)->index, 0);
    EXPECT_EQ(gate.grant(t0)->index, 1);
    EXPECT_FALSE(gate.grant(t0));
    gate.release({"a", 0});
    EXPECT_EQ(gate.grant(t0)->index, 2);
}

TEST(StartGate, TakesATurnBackWhenItsTimeIsUp) {
    StartGate gate(1, 10s);
    gate.request({"never-ready", 0}, Urgency::ordinary);
    ASSERT_TRUE(gate.grant(t0));
    EXPECT_EQ(gate.next_deadline(), Instant::max()) << "nobody waits";
    gate.request({"a", 0}, Urgency::ordinary);
    EXPECT_EQ(gate.next_deadline(), t0 + 10s);
    EXPECT_FALSE(gate.grant(t0 + 10s - 1ns));
    EXPECT_EQ(gate.grant(t0 + 10s)->service, "a");
}

TEST(StartGate, PrefersTheLastCandidateButLetsOthersThrough) {
    StartGate gate(1, 10s);
    gate.request({"calm", 0}, Urgency::ordinary);
    std::string order;
    for (int i = 0; i < 5; ++i) {
        gate.request({"urgent", i}, Urgency::last_candidate);
        auto key = gate.grant(t0);
        ASSERT_TRUE(key);
        order += key->service.front();
        gate.release(*key);
    }
    EXPECT_EQ(order, "uuucu");
}

TEST(StartGate, KeepsThePlaceOfOneThatAsksAgain) {
    StartGate gate(1, 10s);
    gate.request({"a", 0}, Urgency::ordinary);
    gate.request({"b", 0}, Urgency::ordinary);
    gate.request({"a", 0}, Urgency::ordinary);
    EXPECT_EQ(gate.grant(t0)->service, "a");
}

TEST(Backoff, DoublesItsBoundUpToTheMostAndForgets) {
    runtime::Random random(1);
    Backoff backoff;
    backoff.set_bounds(100ms, 1s);
    EXPECT_EQ(backoff.bound(), 0s);
    for (Duration bound : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
        auto wait = backoff.failed(random);
        EXPECT_EQ(backoff.bound(), bound);
        EXPECT_GE(wait, 0s);
        EXPECT_LE(wait, bound);
    }
    backoff.forget();
    EXPECT_EQ(backoff.failures(), 0);
}

TEST(Backoff, UsesTheWholeRange) {
    runtime::Random random(2);
    Duration least = 1h;
    Duration most = 0s;
    for (int i = 0; i < 1000; ++i) {
        Backoff backoff;
        backoff.set_bounds(1s, 1s);
        auto wait = backoff.failed(random);
        least = std::min(least, wait);
        most = std::max(most, wait);
    }
    EXPECT_LT(least, 50ms);
    EXPECT_GT(most, 950ms);
}

TEST(StartWindow, AllowsTenStartsInAnySecond) {
    StartWindow window;
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(window.next(t0 + i * 1ms), t0 + i * 1ms);
        window.started(t0 + i * 1ms);
    }
    EXPECT_EQ(window.next(t0 + 10ms), t0 + 1s);
    window.started(t0 + 1s);
    EXPECT_EQ(window.next(t0 + 1s), t0 + 1s + 1ms);
}

}  // namespace
}  // namespace holdfast::service
