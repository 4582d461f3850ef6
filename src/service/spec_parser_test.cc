#include "service/spec_parser.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/spec_writer.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

std::string problems(std::string_view text) {
    auto spec = parse_spec(text);
    return spec ? "" : format_diagnostics(spec.error(), "shop.toml");
}

constexpr std::string_view head = "name = \"shop\"\ncommand = [\"/bin/shop\"]\n";

std::string with(std::string_view more) {
    return std::string(head) + std::string(more);
}

TEST(SpecParser, ThreeLinesAreEnough) {
    auto spec = parse_spec(
        "name    = \"shop\"\n"
        "command = [\"/opt/shop/bin/shop\", \"--port\", \"${PORT}\"]\n"
        "listen  = { http = 8080 }\n");
    ASSERT_TRUE(spec) << format_diagnostics(spec.error(), "f");
    EXPECT_EQ(spec->name, "shop");
    EXPECT_EQ(spec->listen->port, 8080);
    EXPECT_EQ(spec->listen->address, "127.0.0.1");
    EXPECT_EQ(spec->listen->sockets, SocketMode::own);
    EXPECT_EQ(spec->deploy.strategy, DeploySpec::Strategy::recreate);
    EXPECT_EQ(spec->instances, 1);
    EXPECT_FALSE(spec->health.ready);
}

TEST(SpecParser, ReportsEverythingThatIsWrongAtOnceInTheOrderOfTheFile) {
    EXPECT_EQ(problems("nam = \"shop\"\n"
                       "command = \"/bin/shop\"\n"
                       "[health]\n"
                       "every = 5\n"
                       "flal = 2\n"),
              "shop.toml:1:1: unknown key \"nam\"; did you mean \"name\"?\n"
              "shop.toml:2:1: \"command\": expected an array of texts, the program first, not the "
              "text \"/bin/shop\"; example: command = [\"/opt/shop/bin/shop\", \"--port\", "
              "\"${PORT}\"]\n"
              "shop.toml:4:1: \"health.every\": expected a duration from 10ms to 1h as a text with "
              "its unit, such as \"30s\", not the number 5; example: every = \"500ms\"\n"
              "shop.toml:5:1: unknown key \"flal\" in [health]; did you mean \"fall\"?\n"
              "shop.toml: \"name\" is missing; for example name = \"shop\"");
}

TEST(SpecParser, PointsAtTheErrorOfSyntax) {
    auto text = problems("name = \"shop\"\ncommand = [\n");
    EXPECT_THAT(text, HasSubstr("shop.toml:"));
    EXPECT_THAT(text, HasSubstr("not TOML: "));
    EXPECT_THAT(problems("name = 1\nname = 2\n"), HasSubstr("shop.toml:2:"));
}

TEST(SpecParser, NamesTheLineOfABrokenTableName) {
    constexpr std::string_view reason = "not TOML: a name is missing or broken on this line";
    EXPECT_EQ(problems("[\nhealth]\n"), fmt::format("shop.toml:1:1: {}", reason));
    EXPECT_EQ(problems(with("# ä\n[=]\nuser = 1\n")), fmt::format("shop.toml:4:1: {}", reason));
    EXPECT_EQ(problems("[[ "),
              "shop.toml:1:4: not TOML: Error while parsing table header: "
              "encountered end-of-file");
}

TEST(SpecParser, TakesEveryLetterInTextsAndNoneOutsideThem) {
    for (auto letter :
         {"ä", "\uFE3F", "\u00A0", "\u1680", "\u2028", "\uFEFF", "日", "\U0001F600"}) {
        EXPECT_EQ(problems(with(fmt::format("env = {{ A = \"{}\" }} # {}\n", letter, letter))), "");
        EXPECT_NE(problems(with(fmt::format("user = \"a\"{}\n", letter))), "") << letter;
        EXPECT_NE(problems(with(fmt::format("[{}\n", letter))), "") << letter;
    }
}

