// The server on the machine's own sockets; all else is said in virtual time by server_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/server.h"
#include "runtime/real/loop.h"
#include "runtime/real/network.h"

namespace holdfast::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

runtime::Task<std::string> exchange(runtime::Network& network, runtime::Endpoint endpoint,
                                    std::string bytes) {
    auto stream = co_await network.connect(std::move(endpoint));
    if (!stream) co_return stream.error().message;
    if (!co_await (*stream)->write_all(bytes)) co_return "cannot write";
    std::string all;
    char piece[4096];
    for (;;) {
        auto count = co_await (*stream)->read_some(piece);
        if (!count || *count == 0) co_return all;
        all.append(piece, *count);
    }
}

runtime::Task<Response> echo(Request request) {
    co_return text_response(request.target + " " + request.body);
}

TEST(ServerOnRealSockets, AnswersRefusesAndStops) {
    runtime::EventLoop loop;
    runtime::RealNetwork network(loop);
    MetricRegistry metrics;
    Server server(loop.clock(), metrics, echo);
    auto listener = network.listen({"127.0.0.1", 0});
    ASSERT_TRUE(listener) << listener.error().message;
    auto endpoint = (*listener)->local();
    runtime::TaskGroup tasks;
    tasks.spawn(server.run(**listener));
    auto answer =
        loop.complete(exchange(network, endpoint,
                               "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok"
                               "GET /b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    EXPECT_THAT(answer, HasSubstr("/a ok"));
    EXPECT_THAT(answer, HasSubstr("/b "));
    auto refused = loop.complete(
        exchange(network, endpoint, "POST /a HTTP/1.1\r\n\r\n" + std::string(300'000, 'x')));
    EXPECT_THAT(refused, HasSubstr("400 Bad Request"));
    loop.complete(server.stop(5s));
    EXPECT_EQ(server.connections(), 0U);
}

}  // namespace
}  // namespace holdfast::gateway
