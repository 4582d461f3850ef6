#include "gateway/bodies.h"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

TEST(Bodies, OfADeploy) {
    auto deploy = parse_deploy(R"({"env": {"A": "1", "B": ""}, "command": ["x", "y z"]})");
    ASSERT_TRUE(deploy) << deploy.error().message;
    EXPECT_EQ(deploy->env,
              (std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"B", ""}}));
    EXPECT_EQ(deploy->command, (std::vector<std::string>{"x", "y z"}));
    EXPECT_TRUE(parse_deploy(""));
    EXPECT_TRUE(parse_deploy(" {} "));
}

TEST(Bodies, OfOtherOperations) {
    EXPECT_EQ(parse_rollback(R"({"to": 3})")->to, 3U);
    EXPECT_EQ(parse_rollback("")->to, std::nullopt);
    EXPECT_EQ(parse_restart(R"({"mode": "cold"})")->mode, RestartWish::cold);
    EXPECT_EQ(parse_restart(R"({"mode": "hot"})")->mode, RestartWish::hot);
    EXPECT_EQ(parse_restart("")->mode, RestartWish::by_spec);
    EXPECT_EQ(parse_scale(R"({"instances": 0})")->instances, 0);
    EXPECT_EQ(parse_new_setting(R"({"value": "x"})")->value, "x");
    auto user = parse_new_user(R"({"name": "ann", "role": "operator"})");
    ASSERT_TRUE(user);
    EXPECT_EQ(user->role, access::Role::operator_);
}

TEST(Bodies, NewUsersAreViewersUnlessSaidOtherwise) {
    EXPECT_EQ(parse_new_user(R"({"name": "ann"})")->role, access::Role::viewer);
}

TEST(Bodies, UnknownKeyIsRefusedWithTheNearestKnownOne) {
    auto deploy = parse_deploy(R"({"comand": ["x"]})");
    ASSERT_FALSE(deploy);
    EXPECT_EQ(deploy.error().code, Errc::invalid);
    EXPECT_NE(deploy.error().message.find("did you mean \"command\"?"), std::string::npos)
        << deploy.error().message;
}

TEST(Bodies, RestrictionsWhoseFeatureIsMissingAreRefusedAndNotIgnored) {
    for (auto body : {R"({"name": "a", "bucket": "b"})", R"({"name": "a", "prefix": "p"})",
                      R"({"name": "a", "commands": "read"})"}) {
        auto user = parse_new_user(body);
        ASSERT_FALSE(user) << body;
        EXPECT_NE(user.error().message.find("not available yet"), std::string::npos);
    }
}

TEST(Bodies, WrongShapesAreRefused) {
    for (auto body : {"[]", "nul", "{", R"({"env": []})", R"({"env": {"A": 1}})",
                      R"({"command": "x"})", R"({"command": [1]})", "{} {}"}) {
        EXPECT_FALSE(parse_deploy(body)) << body;
    }
    for (auto body : {R"({"to": 0})", R"({"to": "1"})", R"({"to": 1.5})", R"({"to": -1})",
                      R"({"to": 99999999999})"}) {
        EXPECT_FALSE(parse_rollback(body)) << body;
    }
    for (auto body : {R"({"mode": "warm"})", R"({"mode": 1})", R"({"mode": ""})"}) {
        EXPECT_FALSE(parse_restart(body)) << body;
    }
    for (auto body : {"", "{}", R"({"instances": -1})", R"({"instances": null})"}) {
        EXPECT_FALSE(parse_scale(body)) << body;
    }
    for (auto body :
         {"", R"({"name": "A B"})", R"({"name": "a", "role": "root"})", R"({"role": "admin"})"}) {
        EXPECT_FALSE(parse_new_user(body)) << body;
    }
    for (auto body : {"", R"({"value": 1})"}) EXPECT_FALSE(parse_new_setting(body)) << body;
}

}  // namespace
}  // namespace holdfast::gateway
