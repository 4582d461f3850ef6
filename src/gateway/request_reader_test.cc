#include "gateway/request_reader.h"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

using Progress = RequestReader::Progress;

std::expected<Progress, RequestReader::Complaint> read(RequestReader& reader,
                                                       std::string_view bytes) {
    return reader.take(bytes);
}

constexpr std::string_view simple = "GET /v1/status?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST(RequestReader, ReadsARequestHoweverItsBytesAreCut) {
    constexpr std::string_view bytes =
        "POST /v1/services HTTP/1.1\r\nHost: localhost:7400\r\nContent-Length: 5\r\n"
        "X-Empty:\r\n\r\nhello";
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        RequestReader reader;
        auto first = read(reader, bytes.substr(0, cut));
        ASSERT_TRUE(first) << first.error().message;
        EXPECT_EQ(*first == Progress::done, cut == bytes.size());
        EXPECT_EQ(reader.begun(), cut > 0);
        if (cut < bytes.size()) {
            ASSERT_EQ(read(reader, bytes.substr(cut)), Progress::done) << "cut at " << cut;
        }
        auto whole = reader.release();
        EXPECT_EQ(whole.request.method, "POST");
        EXPECT_EQ(whole.request.target, "/v1/services");
        EXPECT_EQ(whole.request.body, "hello");
        EXPECT_TRUE(whole.keep_alive);
        ASSERT_NE(http::find_header(whole.request.headers, "host"), nullptr);
        EXPECT_EQ(*http::find_header(whole.request.headers, "host"), "localhost:7400");
        EXPECT_FALSE(reader.begun());
    }
}

TEST(RequestReader, ReadsABodyInChunksByteByByte) {
    constexpr std::string_view bytes =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n02\r\nde\r\n0\r\n\r\n";
    RequestReader reader;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto progress = read(reader, bytes.substr(i, 1));
        ASSERT_TRUE(progress) << progress.error().message;
        EXPECT_EQ(*progress == Progress::done, i + 1 == bytes.size()) << i;
    }
    EXPECT_EQ(reader.release().request.body, "abcde");
}

TEST(RequestReader, KeepsWhatBelongsToTheNextRequest) {
    RequestReader reader;
    ASSERT_EQ(read(reader, std::string(simple) + std::string(simple).substr(0, 20)),
              Progress::done);
    EXPECT_EQ(reader.release().request.target, "/v1/status?x=1");
    EXPECT_TRUE(reader.begun());
    ASSERT_EQ(reader.take({}), Progress::head);
    ASSERT_EQ(read(reader, simple.substr(20)), Progress::done);
    EXPECT_EQ(reader.release().request.method, "GET");
}

