#include "runtime/sim/disk.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/storage_stepper.h"

namespace holdfast::runtime {
namespace {

using std::chrono::microseconds;

constexpr std::uint64_t seeds = 2000;

std::string content(Random& random, char letter) {
    return std::string(static_cast<std::size_t>(1 + random.below(3000)), letter);
}

DiskFaults slow() {
    return {
        .torn_sectors = true, .latency_least = microseconds(1), .latency_most = microseconds(99)};
}

struct Bench {
    explicit Bench(std::uint64_t seed, DiskFaults faults = {})
        : random(seed), disk(stepper.clock(), random.fork(), faults) {}

    void steps(std::uint64_t count) {
        for (; count > 0; --count) stepper.step();
    }

    VirtualStepper stepper;
    Random random;
    SimDisk disk;
};

using Replace = Task<Result<void>> (*)(Disk&, std::string, std::string);

// Replaces a file many times with power cuts in between; what breaks the promise, if anything.
std::optional<std::string> breach(Replace replace, std::uint64_t seed) {
    Bench bench(seed, slow());
    std::optional<std::string> certain;  // What the file holds; nothing: it need not exist.
    for (int round = 0; round < 6; ++round) {
        const auto fresh = content(bench.random, static_cast<char>('a' + round));
        bool acknowledged = false;
        {
            auto replacing = bench.stepper.start(replace(bench.disk, "file", fresh));
            bench.steps(bench.random.below(9));
            acknowledged = replacing.done() && replacing.value();
        }
        bench.disk.crash();
        const auto found = bench.stepper.finish(read_file(bench.disk, "file", 1 << 20));
        if (!found) {
            if (found.error().code != Errc::not_found) return "cannot be read";
            if (certain || acknowledged) return "the file is gone";
            continue;
        }
        if (acknowledged && *found != fresh) return "an acknowledged replacement is lost";
        if (*found != fresh && found != certain) return "neither the old content nor the new";
        certain = *found;
    }
    return std::nullopt;
}

TEST(ReplaceFile, LeavesTheOldContentOrTheNewAfterAPowerCut) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const auto found = breach(replace_file, seed);
        ASSERT_FALSE(found) << "seed " << seed << ": " << *found;
    }
}

Task<Result<void>> replace_without(Disk& disk, std::string path, std::string bytes,
                                   bool sync_file) {
    {
        static_cast<void>(co_await disk.remove(path + ".new"));
        HF_CO_TRY(auto file, co_await disk.open(path + ".new", OpenMode::create_new));
        HF_CO_TRY_VOID(co_await file->write_at(0, std::move(bytes)));
        if (sync_file) HF_CO_TRY_VOID(co_await file->sync());
    }
    HF_CO_TRY_VOID(co_await disk.rename(path + ".new", path));
    if (!sync_file) co_return co_await disk.sync_directory("");
    co_return Result<void>();
}

Task<Result<void>> replace_without_file_sync(Disk& disk, std::string path, std::string bytes) {
    return replace_without(disk, std::move(path), std::move(bytes), false);
}

Task<Result<void>> replace_without_directory_sync(Disk& disk, std::string path, std::string bytes) {
    return replace_without(disk, std::move(path), std::move(bytes), true);
}

TEST(ReplaceFile, IsCaughtWithinAHundredSeedsWithoutEitherOfItsSyncs) {
    for (const auto careless : {replace_without_file_sync, replace_without_directory_sync}) {
        bool caught = false;
        for (std::uint64_t seed = 0; seed < 100 && !caught; ++seed) {
            caught = breach(careless, seed).has_value();
        }
        EXPECT_TRUE(caught);
    }
}

TEST(ReplaceFile, LeavesTheOldContentWhenTheDiskFails) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        Bench bench(seed);
        ASSERT_TRUE(bench.stepper.finish(replace_file(bench.disk, "file", "old")));
        bench.disk.set_faults({.write_error = 0.2, .sync_error = 0.2});
        const auto replaced = bench.stepper.finish(replace_file(bench.disk, "file", "new content"));
        bench.disk.set_faults({});
        bench.disk.crash();
        const auto found = bench.stepper.finish(read_file(bench.disk, "file", 100));
        ASSERT_TRUE(found) << "seed " << seed;
        if (replaced) {
            EXPECT_EQ(*found, "new content") << "seed " << seed;
        } else {
            EXPECT_TRUE(*found == "old" || *found == "new content") << "seed " << seed;
        }
    }
}

TEST(ReplaceFile, GivesTheSpaceBackWhenTheDiskIsFull) {
    Bench bench(1, {.capacity_bytes = 1000});
    ASSERT_TRUE(bench.stepper.finish(replace_file(bench.disk, "file", std::string(600, 'o'))));
    const auto replaced =
        bench.stepper.finish(replace_file(bench.disk, "file", std::string(600, 'n')));
    ASSERT_FALSE(replaced);
    EXPECT_EQ(replaced.error().code, Errc::exhausted);
    EXPECT_EQ(bench.stepper.finish(bench.disk.space())->free_bytes, 400);
    EXPECT_EQ(bench.stepper.finish(read_file(bench.disk, "file", 1000)), std::string(600, 'o'));
}

