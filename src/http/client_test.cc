#include "http/client.h"

#include <gtest/gtest.h>

#include <map>

#include "http/scripted_server.h"
#include "runtime/sim/world.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using runtime::World;
using Answer = ScriptedServer::Answer;

class FixedResolver final : public Resolver {
  public:
    Task<Result<std::vector<std::string>>> resolve(std::string host) override {
        auto found = names.find(host);
        if (found == names.end()) co_return fail(Errc::unavailable, "no such name: " + host);
        co_return found->second;
    }
    std::map<std::string, std::vector<std::string>> names;
};

// A server on machine "b", a client on machine "a".
class ClientTest : public testing::Test {
  protected:
    void serve(Answer answer) {
        server.emplace(b.clock(), b.network(), runtime::Endpoint{b.address(), 8080},
                       [answer](const std::string&) { return answer; });
    }
    Url url(std::string target = "/x") {
        return {.host = b.address(), .port = 8080, .target = target};
    }
    Result<Response> fetch(Url to, Request request = {}, CallOptions options = {}) {
        auto answer =
            world.complete(client.fetch(std::move(to), std::move(request), options), 5min);
        if (!answer) return fail(Errc::exhausted, "never answered");
        return *answer;
    }

    World world{1};
    runtime::Machine& a = world.machine("a");
    runtime::Machine& b = world.machine("b");
    FixedResolver resolver;
    Client client{{.clock = a.clock(), .network = a.network(), .resolver = &resolver}};
    std::optional<ScriptedServer> server;
};

TEST_F(ClientTest, SendsARequestAndReadsItsAnswer) {
    serve(answer_with(201, "made"));
    auto response =
        fetch(url("/things?x=1"),
              {.method = "POST", .headers = {{"Content-Type", "text/plain"}}, .body = "a thing"});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->status, 201);
    EXPECT_EQ(response->body, "made");
    EXPECT_EQ(server->requests().at(0),
              "POST /things?x=1 HTTP/1.1\r\nHost: " + b.address() +
                  ":8080\r\nContent-Type: text/plain\r\nUser-Agent: holdfast"
                  "\r\nContent-Length: 7\r\nConnection: close\r\n\r\na thing");
}

TEST_F(ClientTest, ReadsAnAnswerThatComesByteByByte) {
    serve({.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
           .piece = 1,
           .pause = 1ms});
    auto response = fetch(url());
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "abc");
}

TEST_F(ClientTest, ReturnsWhenTheAnswerIsCompleteAndNotWhenThePeerCloses) {
    serve({.bytes = answer_with(200, "done").bytes, .then = Answer::Then::stay_open});
    Instant before = world.now();
    EXPECT_TRUE(fetch(url()));
    EXPECT_LT(world.now() - before, 1s);
}

TEST_F(ClientTest, SaysThatNobodyListens) {
    auto response = fetch(url());
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Errc::unavailable);
    EXPECT_TRUE(response.error().message.contains("refused")) << response.error().message;
}

TEST_F(ClientTest, HasADeadlineForAllOfIt) {
    serve({.bytes = answer_with(200, std::string(1000, 'x')).bytes, .piece = 1, .pause = 100ms});
    Instant before = world.now();
    auto response = fetch(url(), {}, {.limit = 3s});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Errc::unavailable);
    EXPECT_NEAR(std::chrono::duration<double>(world.now() - before).count(), 3.0, 0.1);
}

TEST_F(ClientTest, IsInDoubtAboutAPostThatWasSentAndNotAnswered) {
    for (auto answer : {Answer{.bytes = "HTTP/1.1 20"}, Answer{.bytes = "", .after = 1h}}) {
        serve(answer);
        for (auto method : {"POST", "PATCH"}) {
            auto response = fetch(url(), {.method = method}, {.limit = 1s});
            ASSERT_FALSE(response);
            EXPECT_EQ(response.error().code, Errc::in_doubt);
        }
        auto response = fetch(url(), {.method = "PUT"}, {.limit = 1s});
        ASSERT_FALSE(response);
        EXPECT_EQ(response.error().code, Errc::unavailable) << "it may be asked again";
        server.reset();
    }
    EXPECT_EQ(fetch(url(), {.method = "POST"}).error().code, Errc::unavailable)
        << "nothing was sent";
}

TEST_F(ClientTest, RefusesAnAnswerBeyondItsLimits) {
    serve(answer_with(200, std::string(5000, 'x')));
    auto response = fetch(url(), {}, {.body_bytes_max = 4999});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Errc::exhausted);
    EXPECT_TRUE(fetch(url(), {}, {.body_bytes_max = 5000}));
}

TEST_F(ClientTest, WritesNoRequestThatCouldBecomeTwo) {
    serve(answer_with(200));
    for (const auto& request : {
             Request{.method = "GET /y HTTP/1.1\r\nX: "},
             Request{.method = ""},
             Request{.headers = {{"X", "a\r\nY: b"}}},
             Request{.headers = {{"X: y\r\nZ", "a"}}},
             Request{.headers = {{"Content-Length", "5"}}},
             Request{.headers = {{"host", "other"}}},
             Request{.headers = {{"Transfer-Encoding", "chunked"}}},
         }) {
        auto response = fetch(url(), request);
        ASSERT_FALSE(response);
        EXPECT_EQ(response.error().code, Errc::invalid);
    }
    EXPECT_FALSE(fetch(url("/a b")));
    EXPECT_FALSE(fetch(url("/a\r\n")));
    EXPECT_TRUE(server->requests().empty());
}

TEST_F(ClientTest, TriesEachAddressOfANameInTurn) {
    serve(answer_with(200));
    resolver.names["hook.example"] = {"10.9.9.9", b.address()};
    world.link("a", "b");
    Url to{.host = "hook.example", .port = 8080};
    auto response = fetch(to, {}, {.limit = 4min});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_TRUE(server->requests()[0].contains("Host: hook.example:8080\r\n"));
    to.host = "nowhere.example";
    EXPECT_EQ(fetch(to).error().message, "no such name: nowhere.example");
}

TEST_F(ClientTest, StreamsABodyAsItComesUntilTheReaderHasEnough) {
    serve({.bytes = "HTTP/1.1 200 OK\r\n\r\n" + std::string(100, 'x'),
           .piece = 10,
           .pause = 1min,
           .then = Answer::Then::stay_open});
    std::string seen;
    int status = 0;
    BodySink sink{.on_head = [&](const ResponseHead& head) { status = head.status; },
                  .on_body =
                      [&](std::string_view piece) {
                          seen += piece;
                          return seen.size() < 50;
                      }};
    auto outcome = world.complete(client.stream(url(), {}, 2min, std::move(sink)), 1h);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(*outcome) << "far beyond the limit for the head";
    EXPECT_EQ(status, 200);
    EXPECT_GE(seen.size(), 50u);
    EXPECT_LT(seen.size(), 60u);
}

TEST_F(ClientTest, StreamsWithADeadlineForTheHead) {
    serve({.bytes = answer_with(200).bytes, .after = 10s});
    BodySink sink{.on_head = {}, .on_body = [](std::string_view) { return true; }};
    auto outcome = world.complete(client.stream(url(), {}, 2s, std::move(sink)));
    ASSERT_TRUE(outcome);
    ASSERT_FALSE(*outcome);
    EXPECT_EQ(outcome->error().code, Errc::unavailable);
}

}  // namespace
}  // namespace holdfast::http