TEST(SpecParser, RefusesKeysThatWouldExhaustTheStackHoweverTheyAreHidden) {
    auto parts = [](std::string_view part) {
        std::string key(part);
        while (key.size() < 100000) key += "." + std::string(part);
        return key;
    };
    for (auto part : {"a", "\"!\"", "'\\'", "\"\\\"\"", "a ", "\"#\""})
        for (auto before : {"x = \"\"\"a\"\"\"\"\"\n", "x = 'it\"s'\n", "x = ''\n", "# \"\n",
                            "x = \"\"\"\\\"\"\" \"\"\"\n"})
            for (auto open : {"[", "", "y = { "})
                EXPECT_THAT(problems(std::string(before) + open + parts(part) + " = 1"),
                            HasSubstr("a key of more than 8 parts"))
                    << part << before << open;
    EXPECT_EQ(problems(with("env = { A = '" + parts("a") +
                            "', B = \"\"\"a.b.c.d.e.f.g.h.i\n\"\"\""
                            ", C = 'a.b.c.d.e.f.g.h.i' } # a.b.c.d.e.f.g.h.i\n")),
              "");
}

TEST(SpecParser, CountsTheProblemsBeyondTheFirstHundred) {
    std::string text(head);
    for (int i = 0; i < 150; ++i) text += fmt::format("k{} = 1\n", i);
    auto spec = parse_spec(text);
    ASSERT_EQ(spec.error().size(), 101U);
    EXPECT_EQ(spec.error().back().reason, "and 50 more problems");
}

TEST(SpecParser, SuggestsTheTableAMisplacedKeyBelongsTo) {
    EXPECT_THAT(problems(with("drain = \"5s\"\n")), HasSubstr("did you mean \"deploy.drain\"?"));
}

TEST(SpecParser, NamesTheKnownKeysWhereNoneIsNear) {
    EXPECT_THAT(
        problems(with("[health]\nxyzzy = 1\n")),
        HasSubstr("unknown key \"xyzzy\" in [health]; known in [health]: eject, every, fall"));
}

TEST(SpecParser, RefusesWhatIsNotAvailableYetAndWrongValuesAsWrong) {
    EXPECT_EQ(problems(with("zones = \"pack\"\n")),
              "shop.toml:3:1: \"zones\" is not available yet");
    EXPECT_EQ(problems(with("[retry]\n")), "shop.toml:3:2: \"retry\" is not available yet");
    EXPECT_EQ(problems(with("[listen]\nhttp = 80\ntls = {}\n")),
              "shop.toml:5:1: \"listen.tls\" is not available yet");
    EXPECT_THAT(problems(with("instances = \"2..10\"\n")),
                HasSubstr("a range of instances is not available yet"));
    EXPECT_THAT(problems(with("instances = \"10..2\"\n")), HasSubstr("expected a whole number"));
    EXPECT_THAT(problems(with("listen = { http = 80, sockets = \"proxy\" }\n")),
                HasSubstr("listen.sockets = \"proxy\" is not available yet"));
    EXPECT_THAT(problems(with("deploy = { strategy = \"rolling\" }\n")),
                HasSubstr("deploy.strategy = \"rolling\" is not available yet"));
    EXPECT_THAT(problems(with("deploy = { strategy = \"canary:10%\" }\n")),
                HasSubstr("deploy.strategy = \"canary\" is not available yet"));
    EXPECT_THAT(problems(with("deploy = { strategy = \"canary:0%\" }\n")),
                HasSubstr("expected \"canary:\" with a percentage"));
    EXPECT_THAT(problems(with("deploy = { rollback = \"auto+data\" }\n")),
                HasSubstr("deploy.rollback = \"auto+data\" is not available yet"));
}

TEST(SpecParser, KnowsEveryKeyOfTheFullExample) {
    auto text = problems(R"(
name      = "shop"
command   = ["/opt/shop/bin/shop", "--port", "${PORT}"]
env       = { LOG = "info" }
limits    = { memory = "512MiB", cpu = 1.0, files = 65536, core = "0" }
reserve   = { memory = "256MiB", cpu = 0.2 }
[listen]
http   = 8080
policy = "p2c"
hash   = "cookie:sid"
vip    = "10.0.0.50/24"
timeout    = { connect = "500ms", first_byte = "30s", idle = "60s", request_header = "10s" }
limit      = { in_flight = 1024, queue = 1000, wait = "5s", header = "32KiB", body = "none" }
[health]
eject = { errors = 5, for = "10s", max = "33%" }
[retry]
on     = "connect, reset, refused, 502-504"
hedge  = "off"
[data]
keep       = "24x1h, 7x1d"
[scale]
target     = { cpu = 0.6, rps = 2000 }
)");
    for (auto line : {text}) EXPECT_EQ(line.find("unknown"), std::string::npos) << text;
    EXPECT_EQ(text.find("expected"), std::string::npos) << text;
}

