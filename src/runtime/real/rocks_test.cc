#include "runtime/real/rocks.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "base/hash.h"
#include "runtime/real/lossy_env.h"
#include "runtime/sim/store.h"
#include "runtime/storage_stepper.h"
#include "runtime/store_conformance.h"
#include "runtime/store_workload.h"

namespace holdfast::runtime {
namespace {

namespace fs = std::filesystem;

class SimSubject final : public StoreSubject {
  public:
    explicit SimSubject(std::uint64_t seed) : random_(seed) {}

    Store& store() override { return store_; }
    Stepper& stepper() override { return stepper_; }
    void power_cut() override {
        store_.crash();
        store_.set_faults(usual());
    }
    void reopen() override {}
    void fail_writes() override {
        auto faults = usual();
        faults.write_error = 1;
        store_.set_faults(faults);
    }
    std::string fresh_directory() override { return "copy"; }
    std::unique_ptr<Store> open_checkpoint(const std::string& directory) override {
        return std::make_unique<SimStore>(stepper_.clock(), random_.fork(), StoreFaults{},
                                          *store_.checkpoint_at(directory));
    }
    int rounds() override { return 1000; }

  private:
    static StoreFaults usual() {
        return {.latency_least = std::chrono::microseconds(1),
                .latency_most = std::chrono::milliseconds(5)};
    }

    VirtualStepper stepper_;
    Random random_;
    SimStore store_{stepper_.clock(), random_.fork(), usual()};
};

class Directory {
  public:
    Directory() {
        std::string pattern = ::testing::TempDir() + "holdfast-store-XXXXXX";
        path_ = ::mkdtemp(pattern.data());
    }
    ~Directory() { fs::remove_all(path_); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    std::string operator/(std::string_view name) const { return path_ + '/' + std::string(name); }

  private:
    std::string path_;
};

class RocksSubject final : public StoreSubject {
  public:
    explicit RocksSubject(std::uint64_t seed) : random_(seed) { open(); }

    Store& store() override { return *store_; }
    Stepper& stepper() override { return stepper_; }
    void power_cut() override {
        env_.cut();
        store_.reset();
        env_.lose(random_);
        open();
    }
    void reopen() override {
        store_.reset();
        open();
    }
    void fail_writes() override { env_.cut(); }
    std::string fresh_directory() override { return directory_ / "copy"; }
    std::unique_ptr<Store> open_checkpoint(const std::string& directory) override {
        return *RocksStore::open({.directory = directory}, post());
    }
    int rounds() override { return 10; }

  private:
    Post post() {
        return [this](auto work) { stepper_.post(std::move(work)); };
    }
    void open() {
        auto opened = RocksStore::open({.directory = directory_ / "store", .env = &env_}, post());
        ASSERT_TRUE(opened) << opened.error().message;
        store_ = std::move(*opened);
    }

    Directory directory_;
    LossyEnv env_;
    Random random_;
    PostedStepper stepper_;
    std::unique_ptr<RocksStore> store_;
};

INSTANTIATE_TEST_SUITE_P(
    Of, StoreConformance,
    ::testing::Values(
        StoreFactory{"SimStore", [](auto seed) { return std::make_unique<SimSubject>(seed); }},
        StoreFactory{"RocksStore", [](auto seed) { return std::make_unique<RocksSubject>(seed); }}),
    [](const auto& of) { return of.param.name; });

// Damage.

class Rocks : public ::testing::Test {
  protected:
    Result<std::unique_ptr<RocksStore>> open() {
        return RocksStore::open({.directory = path()},
                                [this](auto work) { stepper_.post(std::move(work)); });
    }
    std::string path() { return directory_ / "store"; }

    // Batches 1 to `count`, each with a sync of its own.
    void write(RocksStore& store, std::uint64_t count) {
        for (std::uint64_t number = 1; number <= count; ++number) {
            ASSERT_TRUE(stepper_.finish(store.write(workload_batch(number), Durability::synced)));
        }
    }
    // What a running store has on disk, as a kill of its process would leave it.
    void fill(std::uint64_t count) {
        auto store = *open();
        write(*store, count);
        fs::copy(path(), directory_ / "killed", fs::copy_options::recursive);
        store.reset();
        fs::remove_all(path());
        fs::rename(directory_ / "killed", path());
    }
    std::string file_with(std::string_view suffix) {
        for (const auto& entry : fs::directory_iterator(path() + "/db")) {
            const auto name = entry.path().string();
            if (name.ends_with(suffix) && fs::file_size(name) > 0) return name;
        }
        ADD_FAILURE() << "no file ends with " << suffix;
        return {};
    }
    static void flip(const std::string& name, std::uint64_t at) {
        std::fstream file(name, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(at));
        const auto byte = static_cast<char>(file.get() ^ 0x10);
        file.seekp(static_cast<std::streamoff>(at));
        file.put(byte);
    }
    // As the 20 ms of idleness would: notes what has been synced.
    void note_durable(std::uint64_t count) {
        auto store = *open();
        write(*store, count);
        store.reset();
    }
    void expect_corrupt() {
        const auto opened = open();
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code, Errc::corrupt) << opened.error().message;
    }

