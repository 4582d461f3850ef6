// What every Disk promises, whatever it is made of.
#include "runtime/disk.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "runtime/real/disk.h"
#include "runtime/real/loop.h"
#include "runtime/sim/disk.h"
#include "runtime/storage_stepper.h"

namespace holdfast::runtime {
namespace {

class Subject {
  public:
    virtual ~Subject() = default;
    virtual Disk& disk() = 0;

    template <class T>
    T run(Task<T> task) {
        std::optional<T> value;
        drive(keep(std::move(task), &value));
        return std::move(*value);
    }

  protected:
    virtual void drive(Task<void> task) = 0;

  private:
    template <class T>
    static Task<void> keep(Task<T> task, std::optional<T>* value) {
        value->emplace(co_await std::move(task));
    }
};

class SimSubject final : public Subject {
  public:
    Disk& disk() override { return disk_; }

  private:
    void drive(Task<void> task) override { stepper_.finish(std::move(task)); }

    VirtualStepper stepper_;
    SimDisk disk_{stepper_.clock(), Random(1), {.latency_most = std::chrono::microseconds(50)}};
};

class RealSubject final : public Subject {
  public:
    RealSubject() {
        std::string pattern = ::testing::TempDir() + "holdfast-disk-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        disk_ = *RealDisk::open(loop_, root_ + "/deep/root");
    }
    ~RealSubject() override {
        disk_.reset();
        std::filesystem::remove_all(root_);
    }
    Disk& disk() override { return *disk_; }

  private:
    void drive(Task<void> task) override { loop_.complete(std::move(task)); }

    EventLoop loop_;
    std::string root_;
    std::unique_ptr<RealDisk> disk_;
};

using Make = std::function<std::unique_ptr<Subject>()>;

class DiskConformance : public ::testing::TestWithParam<Make> {
  protected:
    Disk& disk() { return subject_->disk(); }
    template <class T>
    T run(Task<T> task) {
        return subject_->run(std::move(task));
    }
    std::unique_ptr<File> open(const std::string& path, OpenMode mode) {
        auto file = run(disk().open(path, mode));
        EXPECT_TRUE(file) << file.error().message;
        return std::move(*file);
    }
    template <class T>
    Errc error_of(Task<Result<T>> task) {
        const auto result = run(std::move(task));
        EXPECT_FALSE(result);
        return result ? Errc::in_doubt : result.error().code;
    }

