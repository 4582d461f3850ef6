#include "health/prober.h"

#include <gtest/gtest.h>

#include "health/process_share.h"
#include "http/scripted_server.h"
#include "runtime/sim/world.h"

namespace holdfast::health {
namespace {

using namespace std::chrono_literals;
using http::ScriptedServer;
using runtime::Behaviour;
using runtime::Task;
using runtime::World;

constexpr std::uint16_t port = 8080;

class ProberTest : public testing::Test {
  protected:
    ProberTest() {
        a.processes().install("/bin/sh", [this](const runtime::LaunchSpec& spec) {
            launched = spec;
            const auto& command = spec.command.at(2);
            if (command == "well") return Behaviour{.exits_after = 5ms};
            if (command == "says why") {
                return Behaviour{.exits_after = 5ms,
                                 .exit_code = 3,
                                 .prints = {{.after = 1ms, .bytes = "first\ndisk \x01 is full\n"}}};
            }
            return Behaviour{.ignores_sigterm = true};  // hangs
        });
        tasks.spawn(share.run());
        tasks.spawn(prober.run());
    }
    void serve(ScriptedServer::Answer answer) {
        server.emplace(a.clock(), a.network(), runtime::Endpoint{"127.0.0.1", port},
                       [answer](const std::string&) { return answer; });
    }
    ProbeResult probe(ProbeSpec spec, Duration timeout = 1s) {
        ProbeTarget target{.port = port,
                           .slot = "shop/0",
                           .env = {{"A", "b"}},
                           .user = "shop",
                           .directory = "/opt"};
        auto result = world.complete(prober.probe(std::move(spec), std::move(target), timeout), 1h);
        return result.value_or(ProbeResult{.reason = "never answered"});
    }
    std::size_t live() {
        std::size_t count = 0;
        for (const auto& report : **world.complete(a.processes().list())) count += !report.exit;
        return count;
    }

    static ProbeSpec tcp() { return {.kind = ProbeSpec::Kind::tcp, .path = {}, .command = {}}; }
    static ProbeSpec http_ready() {
        return {.kind = ProbeSpec::Kind::http, .path = "/ready", .command = {}};
    }
    static ProbeSpec exec(std::string command) {
        return {.kind = ProbeSpec::Kind::exec, .path = {}, .command = std::move(command)};
    }

