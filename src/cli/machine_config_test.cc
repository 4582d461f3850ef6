#include "cli/machine_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using testing::HasSubstr;

const MachineDefaults defaults{
    .host_name = "box", .data_directory = "/var/lib/holdfast", .working_directory = "/home/ann"};

std::string problem_with(std::string_view text) {
    auto parsed = parse_machine_file(text, "m.toml");
    return parsed ? "accepted" : parsed.error().message;
}

TEST(MachineConfig, NeedsNoFileAndNoFlags) {
    auto config = settle({}, {}, defaults);
    ASSERT_TRUE(config);
    EXPECT_EQ(config->name, "box");
    EXPECT_EQ(config->data_directory, "/var/lib/holdfast");
    EXPECT_EQ(config->rest, (runtime::Endpoint{"127.0.0.1", 7400}));
}

TEST(MachineConfig, TheFileWinsOverDefaultsAndFlagsOverTheFile) {
    auto file = parse_machine_file(
        "name = \"a\"\ndata = [\"/srv/a\"]\n[listen]\nrest = \"127.0.0.2:7500\"\n", "m.toml");
    ASSERT_TRUE(file) << file.error().message;
    auto config = settle({}, *file, defaults);
    ASSERT_TRUE(config);
    EXPECT_EQ(config->name, "a");
    EXPECT_EQ(config->data_directory, "/srv/a");
    EXPECT_EQ(config->rest, (runtime::Endpoint{"127.0.0.2", 7500}));

    MachineChoices flags{.name = "b", .data_directory = "data", .port_base = 8400, .rest = {}};
    config = settle(flags, *file, defaults);
    ASSERT_TRUE(config);
    EXPECT_EQ(config->name, "b");
    EXPECT_EQ(config->data_directory, "/home/ann/data");
    EXPECT_EQ(config->rest, (runtime::Endpoint{"127.0.0.2", 8400}));
}

TEST(MachineConfig, NamesTheNearestKeyForAnUnknownOne) {
    EXPECT_THAT(problem_with("nmae = \"a\""),
                HasSubstr("m.toml:1:1: unknown key \"nmae\"; did you mean \"name\"?"));
    EXPECT_THAT(problem_with("[listen]\nrset = \"127.0.0.1:1\""), HasSubstr("\"listen.rest\""));
}

TEST(MachineConfig, RefusesWhatIsNotAvailableYetInsteadOfIgnoringIt) {
    for (auto text : {"zone = \"z1\"", "weight = 2.0", "address = [\"10.0.0.1\"]",
                      "[tls]\ncert = \"c\"", "[etcd]\nurls = []", "[dns]\nzone = \"z\"",
                      "[listen]\ns3 = \"127.0.0.1:7402\"", "data = [\"/a\", \"/b\"]"})
        EXPECT_THAT(problem_with(text), HasSubstr("not available yet")) << text;
}

TEST(MachineConfig, SaysWhereAndHowAValueIsWrong) {
    EXPECT_THAT(problem_with("name = 1"), HasSubstr("m.toml:1:1: \"name\" is a string"));
    EXPECT_THAT(problem_with("data = \"/a\""), HasSubstr("list of directories"));
    EXPECT_THAT(problem_with("port_base = 70000"), HasSubstr("from 1 to 65529"));
    EXPECT_THAT(problem_with("name = \"a"), HasSubstr("m.toml:1:"));
    EXPECT_THAT(problem_with("data = ["), HasSubstr("m.toml:1:"));
    EXPECT_THAT(problem_with("n\xc3\xa4me = 1"), HasSubstr("m.toml:1:"));
    EXPECT_THAT(problem_with("name = 1\nnmae = 2"), HasSubstr("\n"));
}

TEST(MachineConfig, ListensOnLoopbackOnly) {
    MachineChoices file{.name = {},
                        .data_directory = {},
                        .port_base = {},
                        .rest = runtime::Endpoint{"0.0.0.0", 7400}};
    auto config = settle({}, file, defaults);
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().message, HasSubstr("need TLS"));
}

TEST(MachineConfig, RefusesANameThatWouldNotFitIntoALabel) {
    MachineChoices flags{.name = "a b", .data_directory = {}, .port_base = {}, .rest = {}};
    EXPECT_FALSE(settle(flags, {}, defaults));
}

}  // namespace
}  // namespace holdfast::cli