  private:
    std::unique_ptr<Subject> subject_ = GetParam()();
};

TEST_P(DiskConformance, ReadsBackWhatWasWrittenAndFewerBytesOnlyAtTheEnd) {
    auto file = open("f", OpenMode::create_new);
    EXPECT_EQ(run(file->read_at(0, 10)), "");
    ASSERT_TRUE(run(file->write_at(3, "abc")));
    EXPECT_EQ(run(file->size()), 6U);
    EXPECT_EQ(run(file->read_at(0, 100)), std::string("\0\0\0abc", 6));
    EXPECT_EQ(run(file->read_at(4, 1)), "b");
    EXPECT_EQ(run(file->read_at(60, 1)), "");
    ASSERT_TRUE(run(file->write_at(4, "XYZ")));
    EXPECT_EQ(run(file->read_at(3, 100)), "aXYZ");
    EXPECT_TRUE(run(file->sync()));
}

TEST_P(DiskConformance, HandsOverLargeWritesWhole) {
    auto file = open("f", OpenMode::create_new);
    std::string bytes(5 << 20, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
    ASSERT_TRUE(run(file->write_at(0, bytes)));
    EXPECT_EQ(run(file->read_at(0, bytes.size() + 1)), bytes);
}

TEST_P(DiskConformance, TruncatesBothWays) {
    auto file = open("f", OpenMode::create_new);
    ASSERT_TRUE(run(file->write_at(0, "abcdef")));
    ASSERT_TRUE(run(file->truncate(2)));
    EXPECT_EQ(run(file->read_at(0, 9)), "ab");
    ASSERT_TRUE(run(file->truncate(4)));
    EXPECT_EQ(run(file->read_at(0, 9)), std::string("ab\0\0", 4));
}

TEST_P(DiskConformance, OpensAsTheModeSays) {
    EXPECT_EQ(error_of(disk().open("f", OpenMode::read)), Errc::not_found);
    EXPECT_EQ(error_of(disk().open("no/f", OpenMode::read_write)), Errc::not_found);
    open("f", OpenMode::read_write);
    EXPECT_EQ(error_of(disk().open("f", OpenMode::create_new)), Errc::conflict);
    ASSERT_TRUE(run(open("f", OpenMode::read_write)->write_at(0, "kept")));
    auto file = open("f", OpenMode::read);
    EXPECT_EQ(run(file->read_at(0, 9)), "kept");
    EXPECT_EQ(error_of(file->write_at(0, "no")), Errc::invalid);
}

TEST_P(DiskConformance, RefusesPathsThatLeaveTheTree) {
    for (const auto* path : {"/f", "../f", "a/../f", "a//f", "./f", "f/"}) {
        EXPECT_EQ(error_of(disk().open(path, OpenMode::read_write)), Errc::invalid) << path;
        EXPECT_EQ(error_of(disk().make_directory(path)), Errc::invalid) << path;
        EXPECT_EQ(error_of(disk().remove(path)), Errc::invalid) << path;
        EXPECT_EQ(error_of(disk().rename(path, "g")), Errc::invalid) << path;
        EXPECT_EQ(error_of(disk().rename("g", path)), Errc::invalid) << path;
        EXPECT_EQ(error_of(disk().list(path)), Errc::invalid) << path;
        EXPECT_EQ(error_of(disk().sync_directory(path)), Errc::invalid) << path;
    }
}

TEST_P(DiskConformance, MakesDirectoriesWithTheirParentsAndListsThemSorted) {
    ASSERT_TRUE(run(disk().make_directory("a/b/c")));
    ASSERT_TRUE(run(disk().make_directory("a/b/c")));
    open("a/z", OpenMode::create_new);
    open("a/k", OpenMode::create_new);
    EXPECT_EQ(run(disk().list("a")), (std::vector<std::string>{"b", "k", "z"}));
    EXPECT_EQ(run(disk().list("")), std::vector<std::string>{"a"});
    EXPECT_EQ(error_of(disk().list("none")), Errc::not_found);
    EXPECT_EQ(error_of(disk().make_directory("a/k")), Errc::conflict);
    EXPECT_TRUE(run(disk().sync_directory("a/b")));
    EXPECT_TRUE(run(disk().sync_directory("")));
    EXPECT_EQ(error_of(disk().sync_directory("none")), Errc::not_found);
}

TEST_P(DiskConformance, RenameReplaces) {
    ASSERT_TRUE(run(open("a", OpenMode::create_new)->write_at(0, "from a")));
    ASSERT_TRUE(run(open("b", OpenMode::create_new)->write_at(0, "from b, longer")));
    ASSERT_TRUE(run(disk().rename("a", "b")));
    EXPECT_EQ(run(disk().list("")), std::vector<std::string>{"b"});
    EXPECT_EQ(run(read_file(disk(), "b", 100)), "from a");
    EXPECT_EQ(error_of(disk().rename("a", "b")), Errc::not_found);
    ASSERT_TRUE(run(disk().make_directory("d")));
    ASSERT_TRUE(run(disk().rename("b", "d/b")));
    EXPECT_EQ(run(read_file(disk(), "d/b", 100)), "from a");
}

TEST_P(DiskConformance, RemovesFilesAndEmptyDirectories) {
    ASSERT_TRUE(run(disk().make_directory("d")));
    open("d/f", OpenMode::create_new);
    EXPECT_EQ(error_of(disk().remove("d")), Errc::conflict);
    EXPECT_TRUE(run(disk().remove("d/f")));
    EXPECT_TRUE(run(disk().remove("d")));
    EXPECT_EQ(error_of(disk().remove("d")), Errc::not_found);
}

TEST_P(DiskConformance, ARemovedFileGoesOnForWhoHasItOpen) {
    auto file = open("f", OpenMode::create_new);
    ASSERT_TRUE(run(disk().remove("f")));
    ASSERT_TRUE(run(file->write_at(0, "still")));
    EXPECT_EQ(run(file->read_at(0, 9)), "still");
}

TEST_P(DiskConformance, ReplacesFilesWholeAndLeavesNothingBeside) {
    ASSERT_TRUE(run(replace_file(disk(), "f", "one")));
    ASSERT_TRUE(run(open("f.new", OpenMode::create_new)->write_at(0, "left by a crash, and long")));
    ASSERT_TRUE(run(replace_file(disk(), "f", "two")));
    EXPECT_EQ(run(read_file(disk(), "f", 3)), "two");
    EXPECT_EQ(run(disk().list("")), std::vector<std::string>{"f"});
    EXPECT_EQ(error_of(read_file(disk(), "f", 2)), Errc::exhausted);
    EXPECT_EQ(error_of(read_file(disk(), "g", 2)), Errc::not_found);
}

TEST_P(DiskConformance, TellsItsSpace) {
    const auto space = run(disk().space());
    ASSERT_TRUE(space);
    EXPECT_GT(space->total_bytes, 0);
    EXPECT_LE(space->free_bytes, space->total_bytes);
}

INSTANTIATE_TEST_SUITE_P(Simulated, DiskConformance,
                         ::testing::Values(Make([] { return std::make_unique<SimSubject>(); })));
INSTANTIATE_TEST_SUITE_P(Real, DiskConformance,
                         ::testing::Values(Make([] { return std::make_unique<RealSubject>(); })));

}  // namespace
}  // namespace holdfast::runtime
