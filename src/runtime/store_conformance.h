// What every Store promises: one suite for the simulated and the real one. Include it in one file
// of a test program and instantiate StoreConformance. For tests.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/storage_stepper.h"
#include "runtime/store.h"
#include "runtime/store_workload.h"

namespace holdfast::runtime {

class StoreSubject {
  public:
    virtual ~StoreSubject() = default;
    virtual Store& store() = 0;
    virtual Stepper& stepper() = 0;
    virtual void power_cut() = 0;    // And opens it again.
    virtual void reopen() = 0;       // In good order.
    virtual void fail_writes() = 0;  // From now until the next power_cut().
    virtual std::string fresh_directory() = 0;
    virtual std::unique_ptr<Store> open_checkpoint(const std::string& directory) = 0;
    virtual int rounds() = 0;  // Of random tests: as many as its speed allows.
};

struct StoreFactory {
    std::string name;
    std::function<std::unique_ptr<StoreSubject>(std::uint64_t seed)> make;
};

class StoreConformance : public ::testing::TestWithParam<StoreFactory> {
  protected:
    Store& store() { return subject_->store(); }
    Stepper& stepper() { return subject_->stepper(); }

    Result<void> write(Batch batch, Durability durability = Durability::synced) {
        return stepper().finish(store().write(std::move(batch), durability));
    }
    void put(const std::string& key, const std::string& value,
             Durability durability = Durability::synced) {
        Batch batch;
        batch.put(key, value);
        ASSERT_TRUE(write(std::move(batch), durability));
    }
    std::vector<std::string> keys(std::string_view from, std::string_view to) {
        std::vector<std::string> found;
        EXPECT_TRUE(store().snapshot()->scan(from, to, [&](auto key, auto) {
            found.emplace_back(key);
            return true;
        }));
        return found;
    }

    std::unique_ptr<StoreSubject> subject_ = GetParam().make(1);
};

using Keys = std::vector<std::string>;

TEST_P(StoreConformance, ShowsWhatAWriteHasReturnedFor) {
    EXPECT_EQ(store().get("a"), std::nullopt);
    put("a", "1");
    EXPECT_EQ(store().get("a"), "1");
    put("a", "2", Durability::buffered);
    EXPECT_EQ(store().get("a"), "2");
    put("a", "");
    EXPECT_EQ(store().get("a"), "");
    EXPECT_EQ(store().get(""), std::nullopt);
}

TEST_P(StoreConformance, AppliesTheStepsOfABatchInOrder) {
    Batch batch;
    batch.put("a", "1");
    batch.put("b", "1");
    batch.put("c", "1");
    batch.put("a", "2");
    batch.erase("b");
    batch.erase("none");
    batch.erase_range("c", "d");
    batch.put("c", "after");
    ASSERT_TRUE(write(std::move(batch)));
    EXPECT_EQ(content_of(store()), (StoreContent{{"a", "2"}, {"c", "after"}}));
}

TEST_P(StoreConformance, ErasesRangesWithoutTheirEnd) {
    for (const auto* key : {"a", "b", "bb", "c", "d"}) put(key, "1");
    Batch batch;
    batch.erase_range("b", "c");
    batch.erase_range("d", "d");
    batch.erase_range("e", "a");
    ASSERT_TRUE(write(std::move(batch)));
    EXPECT_EQ(keys("", ""), (Keys{"a", "c", "d"}));
}

TEST_P(StoreConformance, ScansInBytewiseOrderWithinTheRange) {
    const std::string zero("a\0", 2), high("a\xff"), higher("\xff\xff");
    for (const auto& key : {high, std::string("b"), zero, higher, std::string("a")}) put(key, "1");
    EXPECT_EQ(keys("", ""), (Keys{"a", zero, high, "b", higher}));
    EXPECT_EQ(keys("a", "b"), (Keys{"a", zero, high}));
    EXPECT_EQ(keys(zero, ""), (Keys{zero, high, "b", higher}));
    EXPECT_EQ(keys("c", "d"), Keys());
    int visits = 0;
    EXPECT_TRUE(store().snapshot()->scan("", "", [&](auto, auto) { return ++visits < 2; }));
    EXPECT_EQ(visits, 2);
}

TEST_P(StoreConformance, SnapshotsStayAsTheyWere) {
    put("a", "old");
    const auto snapshot = store().snapshot();
    Batch batch;
    batch.put("a", "new");
    batch.put("b", "new");
    ASSERT_TRUE(write(std::move(batch)));
    EXPECT_EQ(snapshot->get("a"), "old");
    EXPECT_EQ(snapshot->get("b"), std::nullopt);
    EXPECT_EQ(store().get("a"), "new");
    int visits = 0;
    EXPECT_TRUE(snapshot->scan("", "", [&](auto key, auto value) {
        EXPECT_EQ(key, "a");
        EXPECT_EQ(value, "old");
        return ++visits > 0;
    }));
    EXPECT_EQ(visits, 1);
}

TEST_P(StoreConformance, WritesOutstandingBatchesInTheOrderCalled) {
    std::vector<Started<Result<void>>> under_way;
    for (std::uint64_t number = 1; number <= 200; ++number) {
        const auto durability = number % 3 == 0 ? Durability::synced : Durability::buffered;
        under_way.push_back(stepper().start(store().write(workload_batch(number), durability)));
    }
    for (auto& one : under_way) ASSERT_TRUE(stepper().finish(one));
    EXPECT_EQ(workload_prefix(store()), 200);
}

TEST_P(StoreConformance, WritesABatchWhoseTaskIsDestroyedOrNeverAwaited) {
    Batch batch;
    batch.put("a", "1");
    {
        auto abandoned = store().write(std::move(batch), Durability::buffered);
    }
    put("b", "1");
    EXPECT_EQ(store().get("a"), "1");
    subject_->power_cut();
    EXPECT_EQ(keys("", ""), (Keys{"a", "b"}));
}

TEST_P(StoreConformance, TakesEmptyBatchesAndLargeValues) {
    EXPECT_TRUE(write({}));
    const std::string large(3 << 20, 'x');
    put("large", large);
    subject_->reopen();
    EXPECT_EQ(store().get("large"), large);
}

TEST_P(StoreConformance, KeepsSyncedBatchesAndAllBeforeThemThroughAPowerCut) {
    put("a", "1", Durability::buffered);
    put("b", "1");
    subject_->power_cut();
    EXPECT_EQ(keys("", ""), (Keys{"a", "b"}));
}

TEST_P(StoreConformance, KeepsWhatWasFlushedThroughAPowerCut) {
    put("a", "1", Durability::buffered);
    ASSERT_TRUE(stepper().finish(store().flush()));
    subject_->power_cut();
    EXPECT_EQ(store().get("a"), "1");
}

TEST_P(StoreConformance, RefusesWritesAfterOneHasFailedUntilItIsReopened) {
    put("a", "1");
    subject_->fail_writes();
    Batch batch;
    batch.put("b", "1");
    EXPECT_FALSE(write(batch));
    const auto refused = write(batch);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unavailable);
    EXPECT_FALSE(stepper().finish(store().flush()));
    EXPECT_EQ(store().get("a"), "1");
    subject_->power_cut();
    EXPECT_EQ(store().get("a"), "1");
    EXPECT_TRUE(write(batch));
}

