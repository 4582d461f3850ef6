// What the server's tests work with: a server on one simulated machine's loopback, clients that
// send exactly the bytes a test says, and answers that wait as long as it says.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "gateway/server.h"
#include "runtime/sim/world.h"

namespace holdfast::gateway {

class ServerBench : public testing::Test {
  protected:
    using Stream = std::unique_ptr<runtime::Stream>;

    void serve(ServerOptions options = {}) {
        server = std::make_unique<Server>(
            machine.clock(), metrics,
            [this](Request request) { return answer(std::move(request)); }, options);
        listener = *machine.network().listen(endpoint);
        tasks.spawn(run());
    }

    runtime::Task<void> run() {
        co_await server->run(*listener);
        run_ended = true;
    }

    // "/wait?..." takes as long as `wait`, "/large" has `large_bytes`, "/stream" goes on.
    virtual runtime::Task<Response> answer(Request request) {
        ++asked;
        if (request.target == "/wait") co_await machine.clock().sleep_for(wait);
        if (request.target == "/large") co_return text_response(std::string(large_bytes, 'x'));
        if (request.target == "/stream") {
            auto response = text_response("");
            response.stream = std::make_unique<Ticks>(*this);
            co_return response;
        }
        co_return text_response(request.method + " " + request.target + " " + request.body);
    }

    // "tick\n" every second, `ticks` times.
    class Ticks final : public BodyStream {
      public:
        explicit Ticks(ServerBench& b) : bench(b) { ++bench.streams; }
        ~Ticks() override { --bench.streams; }
        runtime::Task<std::optional<std::string>> next() override {
            if (given == bench.ticks) co_return std::nullopt;
            co_await bench.machine.clock().sleep_for(std::chrono::seconds(1));
            ++given;
            co_return "tick\n";
        }

        ServerBench& bench;
        int given = 0;
    };

    template <class T>
    T finish(runtime::Task<T> task) {
        auto value = world.complete(std::move(task), std::chrono::minutes(10));
        EXPECT_TRUE(value.has_value()) << "it takes too long";
        return *std::move(value);
    }

    Stream connect() {
        auto stream = finish(machine.network().connect(endpoint));
        EXPECT_TRUE(stream) << stream.error().message;
        return stream ? *std::move(stream) : nullptr;
    }

    void send(runtime::Stream& stream, std::string bytes) {
        EXPECT_TRUE(finish(write(stream, std::move(bytes))));
    }

    static runtime::Task<Result<void>> write(runtime::Stream& stream, std::string bytes) {
        co_return co_await stream.write_all(bytes);
    }

    // What comes until the server closes.
    static runtime::Task<std::string> read_all(runtime::Stream& stream) {
        std::string all;
        char piece[4096];
        for (;;) {
            auto count = co_await stream.read_some(piece);
            if (!count || *count == 0) co_return all;
            all.append(piece, *count);
        }
    }

    // What comes until it ends in `end`, or the server closes.
    static runtime::Task<std::string> read_until(runtime::Stream& stream, std::string end) {
        std::string all;
        char byte;
        while (!all.ends_with(end)) {
            auto count = co_await stream.read_some({&byte, 1});
            if (!count || *count == 0) break;
            all += byte;
        }
        co_return all;
    }

    // One exchange on a connection of its own.
    std::string ask(std::string bytes) {
        auto stream = connect();
        send(*stream, std::move(bytes));
        return finish(read_all(*stream));
    }

    std::string metric(std::string_view line) {
        auto text = metrics.expose();
        auto at = text.find("\n" + std::string(line) + " ");
        if (at == text.npos) return "";
        auto from = at + line.size() + 2;
        return text.substr(from, text.find('\n', from) - from);
    }

    runtime::World world{1};
    runtime::Machine& machine = world.machine("a");
    runtime::Endpoint endpoint{"127.0.0.1", 7400};
    MetricRegistry metrics;
    std::unique_ptr<runtime::Listener> listener;
    std::unique_ptr<Server> server;
    runtime::TaskGroup tasks;  // Ends before the server.

    int asked = 0;
    int streams = 0;
    int ticks = 3;
    Duration wait{};
    std::size_t large_bytes = 0;
    bool run_ended = false;
};

}  // namespace holdfast::gateway
