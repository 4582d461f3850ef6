#include "keeper/messages.h"

#include <gtest/gtest.h>

namespace holdfast::keeper {

namespace {

using namespace std::chrono_literals;

template <class T>
void expect_same_after_decoding(const T& message) {
    auto bytes = encode(7, message);
    auto decoded = decode(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->sequence, 7u);
    auto* same = std::get_if<T>(&decoded->body);
    ASSERT_TRUE(same);
    EXPECT_EQ(encode(7, *same), bytes);
    // Every shorter and every longer message is refused.
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_FALSE(decode(std::string_view(bytes).substr(0, length))) << length;
    }
    EXPECT_FALSE(decode(bytes + '\0'));
}

runtime::LaunchSpec full_spec() {
    runtime::LaunchSpec spec;
    spec.run = 3;
    spec.slot = "shop/0";
    spec.beside = 2;
    spec.command = {"/bin/shop", "--port", "80"};
    spec.env = {{"A", "b"}};
    spec.directory = "/srv";
    spec.user = "shop";
    spec.limits = {.memory_bytes = 1, .cpu = 0.5, .files = 2, .core_bytes = 3};
    spec.sockets = {"shop/http"};
    spec.run_for = 5s;
    spec.watchdog = 1s;
    spec.lifetime = runtime::Lifetime::ephemeral;
    spec.note = std::string("a\0b", 3);
    return spec;
}

TEST(Messages, AreTheSameAfterDecodingAndRefusedWhenCutOrLengthened) {
    expect_same_after_decoding(Hello(true, "abc"));
    expect_same_after_decoding(Launch(full_spec()));
    expect_same_after_decoding(Stop(1, 3s, 15));
    expect_same_after_decoding(Kill(1));
    expect_same_after_decoding(OpenSocket({"shop/http", "::1", 80, 16}));
    expect_same_after_decoding(Offer(Thing::output, "", 4));
    expect_same_after_decoding(Beat());
    expect_same_after_decoding(AskUpgrade("/n", "/k", {"up", "--data", "/d"}));
    expect_same_after_decoding(Reply(2, "why not", "bytes"));
    expect_same_after_decoding(Exited(1, {WallTime(1s), runtime::EndedBy::oom, {}, 9, true}));
    expect_same_after_decoding(NotifiedBy(1, {true, false, true, "fine", Instant(2s), false}));
    expect_same_after_decoding(Asks(Wish::shutdown));
    expect_same_after_decoding(Progress("half way"));
}

// Changing any of these breaks a keeper and a node of different builds, which meet in every
// upgrade.
TEST(Messages, HaveTheseBytes) {
    EXPECT_EQ(to_hex(encode(1, Beat())), "01000c0001000000");
    EXPECT_EQ(to_hex(encode(2, Stop(5, 1s, 15))),
              "010003000200000005000000000000000"
              "0ca9a3b00000000"
              "0f000000");
    EXPECT_EQ(to_hex(encode(0, Asks(Wish::drain))), "010044000000000001");
    EXPECT_EQ(to_hex(encode(3, OpenSocket({"s", "::1", 80, 16}))),
              "0100070003000000"
              "0100000073"
              "030000003a3a31"
              "5000"
              "10000000");
    EXPECT_EQ(to_hex(encode(0, Exited(1, {WallTime(1s), runtime::EndedBy::itself, 7, {}, false}))),
              "0100410000000000"
              "0100000000000000"
              "00ca9a3b00000000"
              "00000000"
              "0107000000"
              "00"
              "00");
}

TEST(Messages, SayWhatIsWrongWithThem) {
    EXPECT_EQ(decode("").error().message, "shorter than a message's header");
    EXPECT_EQ(decode(*from_hex("02000c0001000000")).error().message, "protocol version 2, not 1");
    EXPECT_EQ(decode(*from_hex("0100ff0001000000")).error().message, "unknown message type 255");
    EXPECT_EQ(decode(*from_hex("010044000000000009")).error().message,
              "malformed message of type 68");
}

TEST(Messages, CarryErrorsOverWithTheirCode) {
    auto outcome = outcome_of(reply_of({Errc::conflict, "the slot is taken"}));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), (Error{Errc::conflict, "the slot is taken"}));
    EXPECT_EQ(outcome_of(Reply(0, "", "payload")), "payload");
    EXPECT_EQ(outcome_of(Reply(200, "from the future", "")).error().code, Errc::unavailable);
}

}  // namespace

}  // namespace holdfast::keeper