    World world{1};
    runtime::Machine& a = world.machine("a");
    ProcessShare share{a.processes()};
    MachineProber prober{{.clock = a.clock(),
                          .network = a.network(),
                          .processes = share.of(Part::probes),
                          .random = runtime::Random(1)}};
    std::optional<ScriptedServer> server;
    runtime::LaunchSpec launched;
    runtime::TaskGroup tasks;
};

TEST_F(ProberTest, AsksWhetherThePortAcceptsConnections) {
    EXPECT_EQ(probe(tcp()).answer, Answer::unwell);
    EXPECT_TRUE(probe(tcp()).reason.contains("refused")) << probe(tcp()).reason;
    serve(http::answer_with(200));
    EXPECT_EQ(probe(tcp()).answer, Answer::well);
    EXPECT_EQ(probe(tcp()).reason, "tcp: port 8080 accepts connections");
}

TEST_F(ProberTest, TakesStatusesFrom200To399ForWell) {
    struct Case {
        int status;
        Answer answer;
    };
    for (auto [status, answer] :
         {Case{200, Answer::well}, Case{204, Answer::well}, Case{301, Answer::well},
          Case{399, Answer::well}, Case{400, Answer::unwell}, Case{404, Answer::unwell},
          Case{503, Answer::unwell}}) {
        serve(http::answer_with(status));
        auto result = probe(http_ready());
        EXPECT_EQ(result.answer, answer) << status;
        EXPECT_EQ(result.reason, "http:/ready answered " + std::to_string(status));
        EXPECT_TRUE(
            server->requests()[0].starts_with("GET /ready HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"));
        server.reset();
    }
}

TEST_F(ProberTest, ReadsNoMoreOfABodyThanItMust) {
    serve({.bytes = "HTTP/1.1 200 OK\r\n\r\n" + std::string(10 << 20, 'x'),
           .piece = 4096,
           .pause = 1ms});
    Instant before = world.now();
    EXPECT_EQ(probe(http_ready()).answer, Answer::well);
    EXPECT_LT(world.now() - before, 200ms);
}

TEST_F(ProberTest, SaysWhatIsWrongWithWhatIsNotHttp) {
    serve({.bytes = "SSH-2.0-OpenSSH_9.2\r\n"});
    auto result = probe(http_ready());
    EXPECT_EQ(result.answer, Answer::unwell);
    EXPECT_EQ(result.reason,
              "http:/ready: the answer is not proper HTTP/1.1: it begins with "
              "\"SSH-2.0-OpenSSH_9.2\"");
    server.reset();
    serve({.bytes = ""});
    EXPECT_EQ(probe(http_ready()).reason,
              "http:/ready: the connection was closed without an answer");
}

TEST_F(ProberTest, EndsByItselfWhenNobodyAbandonsIt) {
    serve({.bytes = "", .after = 1h});
    Instant before = world.now();
    auto result = probe(http_ready(), 500ms);
    EXPECT_EQ(result.answer, Answer::unwell);
    EXPECT_LE(world.now() - before, 1600ms);
}

TEST_F(ProberTest, RunsACommandAsTheServiceWouldRun) {
    auto result = probe(exec("well"));
    EXPECT_EQ(result.answer, Answer::well) << result.reason;
    EXPECT_EQ(launched.command, (std::vector<std::string>{"/bin/sh", "-c", "well"}));
    EXPECT_EQ(launched.user, "shop");
    EXPECT_EQ(launched.directory, "/opt");
    EXPECT_EQ(launched.env, (std::vector<std::pair<std::string, std::string>>{{"A", "b"}}));
    EXPECT_TRUE(launched.slot.starts_with("shop/0?ready.")) << launched.slot;
    EXPECT_EQ(launched.lifetime, runtime::Lifetime::ephemeral);
    EXPECT_GE(result.took, 5ms);
}

TEST_F(ProberTest, QuotesTheLastLineOfACommandThatFails) {
    auto result = probe(exec("says why"));
    EXPECT_EQ(result.answer, Answer::unwell);
    EXPECT_EQ(result.reason, "exec:says why exited with code 3: disk ? is full");
}

TEST_F(ProberTest, KillsACommandThatIsAbandoned) {
    {
        runtime::TaskGroup group;
        group.spawn([](MachineProber& p) -> Task<void> {
            ProbeTarget target{.slot = "shop/0", .env = {}, .user = {}, .directory = {}};
            (void)co_await p.probe(exec("hangs"), target, 10s);
        }(prober));
        world.run_for(100ms);
        EXPECT_EQ(live(), 1u);
    }
    world.run_for(100ms);
    EXPECT_EQ(live(), 0u);
}

TEST_F(ProberTest, AbandonsEvenALaunchThatHasNotAnswered) {
    for (Duration when = 0ns; when < 3ms; when += 50us) {
        {
            runtime::TaskGroup group;
            group.spawn([](MachineProber& p) -> Task<void> {
                ProbeTarget target{.slot = "shop/0", .env = {}, .user = {}, .directory = {}};
                (void)co_await p.probe(exec("hangs"), target, 10s);
            }(prober));
            world.run_for(when);
        }
        world.run_for(100ms);
        ASSERT_EQ(live(), 0u) << when.count();
    }
}

TEST_F(ProberTest, DoesNotHoldAnAbsentKeeperAgainstTheInstance) {
    std::optional<ProbeResult> result;
    tasks.spawn([](MachineProber& p, std::optional<ProbeResult>& into) -> Task<void> {
        ProbeTarget target{.slot = "shop/0", .env = {}, .user = {}, .directory = {}};
        into = co_await p.probe(exec("hangs"), target, 10s);
    }(prober, result));
    world.run_for(10ms);
    a.kill_keeper(1s);
    world.run_for(12s);
    ASSERT_TRUE(result);
    EXPECT_NE(result->answer, Answer::well);
}

// The whole path: a core driven by a prober that asks over the network.
TEST_F(ProberTest, FollowsAServiceUpAndDown) {
    Probing core({.name = "http:/ready", .every = 1s, .timeout = 500ms}, a.clock().now(),
                 runtime::Random(1));
    std::vector<VerdictChange> changes;
    ProbeTarget target{.port = port, .slot = {}, .env = {}, .user = {}, .directory = {}};
    tasks.spawn(keep_probing(a.clock(), prober, core, http_ready(), target, 500ms,
                             [&](const VerdictChange& change) { changes.push_back(change); }));
    world.run_for(300ms);
    serve(http::answer_with(200));
    world.run_for(50ms);
    ASSERT_FALSE(changes.empty());
    EXPECT_EQ(changes.back().to, Verdict::passing) << "within 50 ms of being ready";
    world.run_for(10s);
    EXPECT_EQ(changes.back().to, Verdict::passing);
    server.reset();
    serve({.bytes = "", .after = 1h});
    world.run_for(4s);
    EXPECT_EQ(changes.back().to, Verdict::failing);
    EXPECT_EQ(changes.back().reason, "http:/ready gave no answer in 500ms, 2nd of 2");
    server.reset();
    serve(http::answer_with(200));
    world.run_for(3s);
    EXPECT_EQ(changes.back().to, Verdict::passing);
}

TEST_F(ProberTest, KeepsItsVerdictWhileTheNodeStandsStill) {
    serve({.bytes = http::answer_with(200).bytes, .after = 100ms});
    Probing core({.name = "http:/ready", .every = 200ms, .timeout = 150ms, .fall = 1},
                 a.clock().now(), runtime::Random(1));
    std::vector<VerdictChange> changes;
    ProbeTarget target{.port = port, .slot = {}, .env = {}, .user = {}, .directory = {}};
    tasks.spawn(keep_probing(a.clock(), prober, core, http_ready(), target, 150ms,
                             [&](const VerdictChange& change) { changes.push_back(change); }));
    world.run_for(2s);
    for (int i = 0; i < 20; ++i) {
        a.pause_node(world.random().between(300ms, 5s));
        world.run_for(6s);
    }
    ASSERT_EQ(changes.size(), 1u) << changes.back().reason;
    EXPECT_EQ(changes[0].to, Verdict::passing);
}

}  // namespace
}  // namespace holdfast::health
