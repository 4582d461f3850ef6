// What network.h promises, held against the machine's own network and the simulated one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/real/loop.h"
#include "runtime/real/network.h"
#include "runtime/sim/world.h"

namespace holdfast::runtime {
namespace {

using namespace std::chrono_literals;

// Leaves a coroutine of a test, as ASSERT_TRUE leaves a function.
#define CO_ASSERT(condition)             \
    do {                                 \
        if (!(condition)) {              \
            ADD_FAILURE() << #condition; \
            co_return;                   \
        }                                \
    } while (false)

// Two ends that can reach each other.
class Net {
  public:
    virtual ~Net() = default;
    virtual Network& server() = 0;
    virtual Network& client() = 0;
    virtual Clock& clock() = 0;
    virtual std::string address() = 0;    // The server's.
    virtual std::string directory() = 0;  // For Unix sockets of the server.
    virtual bool finishes(Task<void> task) = 0;
};

class RealNet final : public Net {
  public:
    ~RealNet() override { std::filesystem::remove_all(directory_); }
    Network& server() override { return network_; }
    Network& client() override { return network_; }
    Clock& clock() override { return loop_.clock(); }
    std::string address() override { return "127.0.0.1"; }
    std::string directory() override { return directory_; }
    bool finishes(Task<void> task) override {
        auto whole = [](Task<void> inner) -> Task<Result<void>> {
            co_await std::move(inner);
            co_return {};
        };
        return loop_.complete(within(loop_.clock(), 20s, "the test", whole(std::move(task))))
            .has_value();
    }

  private:
    static std::string make_directory() {
        auto pattern = (std::filesystem::temp_directory_path() / "hf-net-XXXXXX").string();
        return mkdtemp(pattern.data());
    }
    std::string directory_ = make_directory();
    EventLoop loop_;
    RealNetwork network_{loop_};
};

class SimNet final : public Net {
  public:
    Network& server() override { return world_.machine("server").network(); }
    Network& client() override { return world_.machine("client").network(); }
    Clock& clock() override { return world_.machine("client").clock(); }
    std::string address() override { return world_.machine("server").address(); }
    std::string directory() override { return "/run"; }
    bool finishes(Task<void> task) override {
        return world_.complete(std::move(task), 20s).has_value();
    }

