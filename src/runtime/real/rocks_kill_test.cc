#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/random.h"
#include "runtime/real/victim.h"

namespace holdfast::runtime {
namespace {

TEST(RocksKilled, KeepsAPrefixWithAllThatWasAcknowledged) {
    std::string pattern = ::testing::TempDir() + "holdfast-kill-XXXXXX";
    const std::string directory = ::mkdtemp(pattern.data());
    Random random(1);
    std::uint64_t least = 0;
    for (int round = 0; round < 8; ++round) {
        Victim victim(HF_STORE_VICTIM, directory + "/store");
        ASSERT_TRUE(victim.acknowledges(1 + random.below(100)));
        const auto meanwhile = prefix_left_in(directory + "/store");
        ASSERT_FALSE(meanwhile);
        EXPECT_EQ(meanwhile.error().code, Errc::conflict) << meanwhile.error().message;
        const auto acknowledged = victim.end();
        const auto left = prefix_left_in(directory + "/store");
        ASSERT_TRUE(left) << left.error().message;
        EXPECT_GE(*left, acknowledged);
        EXPECT_GT(acknowledged, least);
        least = *left;
    }
    std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace holdfast::runtime
