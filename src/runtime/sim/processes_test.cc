#include "runtime/sim/processes.h"

#include <gtest/gtest.h>

#include <csignal>

#include "runtime/processes_conformance.h"
#include "runtime/sim/world.h"

namespace holdfast::runtime {
namespace {

using namespace std::chrono_literals;

class SimulatedHarness final : public ProcessesHarness {
  public:
    SimulatedHarness() {
        auto& here = processes_();
        here.install("lasts", Behaviour{});
        here.install("exits_7", Behaviour{.exits_after = 0ms, .exit_code = 7});
        here.install("exits_7_later", Behaviour{.exits_after = 300ms, .exit_code = 7});
        here.install("ignores_sigterm", Behaviour{.ignores_sigterm = true});
        here.install("segfaults", Behaviour{.exits_after = 0ms, .exit_signal = SIGSEGV});
        here.install("says_ready", Behaviour{.ready_after = 5ms, .says = {{1ms, "STATUS=fine"}}});
        here.install("prints", Behaviour{.exits_after = 2ms,
                                         .prints = {{1ms, "hel"},
                                                    {1ms, "oops\n", OutputStream::err},
                                                    {1500us, "lo\n"}}});
    }
    Processes& processes() override { return processes_(); }
    Clock& clock() override { return world_.machine("a").clock(); }
    std::vector<std::string> command(Program program) override {
        switch (program) {
            case Program::lasts:
                return {"lasts"};
            case Program::exits_7:
                return {"exits_7"};
            case Program::exits_7_later:
                return {"exits_7_later"};
            case Program::ignores_sigterm:
                return {"ignores_sigterm"};
            case Program::segfaults:
                return {"segfaults"};
            case Program::says_ready:
                return {"says_ready"};
            case Program::prints:
                return {"prints"};
        }
        return {};
    }
    bool finishes(Task<void> task) override {
        return world_.complete(std::move(task), 60s).has_value();
    }
    void strike(const RunReport& report, int signal) override {
        processes_().strike(report.run, signal);
    }
    void restart_node(Duration down) override {
        world_.machine("a").kill_node();
        world_.run_for(down);
    }

  private:
    SimProcesses& processes_() { return world_.machine("a").processes(); }
    World world_{1};
};

std::unique_ptr<ProcessesHarness> make_simulated() {
    return std::make_unique<SimulatedHarness>();
}

INSTANTIATE_TEST_SUITE_P(Simulated, ProcessesConformance, testing::Values(&make_simulated));

class SimProcessesTest : public testing::Test {
  protected:
    World world{7};
    Machine& machine = world.machine("a");
    SimProcesses& processes = machine.processes();