    Directory directory_;
    PostedStepper stepper_;
};

TEST_F(Rocks, ReportsDamageInTheMiddleOfTheLogAndChangesNothing) {
    fill(300);
    const auto log = file_with(".log");
    flip(log, fs::file_size(log) / 3);
    const auto before = fs::file_size(log);
    expect_corrupt();
    expect_corrupt();
    EXPECT_EQ(fs::file_size(log), before);
    flip(log, fs::file_size(log) / 3);
    auto store = open();
    ASSERT_TRUE(store);
    EXPECT_EQ(workload_prefix(**store), 300);
}

TEST_F(Rocks, ReportsALogCutShortBelowTheDurablePoint) {
    fill(300);
    const auto log = file_with(".log");
    fs::resize_file(log, fs::file_size(log) / 2);
    expect_corrupt();
}

TEST_F(Rocks, ReportsAMissingLog) {
    fill(300);
    fs::remove(file_with(".log"));
    expect_corrupt();
}

TEST_F(Rocks, ReportsAMissingDatabaseOrDurablePointInsteadOfStartingAnew) {
    fill(300);
    fs::rename(path() + "/db", path() + "/elsewhere");
    expect_corrupt();
    fs::rename(path() + "/elsewhere", path() + "/db");
    fs::rename(path() + "/durable-point", path() + "/elsewhere");
    expect_corrupt();
    fs::rename(path() + "/elsewhere", path() + "/durable-point");
    EXPECT_TRUE(open());
}

TEST_F(Rocks, TakesATornTailForWhatItIs) {
    fill(300);
    const auto log = file_with(".log");
    for (const auto& tail : {std::string(700, '\0'), std::string(700, 'x'), std::string("\x01")}) {
        std::ofstream(log, std::ios::app | std::ios::binary) << tail;
        const auto killed = directory_ / "as-killed";
        fs::copy(path(), killed, fs::copy_options::recursive);
        {
            auto store = open();
            ASSERT_TRUE(store) << store.error().message;
            EXPECT_EQ(workload_prefix(**store), 300);
        }
        fs::remove_all(path());
        fs::rename(killed, path());
    }
}

TEST_F(Rocks, OpensWithOneCopyOfTheDurablePointAndNotWithNone) {
    note_durable(10);
    flip(path() + "/durable-point", 9);
    EXPECT_TRUE(open());
    flip(path() + "/durable-point", 512 + 9);
    flip(path() + "/durable-point", 512 + 11);
    flip(path() + "/durable-point", 10);
    expect_corrupt();
}

TEST_F(Rocks, ReportsDamageInATableWhenItIsReadAndThenRefusesWrites) {
    note_durable(300);
    {
        ASSERT_TRUE(open());
    }  // Moves the log into a table.
    const auto table = file_with(".sst");
    for (std::uint64_t at = 100; at < fs::file_size(table) / 2; at += 50) flip(table, at);
    auto store = open();
    if (!store) {
        EXPECT_EQ(store.error().code, Errc::corrupt);
        return;
    }
    const auto found = content_of(**store);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::corrupt);
    const auto written = stepper_.finish((*store)->write(workload_batch(301), Durability::synced));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Errc::unavailable);
}

// docs/formats/durable-point.md, in bytes. A change here is a change of the format.
TEST_F(Rocks, WritesTheDurablePointAsDocumented) {
    {
        auto store = *open();
        Batch batch;
        batch.put("a", "1");
        batch.put("b", "1");
        ASSERT_TRUE(stepper_.finish(store->write(std::move(batch), Durability::synced)));
    }
    std::ifstream file(path() + "/durable-point", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    ASSERT_EQ(bytes.size(), 1024);
    std::string record = "HFDURPT1";
    append_le(record, std::uint64_t{2});
    append_le(record, crc32c(record));
    record.resize(512);
    std::string fresh = "HFDURPT1";
    append_le(fresh, std::uint64_t{0});
    append_le(fresh, crc32c(fresh));
    fresh.resize(512);
    EXPECT_TRUE(bytes == record + fresh || bytes == fresh + record);
}

TEST_F(Rocks, RefusesASecondOwner) {
    auto store = open();
    ASSERT_TRUE(store);
    const auto second = open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
}

TEST_F(Rocks, TellsADirectoryItCannotUseFromOneInUse) {
    const auto nowhere = RocksStore::open({.directory = "/proc/nowhere/store"}, [](auto) {});
    ASSERT_FALSE(nowhere);
    EXPECT_NE(nowhere.error().code, Errc::conflict);
    std::ofstream(directory_ / "store") << "a file";
    const auto file = open();
    ASSERT_FALSE(file);
    EXPECT_NE(file.error().code, Errc::conflict);
}

TEST_F(Rocks, GathersWhatWaitsIntoOneSync) {
    auto store = *open();
    std::vector<Started<Result<void>>> writes;
    for (std::uint64_t number = 1; number <= 2000; ++number) {
        writes.push_back(stepper_.start(store->write(workload_batch(number), Durability::synced)));
    }
    int posts = 0;
    while (!writes.back().done()) {
        ASSERT_TRUE(stepper_.step());
        ++posts;
    }
    EXPECT_LT(posts, 1000);
    EXPECT_EQ(workload_prefix(*store), 2000);
}

TEST_F(Rocks, RefusesMoreThanMayWait) {
    auto store = *RocksStore::open({.directory = path(), .waiting_bytes_max = 1 << 20},
                                   [this](auto work) { stepper_.post(std::move(work)); });
    std::vector<Started<Result<void>>> writes;
    bool refused = false;
    for (int i = 0; i < 200 && !refused; ++i) {
        Batch batch;
        batch.put("key", std::string(400 << 10, 'x'));
        writes.push_back(stepper_.start(store->write(std::move(batch), Durability::synced)));
        refused = writes.back().done() && !writes.back().value();
    }
    ASSERT_TRUE(refused);
    EXPECT_EQ(writes.back().value().error().code, Errc::exhausted);
    writes.pop_back();
    for (auto& one : writes) EXPECT_TRUE(stepper_.finish(one));
}

}  // namespace
}  // namespace holdfast::runtime
