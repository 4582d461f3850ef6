#include "access/local_token.h"

#include <gtest/gtest.h>

namespace holdfast::access {
namespace {

using namespace std::chrono_literals;

LocalTokens tokens(char key = 'k') {
    return LocalTokens(std::string(32, key));
}

TEST(LocalToken, MakesItsHolderAnAdminUnderTheUsersId) {
    auto token = tokens().issue(1000, Instant(5s));
    auto who = tokens().check(token, Instant(6s));
    ASSERT_TRUE(who);
    EXPECT_EQ(*who, (Principal{.name = "local:1000", .role = Role::admin}));
}

TEST(LocalToken, EndsWhenItsLifeDoes) {
    auto token = tokens().issue(0, Instant(5s));
    EXPECT_TRUE(tokens().check(token, Instant(5s) + local_token_life - 1ns));
    EXPECT_FALSE(tokens().check(token, Instant(5s) + local_token_life));
}

TEST(LocalToken, IsRefusedByANodeWithAnotherKey) {
    auto token = tokens('a').issue(0, Instant(5s));
    auto who = tokens('b').check(token, Instant(5s));
    ASSERT_FALSE(who);
    EXPECT_EQ(who.error().code, Errc::denied);
}

TEST(LocalToken, IsRefusedWhenAnyOfItIsChanged) {
    auto token = tokens().issue(1000, Instant(5s));
    for (std::size_t i = 0; i < token.size(); ++i) {
        for (int change : {1, 2, 16}) {
            auto wrong = token;
            wrong[i] = static_cast<char>(wrong[i] ^ change);
            EXPECT_FALSE(tokens().check(wrong, Instant(5s))) << wrong;
        }
    }
    for (std::size_t i = 0; i < token.size(); ++i) {
        EXPECT_FALSE(tokens().check(token.substr(0, i), Instant(5s)));
    }
    EXPECT_FALSE(tokens().check(token + "0", Instant(5s)));
    EXPECT_FALSE(tokens().check("hfl_...", Instant(5s)));
    EXPECT_FALSE(tokens().check("hfl_0.0.", Instant(5s)));
}

}  // namespace
}  // namespace holdfast::access
