#include "coord/simulated.h"

#include <gtest/gtest.h>

#include <map>

#include "runtime/storage_stepper.h"

namespace holdfast::coord {
namespace {

using runtime::Random;
using runtime::VirtualStepper;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class Simulated : public ::testing::Test {
  protected:
    template <class T>
    T run(runtime::Task<T> task) {
        return stepper_.finish(std::move(task));
    }
    Result<Outcome> commit(Transaction transaction) {
        return run(coordinator_.commit(std::move(transaction)));
    }
    bool exists(const std::string& key) { return !ensemble_.list_all(key).entries.empty(); }

    VirtualStepper stepper_;
    Ensemble ensemble_{stepper_.clock(), Random(1)};
    SimulatedCoordinator coordinator_{
        ensemble_, stepper_.clock(), Random(2), seconds(1), {.delay_most = milliseconds(10)}};
};

TEST_F(Simulated, LeavesInDoubtWhetherALostTransactionWasEverApplied) {
    coordinator_.set_liberties({.delay_most = milliseconds(700),
                                .lose_request = 0.2,
                                .lose_answer = 0.2,
                                .late_request = 0.2,
                                .refuse = 0.2});
    int now = 0;
    int later = 0;
    int never = 0;
    std::vector<std::string> in_doubt;
    for (int i = 0; i < 1000; ++i) {
        const auto key = "k" + std::to_string(i) + ".";
        const auto outcome = commit({.when = {}, .then = {put(key, "")}});
        if (outcome) {
            EXPECT_TRUE(exists(key));
        } else if (outcome.error().code == Errc::unavailable) {
            stepper_.pass(seconds(5));
            EXPECT_FALSE(exists(key));
        } else {
            ASSERT_EQ(outcome.error().code, Errc::in_doubt);
            const bool at_once = exists(key);
            stepper_.pass(seconds(5));
            ++(at_once ? now : exists(key) ? later : never);
        }
    }
    EXPECT_GT(now, 50);
    EXPECT_GT(later, 50);
    EXPECT_GT(never, 50);
}

TEST_F(Simulated, AnswersNothingWhileCutOff) {
    ASSERT_TRUE(commit({.when = {}, .then = {put("a", "1")}}));
    coordinator_.set_liberties({.cut_off = true});
    EXPECT_EQ(run(coordinator_.get("a")).error().code, Errc::unavailable);
    EXPECT_EQ(commit({.when = {}, .then = {put("a", "2")}}).error().code, Errc::in_doubt);
    coordinator_.set_liberties({});
    EXPECT_EQ(run(coordinator_.get("a"))->value().value, "1");
}

TEST_F(Simulated, AWatchThatWasCutOffMissesNothing) {
    const auto watch = coordinator_.watch("", 0);
    coordinator_.set_liberties({.cut_off = true});
    Ensemble& ensemble = ensemble_;
    ASSERT_TRUE(ensemble.apply({.when = {}, .then = {put("a", "1")}}));
    EXPECT_FALSE(run(watch->next()));
    {
        auto abandoned = stepper_.start(watch->next());
    }
    coordinator_.set_liberties({});
    const auto event = run(watch->next());
    ASSERT_TRUE(event);
    ASSERT_EQ(event->changes.size(), 1);
    EXPECT_EQ(event->changes[0].entry.value, "1");
}

TEST_F(Simulated, EndsLeasesEarlyAndLate) {
    coordinator_.set_liberties({.lease_early_most = seconds(3), .lease_late_most = seconds(6)});
    int early = 0;
    int late = 0;
    for (int i = 0; i < 50; ++i) {
        const auto lease = *run(coordinator_.grant_lease(seconds(5)));
        ASSERT_TRUE(commit({.when = {}, .then = {put("l", "", lease)}}));
        stepper_.pass(milliseconds(4900));
        if (!exists("l")) ++early;
        stepper_.pass(milliseconds(200));
        if (exists("l")) ++late;
        stepper_.pass(minutes(1));
        EXPECT_FALSE(exists("l"));
    }
    EXPECT_GT(early, 2);
    EXPECT_GT(late, 2);
}

TEST_F(Simulated, ServesSeveralNodesOneState) {
    SimulatedCoordinator other(ensemble_, stepper_.clock(), Random(3), seconds(1),
                               {.delay_most = milliseconds(10)});
    const auto watch = other.watch("", 0);
    auto seen = stepper_.start(watch->next());
    ASSERT_TRUE(commit({.when = {{"a", 0}}, .then = {put("a", "1")}})->applied);
    EXPECT_FALSE(run(other.commit({.when = {{"a", 0}}, .then = {put("a", "2")}}))->applied);
    EXPECT_EQ(run(other.get("a"))->value().value, "1");
    EXPECT_EQ(stepper_.finish(seen)->changes[0].entry.value, "1");
}

}  // namespace
}  // namespace holdfast::coord
