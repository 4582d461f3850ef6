#include "base/bytes.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Bytes, AreLittleEndianOnEveryMedium) {
    std::string out;
    append_le<std::uint32_t>(out, 0x01020304);
    append_le<std::uint16_t>(out, 0xbeef);
    append_sized(out, "ab");
    EXPECT_EQ(to_hex(out), "04030201efbe020000006162");
}

TEST(Bytes, ComeBackAsWritten) {
    std::string out;
    append_le<std::uint64_t>(out, 0xfedcba9876543210);
    append_sized(out, "holdfast");
    ByteReader reader(out);
    EXPECT_EQ(reader.le<std::uint64_t>(), 0xfedcba9876543210);
    EXPECT_EQ(reader.sized(), "holdfast");
    EXPECT_TRUE(reader.done());
}

TEST(Bytes, AReadPastTheEndFailsThatAndEveryLaterRead) {
    std::string out;
    append_le<std::uint32_t>(out, 1000);
    out += "short";
    ByteReader reader(out);
    EXPECT_EQ(reader.sized(), "");
    EXPECT_FALSE(reader.ok());
    EXPECT_EQ(reader.le<std::uint8_t>(), 0);
    EXPECT_FALSE(reader.done());
}

TEST(Bytes, HexadecimalComesBackAndRefusesWhatItIsNot) {
    EXPECT_EQ(from_hex("00ffA5"), std::string("\x00\xff\xa5", 3));
    EXPECT_EQ(from_hex("0"), std::nullopt);
    EXPECT_EQ(from_hex("0g"), std::nullopt);
}

}  // namespace
}  // namespace holdfast