TEST(SpecParser, AllowsManyInstancesOnlyWhereTheyShareASocketOrListenNowhere) {
    EXPECT_EQ(problems(with("instances = 2\n")), "");
    EXPECT_EQ(problems(with("instances = 2\nlisten = { http = 80, sockets = \"inherit\" }\n")), "");
    EXPECT_THAT(problems(with("instances = 2\nlisten = { http = 80 }\n")),
                HasSubstr("shop.toml:3:1: 2 instances cannot all open port 80: let them accept on "
                          "one socket with listen.sockets = \"inherit\""));
}

TEST(SpecParser, DeploysHotByDefaultExactlyWhereTheSocketIsInherited) {
    auto hot = parse_spec(with("listen = { http = 80, sockets = \"inherit\" }\n"));
    ASSERT_TRUE(hot);
    EXPECT_EQ(hot->deploy.strategy, DeploySpec::Strategy::hot);
    EXPECT_THAT(problems(with("listen = { http = 80 }\ndeploy = { strategy = \"hot\" }\n")),
                HasSubstr("\"hot\" needs a socket that old and new instance share"));
    EXPECT_THAT(problems(with("deploy = { strategy = \"hot\" }\n")), HasSubstr("\"hot\" needs"));
}

TEST(SpecParser, KeepsAProbeWithinItsInterval) {
    auto spec = parse_spec(with("health = { every = \"200ms\" }\n"));
    ASSERT_TRUE(spec);
    EXPECT_EQ(spec->health.timeout, 200ms);
    EXPECT_THAT(problems(with("health = { every = \"200ms\", timeout = \"1s\" }\n")),
                HasSubstr("a probe may take 1s and the next is due after 200ms"));
}

TEST(SpecParser, RefusesWhatDoesNotFitTogether) {
    EXPECT_THAT(problems(with("listen = { http = 80, tcp = 81 }\n")), HasSubstr("not both"));
    EXPECT_THAT(problems(with("listen = { address = \"::1\" }\n")), HasSubstr("needs a port"));
    EXPECT_THAT(
        problems(with("listen = 8080\n")),
        HasSubstr("expected a table, not the number 8080; example: listen = { http = 8080 }"));
    EXPECT_THAT(problems(with("health = { ready = \"tcp\" }\n")), HasSubstr("needs a port"));
    EXPECT_THAT(problems(with("after = [\"db\", \"shop\"]\n")),
                HasSubstr("cannot come after itself"));
    EXPECT_THAT(problems(with("env = { A = \"1\", A = \"2\" }\n")), HasSubstr("not TOML"));
    EXPECT_THAT(problems(with("env = { HOLDFAST_NODE = \"x\" }\n")),
                HasSubstr("is set by Holdfast"));
    EXPECT_THAT(problems(with("env = { PORT = \"1\" }\nlisten = { http = 80 }\n")),
                HasSubstr("PORT is set by Holdfast"));
    EXPECT_EQ(problems(with("env = { PORT = \"1\" }\n")), "");
}

TEST(SpecParser, GivesAJobOneTimeAndNothingOfAServer) {
    EXPECT_EQ(
        problems(with("after = [\"db\"]\njob = { every = \"1h\" }\ndeploy = { drain = \"1s\" }\n")),
        "");
    EXPECT_THAT(problems(with("job = { tries = 2 }\n")), HasSubstr("needs one of"));
    EXPECT_THAT(problems(with("job = { every = \"1h\", at = \"03:00\" }\n")),
                HasSubstr("only one of"));
    for (auto more : {"listen = { http = 80 }", "health = { fall = 3 }", "restart = {}",
                      "deploy = { watch = \"1s\" }", "instances = 2"})
        EXPECT_THAT(problems(with(std::string("job = { once = true }\n") + more)),
                    HasSubstr("a job has"))
            << more;
}

