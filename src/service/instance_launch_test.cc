#include "service/instance_launch.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace holdfast::service {
namespace {

std::string value(const Environment& env, std::string_view name) {
    auto found = std::ranges::find(env, name, [](const auto& entry) { return entry.first; });
    return found == env.end() ? "(none)" : found->second;
}

Spec shop() {
    Spec spec;
    spec.name = "shop";
    spec.command = {"shop", "--port", "${PORT}"};
    spec.listen = ListenSpec{.port = 8080, .sockets = SocketMode::inherit};
    return spec;
}

TEST(InstanceLaunch, GivesAWholeAndSaneEnvironment) {
    auto spec = shop();
    spec.env = {{"LOG", "${HOLDFAST_INSTANCE}"}, {"PATH", "/opt/shop/bin"}};
    Surroundings around;
    around.node = "a";
    around.user = "root";
    around.home = "/root";
    auto env = instance_environment({"shop", 2}, spec, around).value();
    EXPECT_EQ(value(env, "PATH"), "/opt/shop/bin");
    EXPECT_EQ(value(env, "HOME"), "/root");
    EXPECT_EQ(value(env, "USER"), "root");
    EXPECT_EQ(value(env, "LANG"), "C.UTF-8");
    EXPECT_EQ(value(env, "PORT"), "8080");
    EXPECT_EQ(value(env, "LOG"), "2");
    EXPECT_EQ(value(env, "HOLDFAST_SERVICE"), "shop");
    EXPECT_EQ(value(env, "HOLDFAST_INSTANCE"), "2");
    EXPECT_EQ(value(env, "HOLDFAST_NODE"), "a");
    EXPECT_EQ(value(env, "HOLDFAST_EPOCH"), "0");
}

TEST(InstanceLaunch, TakesHomeOfTheServicesOwnUser) {
    auto spec = shop();
    spec.user = "shop";
    spec.listen.reset();
    spec.command = {"shop"};
    Surroundings around;
    around.user = "root";
    around.home = "/root";
    around.home_of = [](const std::string& user) { return "/home/" + user; };
    auto env = instance_environment({"shop", 0}, spec, around).value();
    EXPECT_EQ(value(env, "HOME"), "/home/shop");
    EXPECT_EQ(value(env, "USER"), "shop");
    EXPECT_EQ(value(env, "PORT"), "(none)");
}

TEST(InstanceLaunch, AsksTheKeeperForWhatTheSpecSays) {
    auto release = std::make_shared<const Release>(Release{4, 3, 2, shop()});
    auto launch = launch_spec({77, {"shop", 1}, release, 76}, {}).value();
    EXPECT_EQ(launch.run, 77u);
    EXPECT_EQ(launch.slot, "shop/1");
    EXPECT_EQ(launch.beside, 76u);
    EXPECT_EQ(launch.command, (std::vector<std::string>{"shop", "--port", "8080"}));
    EXPECT_EQ(launch.sockets, (std::vector<std::string>{"shop/127.0.0.1/8080"}));
    EXPECT_EQ(launch.lifetime, runtime::Lifetime::lasting);
    EXPECT_EQ(decode_note(launch.note), (RunNote{4, 3, 2}));
}

TEST(InstanceLaunch, KnowsItsOwnNotesFromOthers) {
    for (const char* other : {"", "{", "[]", "{\"job\":1}", "{\"service_run\":1,\"version\":-1}"}) {
        EXPECT_FALSE(decode_note(other)) << other;
    }
}

}  // namespace
}  // namespace holdfast::service
