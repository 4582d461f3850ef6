#include "base/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace holdfast {
namespace {

constexpr std::array<std::string_view, 5> known{"command", "instances", "env", "health", "restart"};

TEST(NearestWord, FindsTheSlipOfTheFinger) {
    EXPECT_EQ(nearest_word("comand", known), "command");
    EXPECT_EQ(nearest_word("instnaces", known), "instances");
    EXPECT_EQ(nearest_word("helth", known), "health");
    EXPECT_EQ(nearest_word("evn", known), "env");
}

TEST(NearestWord, SuggestsNothingForAnotherWordAltogether) {
    EXPECT_EQ(nearest_word("replication", known), std::nullopt);
    EXPECT_EQ(nearest_word("xy", known), std::nullopt);
    EXPECT_EQ(nearest_word("", known), std::nullopt);
}

}  // namespace
}  // namespace holdfast
