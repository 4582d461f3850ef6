#include "gateway/server.h"

#include <gmock/gmock.h>

#include "gateway/server_bench.h"

namespace holdfast::gateway {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string get(std::string_view target, std::string_view more = "") {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(more) +
           "\r\n";
}

constexpr std::string_view closing = "Connection: close\r\n";

class ServerTest : public ServerBench {};

TEST_F(ServerTest, AnswersOneRequestAfterTheOtherOnOneConnection) {
    serve();
    auto stream = connect();
    for (auto target : {"/a", "/b", "/c"}) {
        send(*stream, get(target));
        auto answer = finish(read_until(*stream, std::string(target) + " "));
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
        EXPECT_THAT(answer, Not(HasSubstr("Connection: close")));
    }
    EXPECT_EQ(asked, 3);
    EXPECT_EQ(server->connections(), 1U);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
    serve();
    auto answer = ask(get("/a") + get("/b") + get("/c", closing));
    auto a = answer.find("GET /a");
    auto b = answer.find("GET /b");
    auto c = answer.find("GET /c");
    EXPECT_TRUE(a < b && b < c && c != answer.npos) << answer;
}

TEST_F(ServerTest, GivesAWholeHeadWithLengthAndDate) {
    serve();
    EXPECT_EQ(
        ask(get("/a", closing)),
        "HTTP/1.1 200 OK\r\nDate: " +
            [&] {
                auto text = ask(get("/a", closing));
                auto at = text.find("Date: ") + 6;
                return text.substr(at, text.find("\r\n", at) - at);
            }() +
            "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 7\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\n\r\nGET /a ");
    EXPECT_THAT(ask(get("/a", closing)), HasSubstr(" GMT\r\n"));
}

TEST_F(ServerTest, AnswersHeadWithoutABody) {
    serve();
    auto answer = ask("HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, HasSubstr("Content-Length: 8\r\n"));
    EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST_F(ServerTest, ClosesAfterAnOldClientsRequest) {
    serve();
    EXPECT_THAT(ask("GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
                EndsWith("GET /a "));
}

TEST_F(ServerTest, AsksForABodyThatTheClientHoldsBack) {
    serve();
    auto stream = connect();
    send(*stream,
         "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(finish(read_until(*stream, "\r\n\r\n")), "HTTP/1.1 100 Continue\r\n\r\n");
    send(*stream, "ok");
    EXPECT_THAT(finish(read_until(*stream, "POST /a ok")), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(ServerTest, EndsTheConnectionAtAMalformedRequestAndTakesNothingAfterIt) {
    serve();
    auto answer =
        ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\n"
            "abc" +
            get("/smuggled", closing));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, HasSubstr(R"("code":"invalid")"));
    EXPECT_THAT(answer, HasSubstr(R"("next":)"));
    EXPECT_EQ(asked, 0);
    EXPECT_EQ(metric(R"(holdfast_rest_requests_total{method="none",code="4xx"})"), "1");
}

TEST_F(ServerTest, ClientOfATooLargeBodyHearsWhyThoughItStillSends) {
    serve({.reader = {.head_bytes_max = 1024, .headers_max = 10, .body_bytes_max = 1000}});
    auto answer = ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" +
                      std::string(100000, 'x'));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
    EXPECT_EQ(asked, 0);
}

TEST_F(ServerTest, CutsAClientWhoseHeaderTrickles) {
    serve({.head_wait = 10s});
    auto stream = connect();
    auto begun = machine.clock().now();
    auto trickle = [](runtime::Machine& m, runtime::Stream& s) -> runtime::Task<std::string> {
        auto writer = [](runtime::Machine& on, runtime::Stream& to) -> runtime::Task<void> {
            for (;;) {
                if (!co_await to.write_all("G")) co_await on.clock().sleep_until(Instant::max());
                co_await on.clock().sleep_for(500ms);
            }
        };
        auto outcome = co_await runtime::race(read_all(s), writer(m, s));
        co_return std::get<0>(std::move(outcome));
    };
    EXPECT_THAT(finish(trickle(machine, *stream)), StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
    auto took = machine.clock().now() - begun;
    EXPECT_GE(took, 10s);
    EXPECT_LE(took, 12s);
}

TEST_F(ServerTest, CutsAClientThatPromisesABodyAndSendsNone) {
    serve({.body_wait = 30s});
    auto begun = machine.clock().now();
    EXPECT_THAT(ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"),
                StartsWith("HTTP/1.1 408 "));
    EXPECT_GE(machine.clock().now() - begun, 30s);
    EXPECT_EQ(asked, 0);
}

TEST_F(ServerTest, ClosesAnIdleConnectionWithoutAWord) {
    serve({.idle_wait = 30s});
    auto stream = connect();
    send(*stream, get("/a"));
    finish(read_until(*stream, "GET /a "));
    auto begun = machine.clock().now();
    EXPECT_EQ(finish(read_all(*stream)), "");
    EXPECT_GE(machine.clock().now() - begun, 29s);
    EXPECT_EQ(server->connections(), 0U);
}

TEST_F(ServerTest, CutsAClientThatDoesNotReadItsAnswer) {
    large_bytes = 8 << 20;
    serve({.write_wait = 10s});
    auto stream = connect();
    send(*stream, get("/large"));
    world.run_for(9s);
    EXPECT_EQ(server->connections(), 1U);
    world.run_for(3s);
    EXPECT_EQ(server->connections(), 0U);
}

TEST_F(ServerTest, GivesALargeAnswerToAClientThatReads) {
    large_bytes = 3 << 20;
    serve();
    auto answer = ask(get("/large", closing));
    EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, large_bytes);
}

TEST_F(ServerTest, AnswersWithATimeoutWhenTheHandlerTakesTooLong) {
    wait = 1h;
    serve({.answer_wait = 30s});
    auto begun = machine.clock().now();
    EXPECT_THAT(ask(get("/wait", closing)), StartsWith("HTTP/1.1 504 Gateway Timeout\r\n"));
    EXPECT_GE(machine.clock().now() - begun, 30s);
    EXPECT_LE(machine.clock().now() - begun, 31s);
}

TEST_F(ServerTest, RefusesOneConnectionTooManyAndTakesTheNextWhenThereIsRoom) {
    serve({.connections_max = 2});
    auto one = connect();
    auto two = connect();
    send(*one, get("/a"));
    finish(read_until(*one, "GET /a "));
    auto three = connect();
    EXPECT_THAT(finish(read_all(*three)), StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
    two.reset();
    world.run_for(1s);
    EXPECT_THAT(ask(get("/b", closing)), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ServerTest, StreamsPiecesAsTheyComeAndSaysWhereTheyEnd) {
    serve();
    auto stream = connect();
    send(*stream, get("/stream"));
    auto head = finish(read_until(*stream, "\r\n\r\n"));
    EXPECT_THAT(head, HasSubstr("Transfer-Encoding: chunked\r\n"));
    EXPECT_THAT(head, HasSubstr("Connection: close\r\n"));
    auto begun = machine.clock().now();
    EXPECT_EQ(finish(read_until(*stream, "tick\n\r\n")), "5\r\ntick\n\r\n");
    EXPECT_LE(machine.clock().now() - begun, 1100ms);
    EXPECT_EQ(finish(read_all(*stream)), "5\r\ntick\n\r\n5\r\ntick\n\r\n0\r\n\r\n");
}

TEST_F(ServerTest, StreamsToAnOldClientWithoutChunks) {
    serve();
    auto answer = ask("GET /stream HTTP/1.0\r\nHost: a\r\n\r\n");
    EXPECT_THAT(answer, EndsWith("\r\n\r\ntick\ntick\ntick\n"));
    EXPECT_THAT(answer, Not(HasSubstr("chunked")));
}

TEST_F(ServerTest, EndsAStreamSoonAfterItsClientHasGone) {
    ticks = 1'000'000;
    serve();
    auto stream = connect();
    send(*stream, get("/stream"));
    finish(read_until(*stream, "tick\n"));
    EXPECT_EQ(streams, 1);
    stream.reset();
    world.run_for(100ms);
    EXPECT_EQ(streams, 0);
    EXPECT_EQ(server->connections(), 0U);
}

TEST_F(ServerTest, DoesNotBeginAStreamForHead) {
    serve();
    auto answer = ask("HEAD /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
    EXPECT_EQ(streams, 0);
}

TEST_F(ServerTest, StopLetsAnswersFinishAndEndsIdleConnectionsAndStreamsAtOnce) {
    wait = 2s;
    ticks = 1'000'000;
    serve();
    auto idle = connect();
    auto waiting = connect();
    auto streaming = connect();
    send(*waiting, get("/wait"));
    send(*streaming, get("/stream"));
    finish(read_until(*streaming, "tick\n"));
    auto begun = machine.clock().now();
    tasks.spawn([](Server& s) -> runtime::Task<void> { co_await s.stop(10s); }(*server));
    EXPECT_EQ(finish(read_all(*idle)), "");
    EXPECT_EQ(streams, 0);
    EXPECT_LE(machine.clock().now() - begun, 100ms);
    auto answer = finish(read_all(*waiting));
    EXPECT_THAT(answer, EndsWith("GET /wait "));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    world.run_for(10ms);
    EXPECT_TRUE(run_ended);
    EXPECT_EQ(server->connections(), 0U);
}

TEST_F(ServerTest, StopCutsWhatIsLeftAfterTheGrace) {
    wait = 20s;
    serve();
    auto waiting = connect();
    send(*waiting, get("/wait"));
    world.run_for(1s);
    auto begun = machine.clock().now();
    finish([](Server& s) -> runtime::Task<bool> {
        co_await s.stop(3s);
        co_return true;
    }(*server));
    EXPECT_GE(machine.clock().now() - begun, 3s);
    EXPECT_LE(machine.clock().now() - begun, 3100ms);
    EXPECT_EQ(server->connections(), 0U);
    EXPECT_EQ(finish(read_all(*waiting)), "");
}

TEST_F(ServerTest, CountsRequestsByMethodAndClassOfCode) {
    serve();
    ask(get("/a", closing));
    ask(get("/a", closing));
    ask("POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ask("BREW /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(metric(R"(holdfast_rest_requests_total{method="GET",code="2xx"})"), "2");
    EXPECT_EQ(metric(R"(holdfast_rest_requests_total{method="POST",code="2xx"})"), "1");
    EXPECT_EQ(metric(R"(holdfast_rest_requests_total{method="other",code="2xx"})"), "1");
    EXPECT_EQ(metric("holdfast_rest_request_duration_seconds_count"), "4");
    EXPECT_EQ(metric("holdfast_rest_connections"), "0");
}

}  // namespace
}  // namespace holdfast::gateway