TEST_P(StoreConformance, CheckpointsAreStoresOfTheirOwn) {
    put("a", "then");
    const auto directory = subject_->fresh_directory();
    ASSERT_TRUE(stepper().finish(store().checkpoint(directory)));
    put("a", "now");
    const auto again = stepper().finish(store().checkpoint(directory));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, Errc::conflict);
    const auto copy = subject_->open_checkpoint(directory);
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->get("a"), "then");
    EXPECT_EQ(store().get("a"), "now");
}

TEST_P(StoreConformance, KeepsAPrefixWithAllAcknowledgedBatchesThroughAnyPowerCut) {
    const int rounds = subject_->rounds();
    for (int round = 0; round < rounds; ++round) {
        subject_ = GetParam().make(static_cast<std::uint64_t>(round));
        Random random(static_cast<std::uint64_t>(round));
        std::uint64_t number = 0;
        for (int life = 0; life < 3; ++life) {
            std::uint64_t durable = number;
            {
                std::vector<std::pair<std::uint64_t, Started<Result<void>>>> synced;
                for (auto batches = random.below(20); batches > 0; --batches) {
                    const bool sync = random.chance(0.4);
                    auto writing = stepper().start(
                        store().write(workload_batch(++number),
                                      sync ? Durability::synced : Durability::buffered));
                    if (sync) synced.emplace_back(number, std::move(writing));
                    if (sync && random.chance(0.5)) stepper().step();
                }
                for (auto& [of, writing] : synced) {
                    if (writing.done() && writing.value()) durable = of;
                }
            }
            subject_->power_cut();
            const auto found = workload_prefix(store());
            ASSERT_TRUE(found) << "round " << round << ": " << found.error().message;
            ASSERT_GE(*found, durable) << "round " << round;
            ASSERT_LE(*found, number) << "round " << round;
            number = *found;
        }
    }
}

}  // namespace holdfast::runtime