TEST(SpecParser, FindsUnknownVariablesBeforeAnythingStarts) {
    EXPECT_EQ(problems("name = \"a\"\ncommand = [\"x\", \"${A}${HOLDFAST_NODE}\"]\n"
                       "env = { A = \"${HOLDFAST_INSTANCE}\" }\n"),
              "");
    EXPECT_THAT(problems("name = \"a\"\ncommand = [\"x\", \"${PORT}\"]\n"),
                HasSubstr("unknown variable ${PORT}"));
    EXPECT_THAT(problems("name = \"a\"\ncommand = [\"x\", \"${POTR}\"]\nlisten.http = 80\n"),
                HasSubstr("did you mean ${PORT}?"));
    EXPECT_THAT(problems("name = \"a\"\ncommand = [\"${A}/x\"]\nenv = { A = \"/b\" }\n"),
                HasSubstr("no \"${NAME}\" in the first element"));
    EXPECT_THAT(problems(with("env = { A = \"1\", B = \"${A}\" }\n")),
                HasSubstr("shop.toml:3:18: unknown variable ${A}"));
}

TEST(SpecParser, ReportsNoKeyTwice) {
    auto spec = parse_spec("name = 7\ncommand = []\nlisten = { http = \"x\" }\n");
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().size(), 3U) << format_diagnostics(spec.error(), "f");
}

TEST(SpecParser, RefusesFilesBeyondTheLimitAndNulCharacters) {
    EXPECT_THAT(problems(std::string(spec_bytes_max + 1, '#')), HasSubstr("longer than 128 KiB"));
    EXPECT_THAT(problems("name = \"a\"\ncommand = [\"x\\u0000y\"]\n"),
                HasSubstr("expected a text"));
    EXPECT_THAT(problems(with("env = { A = \"x\\u0000\" }\n")), HasSubstr("expected a text"));
    EXPECT_THAT(problems(with("user = \"x\\u0000\"\n")), HasSubstr("without NUL"));
}

TEST(SpecParser, KeepsEachDiagnosticOnOneLine) {
    auto text = problems(with("directory = \"a\\nb\"\n"));
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
}

TEST(SpecParser, NamesTheFileInItsErrors) {
    auto spec = parse_spec("", "dir/empty.toml");
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().code, Errc::invalid);
    EXPECT_THAT(spec.error().message, HasSubstr("dir/empty.toml: \"command\" is missing"));
}

TEST(ServiceName, FollowsTheRuleOfDnsLabels) {
    for (auto name : {"a", "shop-2", "0", "a--b"}) EXPECT_TRUE(valid_service_name(name)) << name;
    for (auto name : {"", "-a", "a-", "A", "a_b", "a.b", "a/b", "ä"})
        EXPECT_FALSE(valid_service_name(name)) << name;
    EXPECT_TRUE(valid_service_name(std::string(63, 'a')));
    EXPECT_FALSE(valid_service_name(std::string(64, 'a')));
}

TEST(Expand, ReplacesNamesInBracesAndNothingElse) {
    Variables variables{{"PORT", "80"}, {"A", "${PORT}"}};
    EXPECT_EQ(expand("--port=${PORT}", variables), "--port=80");
    EXPECT_EQ(expand("${PORT}${PORT}", variables), "8080");
    EXPECT_EQ(expand("${A}", variables), "${PORT}");
    for (auto text : {"", "$PORT", "$", "{}", "a$b$$", "$ {PORT}"})
        EXPECT_EQ(expand(text, {}), text);
}

TEST(Expand, WritesALiteralOpeningWithASecondDollar) {
    EXPECT_EQ(expand("$${PORT}", {}), "${PORT}");
    EXPECT_EQ(expand("$${X:-${PORT}}", {{"PORT", "80"}}), "${X:-80}");
}

TEST(Expand, RefusesWhatIsNoName) {
    for (auto text : {"${", "${}", "${1}", "${A", "${A:-x}", "x${A B}"})
        EXPECT_FALSE(expand(text, {{"A", "1"}})) << text;
    EXPECT_THAT(expand("${HSOT}", {{"HOST", ""}}).error().message, HasSubstr("${HOST}"));
}

TEST(Expand, GivesTheCommandItsEnvironment) {
    Spec spec;
    spec.command = {"/bin/a", "${LOG}", "${PORT}"};
    spec.env = {{"LOG", "at ${PORT}"}};
    auto expanded = expand(spec, {{"PORT", "80"}});
    ASSERT_TRUE(expanded);
    EXPECT_THAT(expanded->command, ElementsAre("/bin/a", "at 80", "80"));
    EXPECT_THAT(expanded->env, ElementsAre(testing::Pair("LOG", "at 80")));
}

}  // namespace
}  // namespace holdfast::service
