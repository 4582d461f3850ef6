#include "service/catalog_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/spec_parser.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Head some_head() {
    Head head;
    head.current = 7;
    head.last = 9;
    head.wanted = Running::stopped;
    head.instances = 4;
    head.restart_serial = 3;
    head.restart_mode = RestartMode::cold;
    head.after = {"db"};
    head.kept = {6, 7, 9};
    return head;
}

Version some_version() {
    Version version;
    version.number = 7;
    version.text = "name = \"shop\"\n# \"quoted\"\ncommand = [\"/bin/shop\"]\n";
    version.file = "shop.toml";
    version.spec = *parse_spec(version.text);
    version.sha256 = "ab12";
    version.made = WallTime(1234567ms);
    version.author = "ann";
    version.cause = Cause::rollback;
    version.restores = 5;
    return version;
}

constexpr std::string_view head_text =
    R"({"format":1,"deleted":false,"current":7,"last":9,"wanted":"stopped","instances":4,)"
    R"("restart_serial":3,"restart_mode":"cold","after":["db"],"kept":[6,7,9]})";

TEST(CatalogRecords, AreWrittenAsDocumented) {
    EXPECT_EQ(encode(some_head()), head_text);
    EXPECT_EQ(encode(VersionOutcome{OutcomeState::rolled_back, "it fell", WallTime(1s), {}}),
              R"({"format":1,"state":"rolled_back","reason":"it fell",)"
              R"("since":"1970-01-01T00:00:01.000Z","live":null})");
    EXPECT_THAT(encode(some_version()),
                HasSubstr(R"("sha256":"ab12","made":"1970-01-01T00:20:34.567Z","author":"ann",)"
                          R"("cause":"rollback","restores":5})"));
    EXPECT_EQ(head_key("shop"), "services/heads/shop");
    EXPECT_EQ(version_key("shop", 7), "services/versions/shop/00000007");
    EXPECT_EQ(outcome_key("shop", 7), "services/outcomes/shop/00000007");
}

TEST(CatalogRecords, AreReadBackAsTheyWereWritten) {
    EXPECT_EQ(decode_head("k", encode(some_head())), some_head());
    auto version = some_version();
    EXPECT_EQ(decode_version(version_key("shop", 7), encode(version)), version);
    Head deleted;
    deleted.deleted = true;
    deleted.last = 3;
    EXPECT_EQ(decode_head("k", encode(deleted)), deleted);
    for (auto live : {std::optional<WallTime>(), std::optional(WallTime(2s))}) {
        VersionOutcome outcome{OutcomeState::live, "", WallTime(3s), live};
        EXPECT_EQ(decode_outcome("k", encode(outcome)), outcome);
    }
}

TEST(CatalogRecords, MayHaveFieldsOfLaterReleases) {
    auto text = std::string(head_text);
    text.insert(1, R"("colour":{"x":[1]},)");
    EXPECT_EQ(decode_head("k", text), some_head());
}

TEST(CatalogRecords, AreNamedWhenDamaged) {
    auto changed = [](std::string_view from, std::string_view to) {
        auto text = std::string(head_text);
        return text.replace(text.find(from), from.size(), to);
    };
    for (const auto& text :
         {std::string(), std::string("[]"), std::string(head_text.substr(0, 40)),
          changed("\"format\":1", "\"format\":2"), changed("\"format\":1,", ""),
          changed("7", "\"7\""), changed("7", "-7"), changed("7", "77777777777"), changed("7", "0"),
          changed("stopped", "asleep"), changed(":4,", ":0,"), changed("[\"db\"]", "[1]"),
          changed("\"current\":7", "\"current\":10"), changed("false", "true")}) {
        auto head = decode_head("services/heads/shop", text);
        ASSERT_FALSE(head) << text;
        EXPECT_EQ(head.error().code, Errc::corrupt);
        EXPECT_THAT(head.error().message, HasSubstr("services/heads/shop is damaged: "));
    }
}

TEST(CatalogRecords, HoldAVersionToItsKeyAndItsSpecToTheParser) {
    auto text = encode(some_version());
    EXPECT_FALSE(decode_version(version_key("shop", 8), text));
    auto key = version_key("shop", 7);
    ASSERT_TRUE(decode_version(key, text));
    text.replace(text.find("/bin/shop\\\"]\\ninstances = 1"), 9, "");
    EXPECT_THAT(decode_version(key, text).error().message, HasSubstr("\"effective\":"));
}

TEST(CatalogKeys, AreReadStrictly) {
    EXPECT_EQ(service_of_head_key("services/heads/shop"), "shop");
    EXPECT_FALSE(service_of_head_key("services/heads/"));
    EXPECT_FALSE(service_of_head_key("services/heads/a/b"));
    EXPECT_FALSE(service_of_head_key("services/versions/shop"));
    EXPECT_EQ(number_of_key("services/versions/shop/00000007"), 7U);
    EXPECT_EQ(number_of_key("x/4294967295"), 4294967295U);
    EXPECT_FALSE(number_of_key("x/4294967296"));
    EXPECT_FALSE(number_of_key("x/7"));
    EXPECT_FALSE(number_of_key("x/0000000x"));
}

}  // namespace
}  // namespace holdfast::service