  private:
    World world_{1};
};

struct Kind {
    const char* name;
    std::unique_ptr<Net> (*make)();
};

class NetworkConformance : public testing::TestWithParam<Kind> {
  protected:
    std::unique_ptr<Net> net = GetParam().make();
    void run(Task<void> task) { EXPECT_TRUE(net->finishes(std::move(task))) << "not in time"; }
};

using StreamPtr = std::unique_ptr<Stream>;

struct Pair {
    StreamPtr client;
    StreamPtr server;
};

Task<Result<Pair>> connected(Net& net) {
    HF_CO_TRY(auto listener, net.server().listen({net.address(), 0}));
    HF_CO_TRY(auto client, co_await net.client().connect(listener->local()));
    HF_CO_TRY(auto server, co_await listener->accept());
    co_return Pair{std::move(client), std::move(server)};
}

// Up to the end, or `count` bytes.
Task<Result<std::string>> read(Stream& stream, std::size_t count = SIZE_MAX) {
    std::string bytes;
    std::array<char, 16384> buffer;
    while (bytes.size() < count) {
        auto most = std::min(buffer.size(), count - bytes.size());
        HF_CO_TRY(auto got, co_await stream.read_some(std::span(buffer).first(most)));
        if (got == 0) break;
        bytes.append(buffer.data(), got);
    }
    co_return bytes;
}

std::string pattern(std::size_t count, char first) {
    std::string bytes(count, '\0');
    for (std::size_t i = 0; i < count; ++i)
        bytes[i] = static_cast<char>(first + static_cast<char>(i * 7 + i / 251));
    return bytes;
}

TEST_P(NetworkConformance, StreamsCarryBytesBothWaysAtOnceAndInOrder) {
    run([](Net& n) -> Task<void> {
        auto pair = co_await connected(n);
        CO_ASSERT(pair);
        auto there = pattern(1 << 20, 'a'), back = pattern(1 << 20, 'z');
        auto outcome =
            co_await all(all(pair->client->write_all(there), read(*pair->server, 1 << 20)),
                         all(pair->server->write_all(back), read(*pair->client, 1 << 20)));
        auto& [first, second] = outcome;
        EXPECT_TRUE(std::get<0>(first) && std::get<0>(second));
        EXPECT_TRUE(std::get<1>(first) == there);
        EXPECT_TRUE(std::get<1>(second) == back);
    }(*net));
}

TEST_P(NetworkConformance, AShutEndIsReadToItsEndWhileTheOtherDirectionGoesOn) {
    run([](Net& n) -> Task<void> {
        auto pair = co_await connected(n);
        CO_ASSERT(pair);
        EXPECT_TRUE(co_await pair->client->write_all("request"));
        pair->client->shut_write();
        EXPECT_EQ(co_await read(*pair->server), "request");
        EXPECT_TRUE(co_await pair->server->write_all("answer"));
        pair->server.reset();
        EXPECT_EQ(co_await read(*pair->client), "answer");
        EXPECT_FALSE(co_await pair->client->write_all("more")) << "it shut its end";
    }(*net));
}

TEST_P(NetworkConformance, WhatWasWrittenBeforeTheCloseArrives) {
    run([](Net& n) -> Task<void> {
        auto pair = co_await connected(n);
        CO_ASSERT(pair);
        EXPECT_TRUE(co_await pair->client->write_all("last words"));
        pair->client.reset();
        EXPECT_EQ(co_await read(*pair->server), "last words");
    }(*net));
}

TEST_P(NetworkConformance, ClosingWithUnreadBytesResetsThePeer) {
    run([](Net& n) -> Task<void> {
        auto pair = co_await connected(n);
        CO_ASSERT(pair);
        EXPECT_TRUE(co_await pair->client->write_all("never read"));
        EXPECT_TRUE(co_await read(*pair->server, 1));
        pair->server.reset();
        auto got = co_await read(*pair->client);
        CO_ASSERT(!got);
        EXPECT_EQ(got.error().code, Errc::unavailable);
    }(*net));
}

TEST_P(NetworkConformance, WritingToAPeerThatIsGoneFailsInTheEnd) {
    run([](Net& n) -> Task<void> {
        auto pair = co_await connected(n);
        CO_ASSERT(pair);
        pair->server.reset();
        Result<void> outcome;
        while (outcome) {
            outcome = co_await pair->client->write_all("x");
            co_await n.clock().sleep_for(1ms);
        }
        EXPECT_EQ(outcome.error().code, Errc::unavailable);
    }(*net));
}

TEST_P(NetworkConformance, AWriterWaitsForAReaderThatDoesNotRead) {
    run([](Net& n) -> Task<void> {
        auto pair = co_await connected(n);
        CO_ASSERT(pair);
        auto bytes = pattern(64 << 20, 'a');
        auto outcome = co_await race(pair->client->write_all(bytes), n.clock().sleep_for(100ms));
        EXPECT_EQ(outcome.index(), 1u);
    }(*net));
}

TEST_P(NetworkConformance, ConnectingWhereNobodyListensIsRefused) {
    run([](Net& n) -> Task<void> {
        Endpoint gone;
        {
            auto listener = n.server().listen({n.address(), 0});
            CO_ASSERT(listener);
            gone = (*listener)->local();
        }
        auto stream = co_await n.client().connect(gone);
        CO_ASSERT(!stream);
        EXPECT_EQ(stream.error().code, Errc::unavailable);
        EXPECT_THAT(stream.error().message, testing::HasSubstr("refused"));
        EXPECT_THAT(stream.error().message, testing::HasSubstr(format_endpoint(gone)));
    }(*net));
}

TEST_P(NetworkConformance, AConnectionThatAListenerDroppedIsReset) {
    run([](Net& n) -> Task<void> {
        auto listener = n.server().listen({n.address(), 0});
        CO_ASSERT(listener);
        auto stream = co_await n.client().connect((*listener)->local());
        CO_ASSERT(stream);
        listener->reset();
        auto got = co_await read(**stream);
        CO_ASSERT(!got);
        EXPECT_EQ(got.error().code, Errc::unavailable);
    }(*net));
}

TEST_P(NetworkConformance, APortIsHadOnceAndAgainWhenItsListenerIsGone) {
    run([](Net& n) -> Task<void> {
        auto first = n.server().listen({n.address(), 0});
        CO_ASSERT(first);
        auto at = (*first)->local();
        EXPECT_NE(at.port, 0);
        for (auto address : {n.address(), std::string("0.0.0.0")}) {
            auto second = n.server().listen({address, at.port});
            CO_ASSERT(!second);
            EXPECT_EQ(second.error().code, Errc::conflict);
        }
        first->reset();
        EXPECT_TRUE(n.server().listen(at));
        co_return;
    }(*net));
}

TEST_P(NetworkConformance, RefusesNamesAndAddressesOfOthers) {
    run([](Net& n) -> Task<void> {
        for (Endpoint wrong :
             {Endpoint{"localhost", 80}, Endpoint{"192.0.2.1", 0}, Endpoint{"", 1}}) {
            auto listener = n.server().listen(wrong);
            CO_ASSERT(!listener);
            EXPECT_EQ(listener.error().code, Errc::invalid) << listener.error().message;
            auto socket = n.server().bind(wrong);
            CO_ASSERT(!socket);
            EXPECT_EQ(socket.error().code, Errc::invalid);
        }
        auto stream = co_await n.client().connect({"localhost", 80});
        CO_ASSERT(!stream);
        EXPECT_EQ(stream.error().code, Errc::invalid);
    }(*net));
}

TEST_P(NetworkConformance, ConnectionsWaitInTheQueueWithWhatTheySent) {
    run([](Net& n) -> Task<void> {
        auto listener = n.server().listen({n.address(), 0});
        CO_ASSERT(listener);
        std::vector<StreamPtr> clients;
        for (int i = 0; i < 3; ++i) {
            auto stream = co_await n.client().connect((*listener)->local());
            CO_ASSERT(stream);
            EXPECT_TRUE(co_await (*stream)->write_all(std::to_string(i)));
            clients.push_back(*std::move(stream));
        }
        for (int i = 0; i < 3; ++i) {
            auto stream = co_await (*listener)->accept();
            CO_ASSERT(stream);
            EXPECT_EQ(co_await read(**stream, 1), std::to_string(i));
        }
    }(*net));
}

TEST_P(NetworkConformance, AnAbandonedReadHasTakenNothing) {
    run([](Net& n) -> Task<void> {
        auto pair = co_await connected(n);
        CO_ASSERT(pair);
        for (int i = 0; i < 3; ++i) {
            auto outcome = co_await race(read(*pair->server, 4), n.clock().sleep_for(2ms));
            EXPECT_EQ(outcome.index(), 1u);
        }
        EXPECT_TRUE(co_await pair->client->write_all("kept"));
        EXPECT_EQ(co_await read(*pair->server, 4), "kept");
    }(*net));
}

TEST_P(NetworkConformance, AnAbandonedAcceptLosesNobody) {
    run([](Net& n) -> Task<void> {
        auto listener = n.server().listen({n.address(), 0});
        CO_ASSERT(listener);
        auto outcome = co_await race((*listener)->accept(), n.clock().sleep_for(2ms));
        EXPECT_EQ(outcome.index(), 1u);
        auto [client, server] =
            co_await all(n.client().connect((*listener)->local()), (*listener)->accept());
        CO_ASSERT(client && server);
        EXPECT_TRUE(co_await (*client)->write_all("hello"));
        EXPECT_EQ(co_await read(**server, 5), "hello");
    }(*net));
}

TEST_P(NetworkConformance, BothEndsAgreeWhoTheyAre) {
    run([](Net& n) -> Task<void> {
        auto listener = n.server().listen({n.address(), 0});
        CO_ASSERT(listener);
        auto [client, server] =
            co_await all(n.client().connect((*listener)->local()), (*listener)->accept());
        CO_ASSERT(client && server);
        EXPECT_EQ((*client)->peer(), (*listener)->local());
        EXPECT_NE((*server)->peer().port, 0);
        EXPECT_FALSE((*server)->peer_user());
    }(*net));
}

TEST_P(NetworkConformance, UnixStreamsHaveNamesAndTellWhoConnected) {
    run([](Net& n) -> Task<void> {
        auto unique = "@hf-test-" + std::to_string(getpid());
        for (auto name : {n.directory() + "/x.sock", unique}) {
            auto listener = n.server().listen({name, 0});
            CO_ASSERT(listener);
            EXPECT_EQ((*listener)->local(), (Endpoint{name, 0}));
            auto again = n.server().listen({name, 0});
            CO_ASSERT(!again);
            EXPECT_EQ(again.error().code, Errc::conflict);

            auto [client, server] =
                co_await all(n.server().connect({name, 0}), (*listener)->accept());
            CO_ASSERT(client && server);
            EXPECT_EQ((*server)->peer(), Endpoint{});
            EXPECT_TRUE((*server)->peer_user());
            EXPECT_TRUE(co_await (*client)->write_all("over unix"));
            client->reset();
            EXPECT_EQ(co_await read(**server), "over unix");

            listener->reset();
            auto refused = co_await n.server().connect({name, 0});
            EXPECT_FALSE(refused);
            EXPECT_TRUE(n.server().listen({name, 0})) << "the name is free again";
        }
    }(*net));
}

TEST_P(NetworkConformance, LoopbackOfBothFamiliesStaysOnTheMachine) {
    run([](Net& n) -> Task<void> {
        for (std::string address : {"127.0.0.1", "::1"}) {
            auto listener = n.server().listen({address, 0});
            CO_ASSERT(listener);
            auto [client, server] =
                co_await all(n.server().connect((*listener)->local()), (*listener)->accept());
            CO_ASSERT(client && server);
            EXPECT_EQ((*server)->peer().address, address);
        }
    }(*net));
}

TEST_P(NetworkConformance, DatagramsArriveWholeWithTheirSender) {
    run([](Net& n) -> Task<void> {
        auto server = n.server().bind({n.address(), 0});
        auto client = n.client().bind({"0.0.0.0", 0});
        CO_ASSERT(server && client);
        for (std::string payload : {std::string("hello"), std::string(), pattern(60000, 'a')}) {
            EXPECT_TRUE((*client)->send((*server)->local(), payload));
            auto got = co_await (*server)->receive();
            CO_ASSERT(got);
            EXPECT_TRUE(got->payload == payload);
            EXPECT_TRUE((*server)->send(got->from, "answer"));
            auto answer = co_await (*client)->receive();
            CO_ASSERT(answer);
            EXPECT_EQ(answer->payload, "answer");
            EXPECT_EQ(answer->from, (*server)->local());
        }
    }(*net));
}

TEST_P(NetworkConformance, DatagramsToNobodyAreLostAndTooLargeOnesRefused) {
    run([](Net& n) -> Task<void> {
        auto server = n.server().bind({n.address(), 0});
        auto client = n.client().bind({"0.0.0.0", 0});
        CO_ASSERT(server && client);
        EXPECT_TRUE((*client)->send({n.address(), 9}, "nobody"));
        EXPECT_FALSE((*client)->send((*server)->local(), std::string(66000, 'x')));
        auto outcome = co_await race((*server)->receive(), n.clock().sleep_for(2ms));
        EXPECT_EQ(outcome.index(), 1u);
        EXPECT_TRUE((*client)->send((*server)->local(), "after"));
        auto got = co_await (*server)->receive();
        CO_ASSERT(got);
        EXPECT_EQ(got->payload, "after");
    }(*net));
}

TEST_P(NetworkConformance, ADatagramPortIsHadOnceAndStreamsHavePortsOfTheirOwn) {
    run([](Net& n) -> Task<void> {
        // Somebody else may listen at the one port or the other, but hardly at all of them.
        bool both = false;
        for (int tries = 0; tries < 20 && !both; ++tries) {
            auto first = n.server().bind({n.address(), 0});
            CO_ASSERT(first);
            auto second = n.server().bind((*first)->local());
            CO_ASSERT(!second);
            EXPECT_EQ(second.error().code, Errc::conflict);
            both = n.server().listen((*first)->local()).has_value();
        }
        EXPECT_TRUE(both);
        co_return;
    }(*net));
}

INSTANTIATE_TEST_SUITE_P(
    Each, NetworkConformance,
    testing::Values(
        Kind{"Real", []() -> std::unique_ptr<Net> { return std::make_unique<RealNet>(); }},
        Kind{"Simulated", []() -> std::unique_ptr<Net> { return std::make_unique<SimNet>(); }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace holdfast::runtime
