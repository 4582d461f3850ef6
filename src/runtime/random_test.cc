#include "runtime/random.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

namespace holdfast::runtime {
namespace {

using namespace std::chrono_literals;

TEST(RandomTest, IsTheSameForASeedOnEveryMachine) {
    Random random(42);
    EXPECT_EQ(random.next(), 13930160852258120406u);
    EXPECT_EQ(random.below(1000), 824u);
    EXPECT_EQ(random.between(1s, 2s), Duration(1593111440));
}

TEST(RandomTest, BelowReachesEveryValueAboutEquallyOften) {
    Random random(1);
    std::map<std::uint64_t, int> seen;
    for (int i = 0; i < 60000; ++i) ++seen[random.below(6)];
    ASSERT_EQ(seen.size(), 6u);
    for (auto [value, times] : seen) EXPECT_NEAR(times, 10000, 500) << value;
}

TEST(RandomTest, BelowManagesTheExtremes) {
    Random random(1);
    EXPECT_EQ(random.below(1), 0u);
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    for (int i = 0; i < 1000; ++i) EXPECT_LT(random.below(most), most);
    EXPECT_DEATH(random.below(0), "limit > 0");
}

TEST(RandomTest, UnitIsUniformAndNeverOne) {
    Random random(1);
    double sum = 0;
    for (int i = 0; i < 10000; ++i) {
        double value = random.unit();
        ASSERT_GE(value, 0);
        ASSERT_LT(value, 1);
        sum += value;
    }
    EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(RandomTest, BetweenIncludesBothEndsAndManagesTheExtremes) {
    Random random(1);
    bool least = false, most = false;
    for (int i = 0; i < 100; ++i) {
        auto value = random.between(1ns, 3ns);
        ASSERT_TRUE(value >= 1ns && value <= 3ns);
        least |= value == 1ns;
        most |= value == 3ns;
    }
    EXPECT_TRUE(least && most);
    EXPECT_EQ(random.between(5s, 5s), 5s);
    random.between(Duration::min(), Duration::max());
}

TEST(RandomTest, ChanceOfZeroNeverAndOfOneAlways) {
    Random random(1);
    for (int i = 0; i < 1000; ++i) {
        EXPECT_FALSE(random.chance(0));
        EXPECT_TRUE(random.chance(1));
    }
}

TEST(SecretBytes, AreAsManyAsAskedForAndNeverTheSame) {
    EXPECT_EQ(secret_bytes(0).size(), 0u);
    EXPECT_EQ(secret_bytes(1000).size(), 1000u);
    EXPECT_NE(secret_bytes(16), secret_bytes(16));
}

}  // namespace
}  // namespace holdfast::runtime
