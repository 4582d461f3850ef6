#include "base/units.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST(Units, ReadsDurations) {
    struct Case {
        const char* text;
        Duration expected;
    };
    for (auto [text, expected] : {Case{"250ms", 250ms},
                                  {"1.5s", 1500ms},
                                  {"2m30s", 150s},
                                  {"1h", 1h},
                                  {"7d", 168h},
                                  {"0s", 0s},
                                  {"1d2h3m4s5ms6us7ns", 26h + 3min + 4s + 5ms + 6us + 7ns}}) {
        EXPECT_EQ(parse_duration(text), expected) << text;
        EXPECT_EQ(parse_duration(format_duration(expected)), expected) << text;
    }
}

TEST(Units, RefusesWhatIsNotADuration) {
    for (auto text : {"", "30", "s", "1.s", ".5s", "-1s", "1 s", "1s1m", "1s1s", "1x", "1e3s",
                      "101y", "40000d", "99999999999999999999999999s", "1.2.3s", "5M"}) {
        auto parsed = parse_duration(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, Errc::invalid);
    }
    EXPECT_NE(parse_duration("30").error().message.find("\"30\" is not a duration"),
              std::string::npos);
}

TEST(Units, RoundsDurationsForPeople) {
    struct Case {
        Duration duration;
        const char* text;
    };
    for (auto [duration, text] : {Case{85us, "85us"},
                                  {1ms, "1ms"},
                                  {999'900us, "999ms"},
                                  {12'460ms, "12.4s"},
                                  {60s, "1m 0s"},
                                  {3h + 59s, "3h 0m"},
                                  {76h, "3d 4h"},
                                  {0s, "0ns"}})
        EXPECT_EQ(format_duration_rough(duration), text);
}

TEST(Units, ReadsSizes) {
    EXPECT_EQ(parse_size("512MiB"), 512u << 20);
    EXPECT_EQ(parse_size("1.5GB"), 1'500'000'000u);
    EXPECT_EQ(parse_size("64KiB"), 65536u);
    EXPECT_EQ(parse_size("100B"), 100u);
    for (auto text : {"", "100", "1 MiB", "-1B", "1MIB", "1k", "16777216TiB"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Units, WritesSizes) {
    EXPECT_EQ(format_size(512u << 20), "512MiB");
    EXPECT_EQ(format_size(0), "0B");
    EXPECT_EQ(format_size(1000), "1000B");
    EXPECT_EQ(format_size(1536), "1.5 KiB");
    EXPECT_EQ(format_size(3u << 10), "3KiB");
}

TEST(Units, WallTimeComesBackToTheMillisecond) {
    auto time = parse_wall_time("2026-11-21T00:09:42.123Z");
    ASSERT_TRUE(time) << time.error().message;
    EXPECT_EQ(format_wall_time(*time), "2026-11-21T00:09:42.123Z");
    EXPECT_EQ(format_wall_time(WallTime()), "1970-01-01T00:00:00.000Z");
    for (auto text : {"", "yesterday", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z",
                      "2026-11-21T00:09:42", "2026-11-21 00:09:42Z"})
        EXPECT_FALSE(parse_wall_time(text)) << text;
}

}  // namespace
}  // namespace holdfast
