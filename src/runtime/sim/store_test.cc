// The liberties SimStore takes; what it promises is in store_conformance.h.
#include "runtime/sim/store.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/storage_stepper.h"
#include "runtime/store_workload.h"

namespace holdfast::runtime {
namespace {

constexpr StoreFaults slow{.latency_least = std::chrono::milliseconds(1),
                           .latency_most = std::chrono::milliseconds(2)};

TEST(SimStore, KeepsAnyPrefixOfWhatWasNotSynced) {
    std::set<std::uint64_t> kept;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        VirtualStepper stepper;
        SimStore store(stepper.clock(), Random(seed));
        for (std::uint64_t number = 1; number <= 4; ++number) {
            const auto durability = number == 2 ? Durability::synced : Durability::buffered;
            ASSERT_TRUE(stepper.finish(store.write(workload_batch(number), durability)));
        }
        EXPECT_EQ(store.unsynced(), 2);
        store.crash();
        kept.insert(*workload_prefix(store));
    }
    EXPECT_EQ(kept, (std::set<std::uint64_t>{2, 3, 4}));
}

TEST(SimStore, ShowsABatchBeforeItIsDurableOrOnlyThen) {
    std::set<bool> shown;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        VirtualStepper stepper;
        SimStore store(stepper.clock(), Random(seed), slow);
        const auto writing = stepper.start(store.write(workload_batch(1), Durability::synced));
        shown.insert(*workload_prefix(store) == 1);
        EXPECT_EQ(store.unsynced(), 1);
        EXPECT_FALSE(writing.done());
    }
    EXPECT_EQ(shown, (std::set<bool>{false, true}));
}

TEST(SimStore, NeverAnswersWhatACrashOvertook) {
    VirtualStepper stepper;
    SimStore store(stepper.clock(), Random(1), slow);
    auto writing = stepper.start(store.write(workload_batch(1), Durability::synced));
    store.crash();
    EXPECT_FALSE(stepper.step());
    EXPECT_FALSE(writing.done());
}

TEST(SimStore, ReportsDamageAndThenTakesNoMoreWrites) {
    VirtualStepper stepper;
    SimStore store(stepper.clock(), Random(1));
    ASSERT_TRUE(stepper.finish(store.write(workload_batch(1), Durability::synced)));
    store.damage(std::string(workload_key));
    EXPECT_EQ(store.get("another"), std::nullopt);
    EXPECT_EQ(store.get(workload_key).error().code, Errc::corrupt);
    EXPECT_EQ(content_of(store).error().code, Errc::corrupt);
    EXPECT_EQ(stepper.finish(store.write(workload_batch(2), Durability::synced)).error().code,
              Errc::unavailable);
}

TEST(SimStore, CompletesNothingWhileItHangs) {
    VirtualStepper stepper;
    SimStore store(stepper.clock(), Random(1), {.hung = true});
    auto writing = stepper.start(store.write(workload_batch(1), Durability::synced));
    EXPECT_FALSE(stepper.step());
    store.set_faults(slow);
    EXPECT_TRUE(stepper.finish(writing));
}

}  // namespace
}  // namespace holdfast::runtime
