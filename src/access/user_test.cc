#include "access/user.h"

#include <gtest/gtest.h>

#include <set>

#include "base/units.h"

namespace holdfast::access {
namespace {

std::string bytes_from(char first) {
    std::string random;
    for (std::size_t i = 0; i < user_random_bytes; ++i) {
        random += static_cast<char>(static_cast<unsigned char>(first) + i);
    }
    return random;
}

WallTime some_time() {
    return *parse_wall_time("2026-11-21T00:09:42.123Z");
}

NewUser ann() {
    return make_user("ann", Role::operator_, bytes_from(1), some_time());
}

TEST(User, IsProvedByItsTokenAndByNoOther) {
    auto made = ann();
    EXPECT_TRUE(token_matches(made.user, made.token));
    for (std::size_t i = 0; i < made.token.size(); ++i) {
        auto wrong = made.token;
        wrong[i] ^= 1;
        EXPECT_FALSE(token_matches(made.user, wrong)) << "changed at " << i;
    }
    EXPECT_FALSE(token_matches(made.user, ""));
    EXPECT_FALSE(token_matches(made.user, made.token + "0"));
    auto other = make_user("ann", Role::operator_, bytes_from(2), some_time());
    EXPECT_FALSE(token_matches(made.user, other.token));
}

TEST(User, HasKeysOfTheLengthsThatClientsExpect) {
    auto made = ann();
    EXPECT_EQ(made.user.access_key.size(), 20U);
    EXPECT_EQ(made.user.secret_key.size(), 48U);
    EXPECT_EQ(made.token,
              "hft_ann.1112131415161718191a1b1c1d1e1f20212223242526272829"
              "2a2b2c2d2e2f30");
}

TEST(User, DrawsEachSecretFromBytesOfItsOwn) {
    auto one = bytes_from(1);
    auto base = make_user("ann", Role::viewer, one, some_time());
    std::set<std::string> changed;
    for (std::size_t i = 0; i < one.size(); ++i) {
        auto random = one;
        random[i] ^= 1;
        auto made = make_user("ann", Role::viewer, random, some_time());
        changed.insert(made.token + made.user.token_salt + made.user.secret_key +
                       made.user.access_key);
    }
    EXPECT_EQ(changed.size(), one.size()) << "some random byte is not used";
}

TEST(User, TokenNamesItsUser) {
    EXPECT_EQ(name_in_token(ann().token), "ann");
    EXPECT_EQ(name_in_token("hft_a.b.c.00"), "a.b.c");
    for (auto text : {"", "hft_", "hft_ann", "hft_.00", "hfl_ann.00", "hft_Ann.00", "hft_a/b.00",
                      "hft_a\n.00"}) {
        EXPECT_FALSE(name_in_token(text)) << text;
    }
}

TEST(User, RecordHoldsNoToken) {
    auto made = ann();
    auto record = encode(made.user);
    EXPECT_EQ(record.find(made.token), record.npos);
    auto random_part = made.token.substr(made.token.rfind('.') + 1);
    EXPECT_EQ(record.find(random_part), record.npos);
}

TEST(User, RecordReadsBackAsItWasWritten) {
    auto made = ann();
    EXPECT_EQ(encode(made.user),
              R"({"role":"operator","access_key":"HF494A4B4C4D4E4F5051",)"
              R"("secret_key":"3132333435363738393a3b3c3d3e3f404142434445464748",)"
              R"("token_salt":"0102030405060708090a0b0c0d0e0f10",)"
              R"("token_hash":")" +
                  made.user.token_hash.hex() + R"(","created":"2026-11-21T00:09:42.123Z"})");
    auto read = decode_user("ann", encode(made.user));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, made.user);
    EXPECT_TRUE(token_matches(*read, made.token));
}

TEST(User, RecordWithAnUnknownFieldIsRefusedBecauseItMayBeARestriction) {
    auto record = encode(ann().user);
    record.insert(1, R"("bucket":"photos",)");
    auto read = decode_user("ann", record);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Errc::corrupt);
    EXPECT_NE(read.error().message.find("bucket"), std::string::npos);
    EXPECT_NE(read.error().message.find("access/users/ann"), std::string::npos);
}

TEST(User, DamagedRecordIsNamed) {
    auto good = encode(ann().user);
    auto without = [&](std::string_view field) {
        auto text = good;
        auto at = text.find(field);
        text.replace(at, field.size(), "");
        return text;
    };
    for (const auto& text : {std::string(), std::string("[]"), good.substr(0, good.size() / 2),
                             without("operator"), without("0102"), without("HF494A4B4C4D4E4F5051"),
                             without("2026-"), without(ann().user.token_hash.hex().substr(0, 2))}) {
        auto read = decode_user("ann", text);
        ASSERT_FALSE(read) << text;
        EXPECT_EQ(read.error().code, Errc::corrupt);
    }
}

TEST(User, NameIsPlain) {
    for (auto name : {"ann", "a", "ann-2", "0x", "ci.bot_1"}) EXPECT_TRUE(check_user_name(name));
    for (auto name : {"", "-ann", ".ann", "Ann", "an n", "a/b", "local:0", "ä"}) {
        EXPECT_FALSE(check_user_name(name)) << name;
    }
    EXPECT_TRUE(check_user_name(std::string(63, 'a')));
    EXPECT_FALSE(check_user_name(std::string(64, 'a')));
}

}  // namespace
}  // namespace holdfast::access
