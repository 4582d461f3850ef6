#include "gateway/guard.h"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

Request with(http::Headers headers) {
    return {.method = "GET", .target = "/", .headers = std::move(headers), .body = {}};
}

TEST(Guard, LetsLoopbacksOwnNamesPass) {
    for (auto host : {"127.0.0.1:7400", "localhost:7400", "LOCALHOST", "[::1]:7400", "127.0.0.1",
                      "localhost:18080", "127.0.0.2:7400"}) {
        EXPECT_FALSE(check_origin(with({{"Host", host}}))) << host;
    }
}

TEST(Guard, RefusesAForeignHostBecauseItMayBeRebound) {
    for (auto host :
         {"evil.example", "evil.example:7400", "localhost.evil.example",
          "127.0.0.1.evil.example:7400", "localhost:7400@evil", "10.0.0.1:7400", "",
          "localhost:", "localhost:74000000", "[::1", "::1", "127.1", "127.0.0.1.", "2130706433"}) {
        auto refused = check_origin(with({{"Host", host}}));
        ASSERT_TRUE(refused) << host;
        EXPECT_EQ(refused->status, 403);
    }
    EXPECT_TRUE(check_origin(with({})));
}

TEST(Guard, RefusesAnOriginThatIsNotTheHost) {
    auto refused = [](std::string origin) {
        return check_origin(with({{"Host", "localhost:7400"}, {"Origin", origin}})).has_value();
    };
    EXPECT_FALSE(refused("http://localhost:7400"));
    for (auto origin : {"http://evil.example", "http://localhost:3000", "https://localhost:7400",
                        "null", "http://127.0.0.1:7400", "http://localhost"}) {
        EXPECT_TRUE(refused(origin)) << origin;
    }
}

TEST(Guard, ReadsTheBearersToken) {
    EXPECT_EQ(*bearer_token(with({{"authorization", "bearer abc"}})), "abc");
    EXPECT_EQ(*bearer_token(with({})), std::nullopt);
    EXPECT_FALSE(bearer_token(with({{"Authorization", "Basic YTpi"}})));
    EXPECT_FALSE(bearer_token(with({{"Authorization", ""}})));
    EXPECT_FALSE(
        bearer_token(with({{"Authorization", "Bearer a"}, {"Authorization", "Bearer b"}})));
}

TEST(Guard, ListensOnLoopbackOnlyAndSaysWhy) {
    EXPECT_TRUE(check_rest_address({"127.0.0.1", 7400}));
    EXPECT_TRUE(check_rest_address({"::1", 7400}));
    EXPECT_TRUE(check_rest_address({"127.0.0.2", 7400}));
    for (auto address : {"0.0.0.0", "::", "10.0.0.1", "127.evil", "/run/x.sock"}) {
        auto good = check_rest_address({address, 7400});
        ASSERT_FALSE(good) << address;
        EXPECT_NE(good.error().message.find("not available yet"), std::string::npos);
    }
}

}  // namespace
}  // namespace holdfast::gateway