TEST(RequestReader, OldClientsAreNotKeptAliveNorSentChunks) {
    RequestReader reader;
    ASSERT_EQ(read(reader, "GET / HTTP/1.0\r\nHost: a\r\n\r\n"), Progress::done);
    auto whole = reader.release();
    EXPECT_FALSE(whole.keep_alive);
    EXPECT_FALSE(whole.chunks);
    RequestReader closing;
    ASSERT_EQ(read(closing, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
              Progress::done);
    EXPECT_FALSE(closing.release().keep_alive);
}

TEST(RequestReader, SaysOnceThatTheClientWaitsForContinue) {
    RequestReader reader;
    ASSERT_EQ(read(reader,
                   "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                   "Content-Length: 2\r\n\r\n"),
              Progress::body);
    EXPECT_TRUE(reader.take_expects_continue());
    EXPECT_FALSE(reader.take_expects_continue());
    ASSERT_EQ(read(reader, "ok"), Progress::done);
}

struct Bad {
    std::string_view what;
    std::string bytes;
};

std::vector<Bad> bad_heads() {
    auto with = [](std::string_view lines) {
        return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
    };
    return {
        {"folded header", with("X: a\r\n b\r\n")},
        {"folded with a tab", with("X: a\r\n\tb\r\n")},
        {"length twice, equal", with("Content-Length: 3\r\nContent-Length: 3\r\n")},
        {"length twice, different", with("Content-Length: 3\r\nContent-Length: 4\r\n")},
        {"lengths in a list", with("Content-Length: 3, 3\r\n")},
        {"length with a sign", with("Content-Length: +3\r\n")},
        {"length in hexadecimal", with("Content-Length: 0x3\r\n")},
        {"length without a value", with("Content-Length:\r\n")},
        {"length beyond all numbers", with("Content-Length: 99999999999999999999\r\n")},
        {"length and chunks", with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")},
        {"coding twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
        {"another coding", with("Transfer-Encoding: gzip, chunked\r\n")},
        {"a coding that hides", with("Transfer-Encoding: xchunked\r\n")},
        {"two hosts", with("Host: b\r\n")},
        {"two equal hosts", with("host: a\r\n")},
        {"space before the colon", with("X : a\r\n")},
        {"no colon", with("X\r\n")},
        {"empty name", with(": a\r\n")},
        {"bare LF", with("X: a\nY: b\r\n")},
        {"bare CR", with("X: a\rY: b\r\n")},
        {"NUL", with(std::string_view("X: a\0b\r\n", 8))},
        {"control character", with("X: a\x01\r\n")},
        {"no host", "GET / HTTP/1.1\r\n\r\n"},
        {"no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"},
        {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"HTTP/0.9", "GET /\r\n\r\n"},
        {"HTTP/2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
        {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
        {"absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"authority", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"tab as space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"method with a mark", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"leading empty line", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"TLS", "\x16\x03\x01\x02\x01\x01\r\n\r\n"},
    };
}

TEST(RequestReader, RefusesWhatTwoReadersMightFrameDifferently) {
    for (const auto& bad : bad_heads()) {
        RequestReader reader;
        auto progress = read(reader, bad.bytes);
        ASSERT_FALSE(progress) << bad.what;
        EXPECT_EQ(progress.error().status, 400) << bad.what;
        EXPECT_FALSE(progress.error().message.empty());
    }
}

TEST(RequestReader, RefusesABodyThatIsNoChunksOrMoreThanChunks) {
    for (std::string_view body :
         {"zz\r\nabc\r\n", "3\r\nabcd\r\n0\r\n\r\n", "-1\r\n", "+3\r\nabc\r\n", "\r\n",
          "0x3\r\nabc\r\n", " 3\r\nabc\r\n", "3 \r\nabc\r\n", "FFFFFFFFFFFFFFFFF\r\n",
          "000000003\r\nabc\r\n", "3\nabc\r\n", "3\r\nabc\n", "3;x=y\r\nabc\r\n",
          "0\r\nAuthorization: Bearer x\r\n\r\n", "0\r\n\n"}) {
        RequestReader reader;
        auto progress =
            read(reader, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
                             std::string(body));
        ASSERT_FALSE(progress) << body;
    }
}

TEST(RequestReader, BoundsTheHead) {
    ReaderLimits limits{.head_bytes_max = 200, .headers_max = 100, .body_bytes_max = 10};
    auto head = [](std::size_t size) {
        std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        text += std::string(size - text.size() - 4, 'x');
        return text + "\r\n\r\n";
    };
    RequestReader fits(limits);
    EXPECT_EQ(read(fits, head(200)), Progress::done);
    RequestReader large(limits);
    EXPECT_EQ(read(large, head(201)).error().status, 431);
    RequestReader endless(limits);
    ASSERT_EQ(read(endless, std::string(200, 'x')), Progress::head);
    EXPECT_EQ(read(endless, "x").error().status, 431);
}

TEST(RequestReader, BoundsTheNumberOfHeaders) {
    ReaderLimits limits{.head_bytes_max = 32 << 10, .headers_max = 3, .body_bytes_max = 10};
    RequestReader fits(limits);
    EXPECT_EQ(read(fits, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n"), Progress::done);
    RequestReader many(limits);
    EXPECT_FALSE(read(many, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"));
}

TEST(RequestReader, BoundsTheBodyWhetherItsLengthIsSaidOrNot) {
    ReaderLimits limits{.head_bytes_max = 32 << 10, .headers_max = 10, .body_bytes_max = 4};
    RequestReader fits(limits);
    EXPECT_EQ(read(fits, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"),
              Progress::done);
    RequestReader said(limits);
    EXPECT_EQ(read(said, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").error().status,
              413);
    RequestReader chunked(limits);
    EXPECT_EQ(read(chunked,
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
                  .error()
                  .status,
              413);
}

}  // namespace
}  // namespace holdfast::gateway
