#include "coord/layout.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace holdfast::coord {
namespace {

std::string hex(std::string_view spaced) {
    std::string digits(spaced);
    std::erase(digits, ' ');
    return *from_hex(digits);
}

// docs/formats/coord-store.md, in bytes. A change here is a change of the format.
TEST(Layout, WritesTheseKeys) {
    EXPECT_EQ(header_key(), "c/h");
    EXPECT_EQ(entry_key("a/b"), "c/k/a/b");
    EXPECT_EQ(lease_key(0x0102030405060708), "c/l/" + hex("01 02 03 04 05 06 07 08"));
    EXPECT_EQ(attachment_key(258, "a"), "c/a/" + hex("00 00 00 00 00 00 01 02") + "a");
    EXPECT_EQ(decode_lease_key(lease_key(0x8182838485868788)), 0x8182838485868788);
}

TEST(Layout, WritesTheseValues) {
    const Header header{.revision = 0x0102, .leases_granted = 3};
    const auto header_bytes = hex("01000000 0201000000000000 0300000000000000");
    EXPECT_EQ(encode_header(header), header_bytes);
    EXPECT_EQ(decode_header(header_bytes), header);

    const Entry entry{.key = "k", .value = "v\n", .created = 1, .modified = 258, .lease = 9};
    const auto entry_bytes = hex("0100000000000000 0201000000000000 0900000000000000 760a");
    EXPECT_EQ(encode_entry(entry), entry_bytes);
    EXPECT_EQ(decode_entry("k", entry_bytes), entry);

    const auto lease_bytes = hex("00ca9a3b00000000");
    EXPECT_EQ(encode_lease(std::chrono::seconds(1)), lease_bytes);
    EXPECT_EQ(decode_lease(lease_bytes), std::chrono::seconds(1));
}

TEST(Layout, RefusesWhatItDoesNotWrite) {
    const auto header = encode_header({.revision = 1, .leases_granted = 0});
    const auto entry = encode_entry({.key = "k", .value = "", .created = 1, .modified = 1});
    const auto lease = encode_lease(std::chrono::seconds(1));
    for (std::size_t length = 0; length < 24; ++length) {
        if (length < header.size()) {
            EXPECT_EQ(decode_header(header.substr(0, length)).error().code, Errc::corrupt);
        }
        EXPECT_EQ(decode_entry("k", entry.substr(0, length)).error().code, Errc::corrupt);
        if (length < lease.size()) {
            EXPECT_EQ(decode_lease(lease.substr(0, length)).error().code, Errc::corrupt);
        }
    }
    EXPECT_EQ(decode_header(header + "x").error().code, Errc::corrupt);
    EXPECT_EQ(decode_header(hex("02000000 00") + header).error().code, Errc::invalid);
    EXPECT_EQ(decode_lease(lease + "x").error().code, Errc::corrupt);
    EXPECT_EQ(decode_lease(encode_lease({})).error().code, Errc::corrupt);
    EXPECT_EQ(decode_lease_key("c/l/short").error().code, Errc::corrupt);
    const auto backwards = encode_entry({.key = "k", .value = "", .created = 2, .modified = 1});
    EXPECT_EQ(decode_entry("k", backwards).error().code, Errc::corrupt);
}

}  // namespace
}  // namespace holdfast::coord
