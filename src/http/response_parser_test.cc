#include "http/response_parser.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::http {
namespace {

struct Parsed {
    ResponseHead head;
    std::string body;
    std::size_t consumed = 0;
    bool done = false;
};

enum class Then { stays_open, closes };

// Feeds the answer in pieces of at most `piece` bytes.
Result<Parsed> parse(std::string_view answer, std::size_t piece = 1 << 20, Then then = Then::closes,
                     ResponseParser::Options options = {}) {
    ResponseParser parser(options);
    Parsed parsed;
    while (parsed.consumed < answer.size() && !parser.done()) {
        auto rest = answer.substr(parsed.consumed, piece);
        while (!rest.empty() && !parser.done()) {
            HF_TRY(auto step, parser.feed(rest));
            parsed.body += step.body;
            parsed.consumed += step.consumed;
            EXPECT_GT(step.consumed, 0u) << "stuck at " << parsed.consumed;
            if (step.consumed == 0) return fail(Errc::invalid, "stuck");
            rest.remove_prefix(step.consumed);
        }
    }
    if (then == Then::closes) HF_TRY_VOID(parser.end());
    parsed.head = parser.head();
    parsed.done = parser.done();
    return parsed;
}

TEST(ResponseParser, ReadsEveryWayOfEndingABody) {
    struct Case {
        std::string answer;
        int status;
        std::string body;
    };
    for (const auto& [answer, status, body] : {
             Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
             Case{"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, ""},
             Case{"HTTP/1.1 404\r\ncontent-length:3\r\n\r\nno!", 404, "no!"},
             Case{"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end"},
             Case{"HTTP/1.1 200 OK\r\n\r\n", 200, ""},
             Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n5\r\nhello\r\nA;x=\"y\"\r\n, world!!!"
                  "\r\n0\r\n\r\n",
                  200, "hello, world!!!"},
             Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: "
                  "1\r\n\r\n",
                  200, "a"},
             Case{"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
             Case{"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, ""},
             Case{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: "
                  "x\r\n\r\nHTTP/1.1 200 OK\r\n"
                  "Content-Length: 2\r\n\r\nok",
                  200, "ok"},
         }) {
        SCOPED_TRACE(answer);
        for (std::size_t piece : {1u, 2u, 3u, 7u, 1000u}) {
            auto parsed = parse(answer, piece);
            ASSERT_TRUE(parsed) << piece << ": " << parsed.error().message;
            EXPECT_EQ(parsed->head.status, status);
            EXPECT_EQ(parsed->body, body);
            EXPECT_TRUE(parsed->done);
        }
    }
}

TEST(ResponseParser, KeepsHeadersAndReasonAsSent) {
    auto parsed =
        parse("HTTP/1.1 503 Not today\r\nX-A:  one two \r\nx-b:\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->head.reason, "Not today");
    EXPECT_EQ(parsed->head.headers[0], (Header{"X-A", "one two"}));
    ASSERT_TRUE(find_header(parsed->head.headers, "X-B"));
    EXPECT_EQ(*find_header(parsed->head.headers, "X-B"), "");
    EXPECT_FALSE(find_header(parsed->head.headers, "X-C"));
}

TEST(ResponseParser, RefusesWhatTwoReadersMayFrameDifferently) {
    std::string ok = "HTTP/1.1 200 OK\r\n";
    for (const auto& answer : {
             std::string("HTTP/2 200 OK\r\n\r\n"),
             std::string("HTTP/1.1  200 OK\r\n\r\n"),
             std::string("HTTP/1.1 2000 OK\r\n\r\n"),
             std::string("HTTP/1.1 099 OK\r\n\r\n"),
             std::string("HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
             std::string("<html>"
                         "\r\n"),
             std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
             ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
             ok + "Content-Length: 5, 5\r\n\r\nhello",
             ok + "Content-Length: +5\r\n\r\nhello",
             ok + "Content-Length: -5\r\n\r\nhello",
             ok + "Content-Length: 5 5\r\n\r\nhello",
             ok + "Content-Length: 0x5\r\n\r\nhello",
             ok + "Content-Length:\r\n\r\nhello",
             ok + "Content-Length: 99999999999999999999\r\n\r\n",
             ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
             ok + "Transfer-Encoding: identity\r\n\r\n",
             std::string("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
             ok + "X: a\r\n folded\r\n\r\n",
             ok + "X : a\r\n\r\n",
             ok + ": a\r\n\r\n",
             ok + "no colon\r\n\r\n",
             ok + "X: a\nY: b\r\n\r\n",
             ok + "X: a\rb\r\n\r\n",
             ok + std::string("X: a\0b\r\n\r\n", 10),
             ok + "Transfer-Encoding: chunked\r\n\r\n\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\n1\na\n",
             ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
         }) {
        SCOPED_TRACE(answer);
        for (std::size_t piece : {1u, 1000u}) {
            auto parsed = parse(answer, piece);
            ASSERT_FALSE(parsed);
            EXPECT_EQ(parsed.error().code, Errc::invalid) << parsed.error().message;
        }
    }
}

TEST(ResponseParser, SaysWhenTheAnswerWasCutShort) {
    std::string ok = "HTTP/1.1 200 OK\r\n";
    for (const auto& answer : {
             std::string(""),
             std::string("HTTP/1.1 2"),
             ok,
             ok + "Content-Length: 5\r\n\r\nhell",
             ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello",
             ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n",
         }) {
        SCOPED_TRACE(answer);
        auto parsed = parse(answer);
        ASSERT_FALSE(parsed);
        EXPECT_EQ(parsed.error().code, Errc::unavailable);
    }
}

TEST(ResponseParser, StopsAtItsLimits) {
    std::string ok = "HTTP/1.1 200 OK\r\n";
    ResponseParser::Options small{
        .head_bytes_max = 200, .header_count_max = 3, .body_bytes_max = 10};
    std::string interim;
    for (int i = 0; i < 20; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
    for (const auto& answer : {
             ok + "X: " + std::string(300, 'a') + "\r\n\r\n",
             ok + "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n",
             ok + "Content-Length: 11\r\n\r\n",
             ok + "\r\nelevenbytes",
             ok + "Transfer-Encoding: chunked\r\n\r\nB\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\n6\r\nsixsix\r\n5\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
             ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(300, 'a') + "\r\n\r\n",
             interim,
         }) {
        SCOPED_TRACE(answer);
        auto parsed = parse(answer, 5, Then::closes, small);
        ASSERT_FALSE(parsed);
        EXPECT_EQ(parsed.error().code, Errc::exhausted) << parsed.error().message;
    }
}

TEST(ResponseParser, LeavesWhatFollowsTheAnswer) {
    std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    auto parsed = parse(answer + "HTTP/1.1 500", 1000, Then::stays_open);
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->done);
    EXPECT_EQ(parsed->consumed, answer.size());
}

TEST(ResponseParser, ExpectsNoBodyOfAnAnswerToHead) {
    auto parsed = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1000, Then::stays_open,
                        {.answers_head = true});
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->done);
}

// Random answers, cut at random, read back whole; and random damage never crashes or hangs it.
TEST(ResponseParserSimulation, ReadsTheSameHoweverTheBytesAreCut) {
    for (unsigned seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937 random(seed);
        std::string body;
        std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (auto chunks = random() % 6; chunks > 0; --chunks) {
            std::string chunk(1 + random() % 40, static_cast<char>('\r' - random() % 4));
            char size[8];
            std::snprintf(size, sizeof size, "%zx", chunk.size());
            answer += size + std::string("\r\n") + chunk + "\r\n";
            body += chunk;
        }
        answer += "0\r\n\r\n";
        auto parsed = parse(answer, 1 + random() % 50, Then::stays_open);
        ASSERT_TRUE(parsed) << parsed.error().message;
        ASSERT_TRUE(parsed->done);
        ASSERT_EQ(parsed->body, body);

        answer[random() % answer.size()] = static_cast<char>(random());
        (void)parse(answer, 1 + random() % 50);
    }
}

}  // namespace
}  // namespace holdfast::http
