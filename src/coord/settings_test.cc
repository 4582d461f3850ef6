#include "coord/settings.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace holdfast::coord {
namespace {

using namespace std::chrono_literals;
using Stored = std::map<std::string, std::string, std::less<>>;

const SettingRule& setting(std::string_view key) {
    auto info = find_setting(key);
    EXPECT_TRUE(info) << key;
    return **info;
}

TEST(Settings, AreListedByKeyWithADefaultTheyWouldAccept) {
    EXPECT_TRUE(std::ranges::is_sorted(known_settings(), {}, &SettingRule::key));
    for (const auto& info : known_settings()) {
        SCOPED_TRACE(info.key);
        EXPECT_FALSE(info.description.empty());
        auto good = check_setting(info, info.default_text);
        EXPECT_EQ(good.has_value(), info.awaits.empty()) << (good ? "" : good.error().message);
    }
}

TEST(Settings, KnowThoseOfTheContract) {
    for (auto key : {"copies", "min_copies", "stale_reads", "prevent"}) {
        auto refused = check_setting(setting(key), setting(key).default_text);
        ASSERT_FALSE(refused) << key;
        EXPECT_NE(refused.error().message.find("not available yet"), std::string::npos);
    }
}

TEST(Settings, UnknownOneIsRefusedWithTheNearest) {
    auto info = find_setting("log_file");
    ASSERT_FALSE(info);
    EXPECT_EQ(info.error().code, Errc::not_found);
    EXPECT_NE(info.error().message.find("did you mean log_files?"), std::string::npos)
        << info.error().message;
}

struct Row {
    std::string_view key, text;
    bool good;
};

TEST(Settings, AcceptWhatIsWithinTheirBounds) {
    for (const Row& row :
         {Row{"log_files", "1", true}, Row{"log_files", "100", true}, Row{"log_files", "0", false},
          Row{"log_files", "101", false}, Row{"log_files", "-1", false},
          Row{"log_files", "4.5", false}, Row{"log_files", "", false},
          Row{"log_files", "4 ", false}, Row{"log_file_size", "64KiB", true},
          Row{"log_file_size", "1GiB", true}, Row{"log_file_size", "63KiB", false},
          Row{"log_file_size", "2GiB", false}, Row{"log_file_size", "8", false},
          Row{"starts_at_once", "1", true}, Row{"starts_at_once", "many", false}}) {
        auto good = check_setting(setting(row.key), row.text);
        EXPECT_EQ(good.has_value(), row.good) << row.key << " = " << row.text;
        if (!good) EXPECT_EQ(good.error().code, Errc::invalid);
    }
}

TEST(SettingValues, AreTheDefaultsUntilSomethingElseIsStored) {
    SettingValues fresh(Stored{});
    EXPECT_EQ(fresh.count("log_files"), 4U);
    EXPECT_EQ(fresh.count("log_file_size"), 8U << 20);
    EXPECT_EQ(fresh.duration("stale_reads"), 1s);
    EXPECT_EQ(fresh.text("prevent"), "off");
    EXPECT_TRUE(fresh.complaints().empty());
    SettingValues changed(Stored{{"log_files", "9"}, {"log_file_size", "1MiB"}});
    EXPECT_EQ(changed.count("log_files"), 9U);
    EXPECT_EQ(changed.count("log_file_size"), 1U << 20);
}

TEST(SettingValues, StoredValueThatCannotBeHeededIsNamed) {
    SettingValues values(Stored{{"log_files", "0"}, {"of_tomorrow", "1"}, {"copies", "3"}});
    EXPECT_EQ(values.count("log_files"), 4U);
    EXPECT_EQ(values.complaints().size(), 3U);
}

}  // namespace
}  // namespace holdfast::coord