    LaunchSpec spec(RunId id, const std::string& program) {
        LaunchSpec launch;
        launch.run = id;
        launch.slot = "shop/0";
        launch.command = {program};
        return launch;
    }
    RunReport launch(LaunchSpec launch_spec) {
        auto outcome = world.complete(processes.launch(std::move(launch_spec)));
        EXPECT_TRUE(outcome && *outcome);
        return **outcome;
    }
    std::vector<RunReport> list() { return **world.complete(processes.list()); }
    // The answer to an HTTP request at a port of the machine; empty if there is none in 2 s.
    std::string get(std::uint16_t port) {
        auto ask = [](Network& network, std::uint16_t at) -> Task<std::string> {
            auto stream = co_await network.connect({"127.0.0.1", at});
            if (!stream) co_return "refused";
            co_await (*stream)->write_all("GET / HTTP/1.1\r\n\r\n");
            char buffer[256];
            auto got = co_await (*stream)->read_some(buffer);
            co_return got ? std::string(buffer, *got) : "broken";
        };
        return world.complete(ask(machine.network(), port), 2s).value_or("");
    }
};

TEST_F(SimProcessesTest, AnEndWhileTheKeeperWasAwayIsSeenByNobody) {
    processes.install("job", Behaviour{.exits_after = 1s, .exit_code = 3});
    launch(spec(1, "job"));
    processes.kill_keeper(5s);
    auto asked = world.now();
    auto reports = list();
    EXPECT_GE(world.now() - asked, 4s) << "calls wait for the next keeper";
    ASSERT_EQ(reports.size(), 1u);
    ASSERT_TRUE(reports[0].exit);
    EXPECT_EQ(reports[0].exit->by, EndedBy::unknown);
    EXPECT_FALSE(reports[0].exit->code);
}

TEST_F(SimProcessesTest, TheNextKeeperAdoptsWhatRunsAndKeepsItsDeadlines) {
    processes.install("stubborn", Behaviour{.ignores_sigterm = true});
    auto limited = spec(1, "stubborn");
    limited.run_for = 1s;
    limited.stop_grace = 1s;
    auto report = launch(limited);
    processes.kill_keeper(3s);
    world.run_for(3500ms);
    EXPECT_EQ(processes.live("shop/0"), 1u);
    auto adopted = list();
    ASSERT_EQ(adopted.size(), 1u);
    EXPECT_EQ(adopted[0].pid, report.pid);
    EXPECT_TRUE(adopted[0].stopping);
    world.run_for(1s);
    EXPECT_EQ(processes.live("shop/0"), 0u);
    EXPECT_EQ(list()[0].exit->by, EndedBy::holdfast);
}

TEST_F(SimProcessesTest, AProbeEndsWithTheKeeperAndIsNotRemembered) {
    processes.install("probe", Behaviour{});
    auto probe = spec(1, "probe");
    probe.lifetime = Lifetime::ephemeral;
    launch(probe);
    processes.kill_keeper(1s);
    EXPECT_EQ(processes.live("shop/0"), 0u);
    EXPECT_TRUE(list().empty());
}

TEST_F(SimProcessesTest, ALaunchAbandonedOnItsWayBackHasHappened) {
    processes.install("shop", Behaviour{});
    bool launched = false;
    {
        TaskGroup group;
        group.spawn([](SimProcesses& p, LaunchSpec launch_spec, bool& heard) -> Task<void> {
            co_await p.launch(std::move(launch_spec));
            heard = true;
        }(processes, spec(1, "shop"), launched));
        world.run_while([&] { return processes.live("shop/0") == 0; }, 1s);
    }
    EXPECT_FALSE(launched);
    EXPECT_EQ(list().size(), 1u);
}

TEST_F(SimProcessesTest, APowerCutEndsEverythingAndAtMostLeavesEndsNobodySaw) {
    int remembered = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        World other(seed);
        auto& there = other.machine("a");
        there.processes().install("shop", Behaviour{});
        LaunchSpec launch_spec = spec(1, "shop");
        ASSERT_TRUE(other.complete(there.processes().launch(launch_spec)).has_value());
        there.restart(5s);
        EXPECT_EQ(there.processes().live("shop/0"), 0u);
        other.run_for(6s);
        auto reports = other.complete(there.processes().list());
        ASSERT_TRUE(reports && *reports);
        for (auto& report : **reports) {
            ++remembered;
            ASSERT_TRUE(report.exit);
            EXPECT_EQ(report.exit->by, EndedBy::unknown);
        }
    }
    EXPECT_GT(remembered, 0);
    EXPECT_LT(remembered, 20);
}

TEST_F(SimProcessesTest, AServiceAnswersOnceItIsReadyAndHangsWhenItsScriptSaysSo) {
    processes.install("web",
                      Behaviour{.ready_after = 1s, .beats_until = 10s, .serves_status = 204});
    auto web = spec(1, "web");
    web.env = {{"PORT", "8080"}};
    launch(web);
    EXPECT_EQ(get(8080), "refused");
    world.run_for(1s);
    EXPECT_TRUE(get(8080).starts_with("HTTP/1.1 204 "));
    world.run_for(10s);
    EXPECT_EQ(get(8080), "");
    EXPECT_TRUE(world.complete(processes.stop(1, 1s, SIGTERM)).has_value());
    world.run_for(500ms);
    EXPECT_EQ(processes.live("shop/0"), 1u) << "one that hangs does not heed SIGTERM";
    world.run_for(600ms);
    EXPECT_EQ(get(8080), "refused");
}

TEST_F(SimProcessesTest, AHotRestartServesEveryConnectionOfASharedSocket) {
    processes.install("web", Behaviour{.ready_after = 100ms, .serves_status = 200});
    auto port = world.complete(
        processes.open_socket({.name = "shop/http", .address = "127.0.0.1", .port = 0}));
    ASSERT_TRUE(port && *port);
    auto first = spec(1, "web");
    first.sockets = {"shop/http"};
    launch(first);
    auto second = spec(2, "web");
    second.sockets = {"shop/http"};
    second.beside = 1;
    int served = 0;
    for (int i = 0; i < 100; ++i) {
        if (i == 20) launch(second);
        if (i == 60) EXPECT_TRUE(world.complete(processes.stop(1, 1s, SIGTERM)).has_value());
        if (get(**port).starts_with("HTTP/1.1 200 ")) ++served;
        world.run_for(10ms);
    }
    EXPECT_EQ(served, 100);
    EXPECT_EQ(processes.newest("shop/0"), 2u);
}

TEST_F(SimProcessesTest, OneThatCrashesAtRandomDoesSoAtDifferentTimes) {
    processes.install("frail", Behaviour{.crashes_every = 10s});
    Duration total{};
    for (RunId id = 1; id <= 200; ++id) {
        auto start = world.now();
        launch(spec(id, "frail"));
        ASSERT_TRUE(world.run_while([&] { return processes.live("shop/0") > 0; }, 1h));
        total += world.now() - start;
    }
    EXPECT_GT(total / 200, 7s);
    EXPECT_LT(total / 200, 13s);
}

TEST_F(SimProcessesTest, AWatchdogBeatStopsWhenTheProcessHangs) {
    processes.install("beats", Behaviour{.beats_every = 100ms, .beats_until = 1050ms});
    launch(spec(1, "beats"));
    world.run_for(5s);
    auto report = list().at(0);
    ASSERT_TRUE(report.notified.watchdog);
    EXPECT_NEAR(static_cast<double>((machine.clock().now() - *report.notified.watchdog) / 1ms),
                4000, 10);
    processes.strike(1, SIGCONT);
    processes.strike(1, SIGTERM);
    world.run_for(1s);
    EXPECT_EQ(processes.live("shop/0"), 0u);
}

}  // namespace
}  // namespace holdfast::runtime
