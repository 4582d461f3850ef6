#include "gateway/target.h"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

using Segments = std::vector<std::string>;

TEST(Target, IsTakenApartAndDecoded) {
    auto target = parse_target("/v1/services/a%20b/logs?tail=10&x=a+b%26c&y&z=");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->segments, (Segments{"v1", "services", "a b", "logs"}));
    EXPECT_EQ(target->query, (Query{{"tail", "10"}, {"x", "a b&c"}, {"y", ""}, {"z", ""}}));
    EXPECT_TRUE(parse_target("/")->segments.empty());
    EXPECT_TRUE(parse_target("/?")->query.empty());
}

TEST(Target, DecodesNamesOnlyAfterCuttingThePath) {
    EXPECT_EQ(parse_target("/v1/services/a%2Flogs")->segments,
              (Segments{"v1", "services", "a/logs"}));
    EXPECT_EQ(parse_target("/v1/+")->segments, (Segments{"v1", "+"}));
    EXPECT_EQ(parse_target("/v1/../x")->segments, (Segments{"v1", "..", "x"}));
}

TEST(Target, RefusesWhatHasTwoReadings) {
    for (auto target : {"", "v1", "//", "/v1//x", "/v1/", "/%", "/%4", "/%zz", "/x?a=%",
                        "/x?a=1&a=2", "/x?a&a"}) {
        EXPECT_FALSE(parse_target(target)) << target;
    }
    std::string deep;
    for (int i = 0; i < 100; ++i) deep += "/x";
    EXPECT_FALSE(parse_target(deep));
}

TEST(Target, FlagsAndNumbersAreStrict) {
    Query query = {{"yes", "true"}, {"no", "false"}, {"one", "1"}, {"none", ""}, {"neg", "-1"}};
    EXPECT_TRUE(*flag(query, "yes"));
    EXPECT_FALSE(*flag(query, "no"));
    EXPECT_FALSE(*flag(query, "absent"));
    for (auto name : {"one", "none"}) EXPECT_FALSE(flag(query, name)) << name;
    EXPECT_EQ(*number(query, "one", 1), 1);
    EXPECT_EQ(*number(query, "absent", 1), std::nullopt);
    for (auto name : {"none", "neg", "yes"}) EXPECT_FALSE(number(query, name, 10)) << name;
    EXPECT_FALSE(number(query, "one", 0));
}

}  // namespace
}  // namespace holdfast::gateway
