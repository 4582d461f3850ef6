#include "service/artifact_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "runtime/storage_stepper.h"

namespace holdfast::service {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ArtifactHashTest : public testing::Test {
  protected:
    ArtifactHashTest()
        : root_(fs::path(testing::TempDir()) / ("artifact_hash_" + std::to_string(getpid()))) {
        fs::create_directories(root_ / "bin");
        fs::create_directories(root_ / "other");
    }
    ~ArtifactHashTest() override { fs::remove_all(root_); }

    fs::path write(const std::string& name, const std::string& content, bool executable = true) {
        auto path = root_ / name;
        std::ofstream(path, std::ios::trunc) << content;
        auto exec = fs::perms::owner_exec;
        fs::permissions(path, exec, executable ? fs::perm_options::add : fs::perm_options::remove);
        return path;
    }

    Spec spec_of(const std::string& program) {
        Spec spec;
        spec.name = "shop";
        spec.command = {program};
        spec.directory = root_;
        spec.env = {{"PATH", (root_ / "none").string() + ":other:" + (root_ / "bin").string()}};
        return spec;
    }

    Result<std::string> hash(const std::string& program) {
        return stepper_.finish(hasher_.executable_sha256(spec_of(program)));
    }

    fs::path root_;
    int jobs_ = 0;
    runtime::VirtualStepper stepper_;
    ArtifactHash hasher_{[this](std::function<void()> work) { return run(std::move(work)); }};

  private:
    runtime::Task<void> run(std::function<void()> work) {
        ++jobs_;
        work();
        co_return;
    }
};

TEST_F(ArtifactHashTest, HashesTheFileThatWouldBeExecuted) {
    auto path = write("bin/shop", "one");
    EXPECT_EQ(hash(path), sha256("one").hex());
    EXPECT_EQ(hash("bin/shop"), sha256("one").hex());  // Relative to `directory`.
    EXPECT_EQ(hash("shop"), sha256("one").hex());      // In PATH.
    write("other/shop", "two");
    EXPECT_EQ(hash("shop"), sha256("two").hex());  // Earlier in PATH, relative to `directory`.
    write("other/shop", "two", false);
    EXPECT_EQ(hash("shop"), sha256("one").hex());  // Not executable: passed over.
}

TEST_F(ArtifactHashTest, ReadsAFileAgainOnlyWhenItHasChanged) {
    auto path = write("bin/shop", std::string(1 << 20, 'x'));
    EXPECT_EQ(hash("shop"), sha256(std::string(1 << 20, 'x')).hex());
    EXPECT_EQ(jobs_, 2);
    EXPECT_TRUE(hash("shop"));
    EXPECT_EQ(jobs_, 3);  // Found, not read.
    fs::rename(write("bin/new", std::string(1 << 20, 'y')), path);
    EXPECT_EQ(hash("shop"), sha256(std::string(1 << 20, 'y')).hex());
    EXPECT_EQ(jobs_, 5);
}

TEST_F(ArtifactHashTest, SaysWhyThereIsNone) {
    auto missing = hash("till").error();
    EXPECT_EQ(missing.code, Errc::not_found);
    EXPECT_THAT(missing.message, HasSubstr("no program \"till\" in "));
    EXPECT_EQ(hash("/nowhere/shop").error(),
              (Error{Errc::not_found, "/nowhere/shop: No such file or directory"}));
    EXPECT_EQ(hash("./bin").error().code, Errc::not_found);  // A directory.
    auto plain = hash(write("bin/plain", "x", false)).error();
    EXPECT_EQ(plain.code, Errc::denied);
    EXPECT_THAT(plain.message, HasSubstr("is not executable"));
}

TEST_F(ArtifactHashTest, LooksInTheUsualPlacesWherePathIsNotGiven) {
    auto spec = spec_of("sh");
    spec.env.clear();
    auto path = find_executable(spec);
    ASSERT_TRUE(path);
    EXPECT_THAT(*path, HasSubstr("/bin/sh"));
}

}  // namespace
}  // namespace holdfast::service