TEST(SimDisk, LosesKeepsAndTearsUnsyncedWrites) {
    std::set<std::string> kinds;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        Bench bench(seed);
        {
            auto file = *bench.stepper.finish(bench.disk.open("file", OpenMode::create_new));
            ASSERT_TRUE(bench.stepper.finish(file->write_at(0, std::string(2048, 'o'))));
            ASSERT_TRUE(bench.stepper.finish(file->sync()));
            ASSERT_TRUE(bench.stepper.finish(bench.disk.sync_directory("")));
            ASSERT_TRUE(bench.stepper.finish(file->write_at(0, std::string(2048, 'n'))));
        }
        bench.disk.crash();
        const auto found = bench.stepper.finish(read_file(bench.disk, "file", 4096));
        ASSERT_TRUE(found);
        ASSERT_EQ(found->size(), 2048);
        kinds.insert(*found == std::string(2048, 'o')   ? "lost"
                     : *found == std::string(2048, 'n') ? "kept"
                                                        : "torn");
        for (std::size_t sector = 0; sector < 2048; sector += sector_bytes) {
            EXPECT_EQ(found->find_first_not_of((*found)[sector], sector) / sector_bytes >
                          sector / sector_bytes,
                      true)
                << "half a sector without torn_sectors";
        }
    }
    EXPECT_EQ(kinds, (std::set<std::string>{"kept", "lost", "torn"}));
}

TEST(SimDisk, LosesOrKeepsUnsyncedDirectoryEntries) {
    std::set<std::vector<std::string>> outcomes;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        Bench bench(seed);
        for (const auto* name : {"a", "b"}) {
            auto file = *bench.stepper.finish(bench.disk.open(name, OpenMode::create_new));
            ASSERT_TRUE(bench.stepper.finish(file->sync()));
        }
        bench.disk.crash();
        outcomes.insert(*bench.stepper.finish(bench.disk.list("")));
    }
    EXPECT_EQ(outcomes, (std::set<std::vector<std::string>>{{}, {"a"}, {"b"}, {"a", "b"}}));
}

TEST(SimDisk, ForgetsWhatAFailedSyncDidNotWriteEvenIfALaterOneSucceeds) {
    bool lost = false;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        Bench bench(seed);
        {
            auto file = *bench.stepper.finish(bench.disk.open("file", OpenMode::create_new));
            ASSERT_TRUE(bench.stepper.finish(bench.disk.sync_directory("")));
            ASSERT_TRUE(bench.stepper.finish(file->write_at(0, "bytes")));
            bench.disk.set_faults({.sync_error = 1});
            EXPECT_EQ(bench.stepper.finish(file->sync()).error().code, Errc::unavailable);
            bench.disk.set_faults({});
            ASSERT_TRUE(bench.stepper.finish(file->sync()));
        }
        bench.disk.crash();
        lost = lost || bench.stepper.finish(read_file(bench.disk, "file", 100)) != "bytes";
    }
    EXPECT_TRUE(lost);
}

TEST(SimDisk, FlipsBitsForGood) {
    Bench bench(1);
    ASSERT_TRUE(bench.stepper.finish(replace_file(bench.disk, "file", "bytes")));
    EXPECT_TRUE(bench.disk.flip_bit("file", 3));
    EXPECT_FALSE(bench.disk.flip_bit("file", 8 * 5));
    bench.disk.crash();
    EXPECT_EQ(bench.stepper.finish(read_file(bench.disk, "file", 100)), "jytes");
    bench.disk.set_faults({.bit_flip = 1});
    const auto once = bench.stepper.finish(read_file(bench.disk, "file", 100));
    bench.disk.set_faults({});
    EXPECT_NE(once, "jytes");
    EXPECT_EQ(bench.stepper.finish(read_file(bench.disk, "file", 100)), once);
}

TEST(SimDisk, AnswersReadErrorsAsCorruptAndFailsFilesOpenedBeforeACrash) {
    Bench bench(1);
    auto file = *bench.stepper.finish(bench.disk.open("file", OpenMode::create_new));
    bench.disk.set_faults({.read_error = 1});
    EXPECT_EQ(bench.stepper.finish(file->read_at(0, 1)).error().code, Errc::corrupt);
    bench.disk.set_faults({});
    bench.disk.crash();
    EXPECT_EQ(bench.stepper.finish(file->read_at(0, 1)).error().code, Errc::unavailable);
}

TEST(SimDisk, CompletesNothingWhileItHangs) {
    Bench bench(1, {.hung = true});
    auto opening = bench.stepper.start(bench.disk.open("file", OpenMode::create_new));
    bench.stepper.pass(std::chrono::hours(1));
    EXPECT_FALSE(opening.done());
    bench.disk.set_faults({});
    EXPECT_TRUE(bench.stepper.finish(opening));
}

TEST(SimDisk, CarriesOutWhatWasStartedThoughNobodyWaits) {
    Bench bench(1, slow());
    {
        auto opening = bench.stepper.start(bench.disk.open("file", OpenMode::create_new));
        EXPECT_FALSE(opening.done());
    }
    bench.steps(1);
    EXPECT_EQ(bench.stepper.finish(bench.disk.list("")), std::vector<std::string>{"file"});
}

TEST(SimDisk, DoesTheSameForTheSameSeed) {
    std::optional<std::string> first;
    for (int run = 0; run < 2; ++run) {
        Bench bench(77, slow());
        auto file = *bench.stepper.finish(bench.disk.open("file", OpenMode::create_new));
        ASSERT_TRUE(bench.stepper.finish(bench.disk.sync_directory("")));
        ASSERT_TRUE(bench.stepper.finish(file->write_at(0, content(bench.random, 'x'))));
        bench.disk.crash();
        const auto found = *bench.stepper.finish(read_file(bench.disk, "file", 1 << 20));
        if (!first) first = found;
        EXPECT_EQ(found, *first);
    }
}

}  // namespace
}  // namespace holdfast::runtime
