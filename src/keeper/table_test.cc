#include "keeper/table.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace holdfast::keeper {

namespace {

using namespace std::chrono_literals;

Table full_table() {
    Table table;
    table.boot_id = "boot";
    table.node = {10, 20};
    table.node_deaths = {{WallTime(1s), "killed by SIGKILL"}};
    table.sockets = {{"shop/http", "127.0.0.1", 80, 16}};
    auto& run = table.runs.emplace_back();
    run.id = 7;
    run.slot = "shop/0";
    run.phase = Phase::live;
    run.kill_at = Instant(5s);
    run.cgroups = {"/sys/fs/cgroup/x"};
    table.inherited = {{Inherited::Role::socket, "shop/http", 0, 9}};
    return table;
}

TEST(Table, IsTheSameAfterDecoding) {
    auto bytes = encode_table(full_table());
    auto decoded = decode_table(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(encode_table(*decoded), bytes);
    EXPECT_EQ(decoded->runs.at(0).slot, "shop/0");
    EXPECT_EQ(decoded->runs.at(0).kill_at, Instant(5s));
}

TEST(Table, IsRefusedHoweverItIsCutOrFlipped) {
    auto bytes = encode_table(full_table());
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        auto cut = decode_table(bytes.substr(0, length));
        ASSERT_FALSE(cut) << length;
        EXPECT_EQ(cut.error().code, Errc::corrupt);
    }
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        auto flipped = bytes;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
        EXPECT_FALSE(decode_table(flipped)) << at;
    }
}

TEST(Table, BeginsWithTheseBytes) {
    EXPECT_EQ(to_hex(encode_table(Table{}).substr(0, 4)), "48464b54");
    EXPECT_EQ(to_hex(encode_table(Table{}).substr(8, 6)), "010000000000");
    EXPECT_EQ(encode_table(Table{}).size(), 70u);
}

TEST(Table, OfAnotherVersionIsNamedSo) {
    auto bytes = encode_table(Table{});
    std::string body = bytes.substr(8);
    body[0] = 9;
    std::string other = "HFKT";
    append_le(other, crc32c(body));
    EXPECT_EQ(decode_table(other + body).error().message, "its version is 9, not 1");
}

}  // namespace

}  // namespace holdfast::keeper
