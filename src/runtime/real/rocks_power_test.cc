// Power cuts on a file system of its own: an ext4 image, mounted through a loop device and shut
// down by its ioctl. What was synced stays, the rest is lost, and I/O fails meanwhile. Needs root.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "runtime/random.h"
#include "runtime/real/disk.h"
#include "runtime/real/loop.h"
#include "runtime/real/victim.h"

namespace holdfast::runtime {
namespace {

constexpr unsigned long ext4_shutdown = _IOR('X', 125, std::uint32_t);  // EXT4_IOC_SHUTDOWN
constexpr std::uint32_t without_log_flush = 2;  // EXT4_GOING_FLAGS_NOLOGFLUSH

class Power : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "holdfast-power-XXXXXX";
        directory_ = ::mkdtemp(pattern.data());
        std::filesystem::create_directory(mounted());
        ASSERT_TRUE(
            run(fmt::format("truncate -s 48M {0}/image && mkfs.ext4 -q {0}/image", directory_)));
        if (!std::filesystem::exists("/dev/loop-control") || ::geteuid() != 0) {
            GTEST_SKIP() << "needs root and a loop device";
        }
        mount();
    }
    void TearDown() override {
        if (is_mounted_) unmount();
        std::filesystem::remove_all(directory_);
    }

    std::string mounted() const { return directory_ + "/mounted"; }
    std::string store() const { return mounted() + "/store"; }

    void mount() {
        is_mounted_ = run(fmt::format("mount -o loop {}/image {}", directory_, mounted()));
        ASSERT_TRUE(is_mounted_);
    }
    void unmount() {
        is_mounted_ = !run("umount " + mounted());
        ASSERT_FALSE(is_mounted_);
    }
    void cut() {
        const int root = ::open(mounted().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ASSERT_GE(root, 0);
        auto flags = without_log_flush;
        EXPECT_EQ(::ioctl(root, ext4_shutdown, &flags), 0);
        ::close(root);
    }

  private:
    static bool run(const std::string& command) { return std::system(command.c_str()) == 0; }

    std::string directory_;
    bool is_mounted_ = false;
};

TEST_F(Power, TheStoreKeepsAPrefixWithAllThatWasAcknowledged) {
    Random random(1);
    std::uint64_t least = 0;
    for (int round = 0; round < 8; ++round) {
        std::uint64_t acknowledged = 0;
        {
            Victim victim(HF_STORE_VICTIM, store());
            ASSERT_TRUE(victim.acknowledges(1 + random.below(150)));
            // Not what it says while ext4 is shut down: a sync that is under way then may be
            // reported done without having been, which a machine without power cannot do.
            acknowledged = victim.heard();
            cut();
            victim.end();
        }
        unmount();
        mount();
        const auto left = prefix_left_in(store());
        ASSERT_TRUE(left) << "round " << round << ": " << left.error().message;
        EXPECT_GE(*left, acknowledged) << "round " << round;
        EXPECT_GT(acknowledged, least);
        least = *left;
    }
}

TEST_F(Power, AReplacedFileIsWholeAndTheLastOneAcknowledged) {
    for (int round = 0; round < 5; ++round) {
        std::string last;
        {
            EventLoop loop;
            auto disk = *RealDisk::open(loop, mounted() + "/files");
            for (int i = 0; i < 20; ++i) {
                last = std::string(static_cast<std::size_t>(1 + i * 997), 'a') +
                       std::to_string(round * 100 + i);
                ASSERT_TRUE(loop.complete(replace_file(*disk, "file", last)));
            }
            auto file = *loop.complete(disk->open("file.new", OpenMode::create_new));
            ASSERT_TRUE(loop.complete(file->write_at(0, "half of the next")));
            cut();
            const auto late = loop.complete(file->sync());
            EXPECT_FALSE(late);
        }
        unmount();
        mount();
        EventLoop loop;
        auto disk = *RealDisk::open(loop, mounted() + "/files");
        EXPECT_EQ(loop.complete(read_file(*disk, "file", 1 << 20)), last);
    }
}

TEST_F(Power, AFullDiskRefusesWritesAndLosesNothing) {
    std::uint64_t acknowledged = 0;
    PostedStepper stepper;
    const auto open = [&] {
        return RocksStore::open({.directory = store()},
                                [&stepper](auto work) { stepper.post(std::move(work)); });
    };
    {
        auto store = open();
        ASSERT_TRUE(store);
        ASSERT_TRUE(stepper.finish((*store)->write(workload_batch(1), Durability::synced)));
        const auto path = mounted() + "/ballast";
        const int ballast = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        const std::string block(1 << 20, 'x');
        while (::write(ballast, block.data(), block.size()) > 0) {
        }
        ::close(ballast);
        std::uint64_t number = 2;
        Result<void> written;
        for (; written && number < 20000; ++number) {
            const bool sync = number % 20 == 0;
            written = stepper.finish((*store)->write(
                workload_batch(number), sync ? Durability::synced : Durability::buffered));
            if (written && sync) acknowledged = number;
        }
        ASSERT_FALSE(written) << "the disk never filled";
        EXPECT_EQ(written.error().code, Errc::exhausted) << written.error().message;
    }
    std::filesystem::remove(mounted() + "/ballast");
    auto again = open();
    ASSERT_TRUE(again) << again.error().message;
    const auto left = workload_prefix(**again);
    ASSERT_TRUE(left) << left.error().message;
    EXPECT_GE(*left, acknowledged);
    EXPECT_TRUE(stepper.finish((*again)->flush()));
}

}  // namespace
}  // namespace holdfast::runtime
