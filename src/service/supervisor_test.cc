// The supervisor as the product runs it, on a simulated machine: real catalog, coordinator, prober,
// journal and output log over simulated processes, disk and store.
#include "service/supervisor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "coord/embedded.h"
#include "health/journal.h"
#include "health/prober.h"
#include "health/process_share.h"
#include "runtime/sim/world.h"
#include "service/catalog.h"
#include "service/output_log.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;
using runtime::Behaviour;
using runtime::Machine;
using runtime::Task;
using runtime::World;

// Programs on the disk: the hash of each, or none.
class FakeArtifacts final : public Artifacts {
  public:
    Task<Result<std::string>> executable_sha256(Spec spec) override {
        co_return "hash of " + spec.command.front();
    }
};

class TestNode final : public runtime::Node {
  public:
    explicit TestNode(Machine& machine)
        : coordinator(coord::EmbeddedCoordinator::open(machine.store(), machine.clock()).value()),
          catalog(*coordinator, machine.clock(), artifacts),
          journal(health::Journal::open(machine.store(), machine.clock()).value()),
          output(machine.disk(), machine.clock(), {}),
          share(machine.processes()),
          prober({machine.clock(), machine.network(), share.of(health::Part::probes),
                  machine.random().fork()}),
          supervisor({machine.clock(), share.of(health::Part::services), *coordinator, catalog,
                      prober, *journal, output, metrics, machine.random().fork()},
                     {}) {
        tasks.spawn(journal->run());
        tasks.spawn(output.run());
        tasks.spawn(share.run());
        tasks.spawn(prober.run());
        tasks.spawn(supervise());
    }

    Task<void> supervise() {
        auto ended = co_await supervisor.run();
        if (!ended) failure = ended.error().message;
    }

    FakeArtifacts artifacts;
    std::unique_ptr<coord::EmbeddedCoordinator> coordinator;
    Catalog catalog;
    std::unique_ptr<health::Journal> journal;
    OutputLog output;
    health::ProcessShare share;
    health::MachineProber prober;
    MetricRegistry metrics;
    Supervisor supervisor;
    std::string failure;
    runtime::TaskGroup tasks;
};

class SupervisorTest : public testing::Test {
  protected:
    void begin(std::uint64_t seed) {
        set_log_level(LogLevel::error);
        world = std::make_unique<World>(seed);
        machine = &world->machine("a");
        Behaviour good;
        good.ready_after = 200ms;
        machine->processes().install("good", good);
        machine->processes().install("better", good);
        Behaviour web;
        web.ready_after = 300ms;
        web.serves_status = 200;
        machine->processes().install("web", web);
        Behaviour broken;
        broken.exits_after = 50ms;
        broken.exit_code = 3;
        machine->processes().install("broken", broken);
        machine->run([](Machine& m) { return std::make_unique<TestNode>(m); });
        watch_slots();
    }

    // Nothing ever runs twice, but for the pair of a hot restart.
    void watch_slots() {
        for (const char* name : {"shop", "db", "cache"}) {
            for (int index = 0; index < 3; ++index) {
                auto slot = fmt::format("{}/{}", name, index);
                auto limit = std::string(name) == "shop" ? 2u : 1u;
                ASSERT_LE(machine->processes().live(slot), limit) << slot << " runs twice";
            }
        }
        world->after(7ms, [this] { watch_slots(); });
    }

    TestNode& node() { return dynamic_cast<TestNode&>(*machine->node()); }

    VersionNumber apply(std::string text) {
        ApplyRequest request;
        request.text = std::move(text);
        request.file = "test.toml";
        request.author = "test";
        auto plan = world->complete(node().catalog.apply(std::move(request)));
        EXPECT_TRUE(plan && *plan) << (plan ? plan->error().message : "no answer");
        return plan && *plan ? (*plan)->version : 0;
    }

    std::string state(const std::string& name) {
        auto* running = dynamic_cast<TestNode*>(machine->node());
        auto view = running ? running->supervisor.service(name) : std::nullopt;
        return view ? std::string(state_name(view->state)) : "absent";
    }
    testing::AssertionResult becomes(const std::string& name, const std::string& wanted,
                                     Duration limit = 60s) {
        if (world->run_while([&] { return state(name) != wanted; }, limit)) {
            return testing::AssertionSuccess();
        }
        auto view = node().supervisor.service(name);
        return testing::AssertionFailure()
               << name << " is " << state(name) << ": " << (view ? view->reason : node().failure);
    }
    ServiceView view(const std::string& name) { return *node().supervisor.service(name); }
    std::size_t starts(const std::string& slot) { return machine->processes().starts(slot); }

    std::unique_ptr<World> world;
    Machine* machine = nullptr;
};

constexpr const char* db = R"(
name = "db"
command = ["good"]
)";
constexpr const char* shop = R"(
name = "shop"
command = ["web", "--port", "${PORT}"]
instances = 2
after = ["db"]
listen = { http = 8080, sockets = "inherit" }
)";

TEST_F(SupervisorTest, BringsUpWhatIsAppliedInTheOrderOfAfter) {
    begin(1);
    apply(shop);
    world->run_for(2s);
    EXPECT_EQ(state("shop"), "waiting");
    EXPECT_EQ(starts("shop/0"), 0u);
    apply(db);
    ASSERT_TRUE(becomes("shop", "ready"));
    EXPECT_EQ(starts("db/0"), 1u);
    EXPECT_EQ(starts("shop/1"), 1u);
    EXPECT_EQ(view("shop").instances[1].pid, view("shop").instances[1].pid);
    EXPECT_GT(view("shop").instances[0].pid, 0);
}

TEST_F(SupervisorTest, TakesOverWhatRunsWhenTheNodeComesBack) {
    begin(2);
    apply(db);
    apply(shop);
    ASSERT_TRUE(becomes("shop", "ready"));
    auto pid = view("shop").instances[0].pid;
    machine->kill_node();
    world->run_for(5s);
    machine->start_node();
    ASSERT_TRUE(becomes("shop", "ready"));
    world->run_for(60s);
    EXPECT_EQ(view("shop").instances[0].pid, pid);
    EXPECT_EQ(view("shop").restarts, 0u);
    EXPECT_EQ(starts("shop/0"), 1u);
    EXPECT_EQ(starts("db/0"), 1u);
}

TEST_F(SupervisorTest, AccountsForAnExitThatHappenedWhileTheNodeWasAway) {
    begin(3);
    Behaviour fleeting;
    fleeting.ready_after = 10ms;
    fleeting.exits_after = 10s;
    fleeting.exit_code = 42;
    machine->processes().install("good", fleeting);
    apply(db);
    ASSERT_TRUE(becomes("db", "ready"));
    machine->kill_node();
    world->run_for(20s);
    EXPECT_EQ(machine->processes().live("db/0"), 0u);
    machine->start_node();
    ASSERT_TRUE(becomes("db", "ready"));
    EXPECT_EQ(starts("db/0"), 2u);
    ASSERT_TRUE(view("db").instances[0].last_exit);
    EXPECT_EQ(view("db").instances[0].last_exit->code, 42);
    bool told = false;
    for (const auto& record : node().journal->query({"service/db", 1000, {}})) {
        told = told || record.reason.find("while the node was away") != std::string::npos;
    }
    EXPECT_TRUE(told);
}

TEST_F(SupervisorTest, StartsEverythingAgainAfterAPowerCut) {
    begin(4);
    apply(db);
    apply(shop);
    ASSERT_TRUE(becomes("shop", "ready"));
    auto before = view("shop").instances[1].run;
    machine->restart(3s);
    world->run_for(4s);
    ASSERT_TRUE(becomes("shop", "ready"));
    EXPECT_GT(view("shop").instances[0].run, before) << "a run's number was used twice";
    EXPECT_EQ(machine->processes().live("shop/0"), 1u);
}

TEST_F(SupervisorTest, RollsBackAVersionThatWillNotStart) {
    begin(5);
    apply(db);
    ASSERT_TRUE(becomes("db", "ready"));
    world->run_for(40s);
    ASSERT_FALSE(view("db").rollout);
    auto version = apply("name = \"db\"\ncommand = [\"broken\"]\n");
    auto result = world->complete(node().supervisor.wait_rollout("db", version));
    ASSERT_TRUE(result);
    EXPECT_EQ(result->outcome, RolloutOutcome::rolled_back) << result->reason;
    EXPECT_NE(result->reason.find("exited with code 3"), std::string::npos) << result->reason;
    EXPECT_EQ(state("db"), "ready");
    EXPECT_EQ(view("db").version, version + 1);
    auto outcome = world->complete(node().catalog.outcome("db", version));
    ASSERT_TRUE(outcome && *outcome && **outcome);
    EXPECT_EQ((**outcome)->state, OutcomeState::rolled_back);
}

TEST_F(SupervisorTest, ReplacesHotWithoutEverBeingUnready) {
    begin(6);
    apply(db);
    apply(shop);
    ASSERT_TRUE(becomes("shop", "ready"));
    world->run_for(60s);
    auto text = std::string(shop);
    auto version = apply(text.replace(text.find("web"), 3, "web") + "\n[env]\nNEW = \"1\"\n");
    auto feed = node().supervisor.follow_rollout("shop", version);
    bool always = true;
    ASSERT_TRUE(world->run_while(
        [&] {
            auto now = view("shop");
            always = always && now.ready == 2;
            return !feed->result();
        },
        120s));
    EXPECT_EQ(feed->result()->outcome, RolloutOutcome::live) << feed->result()->reason;
    EXPECT_TRUE(always);
    EXPECT_EQ(starts("shop/0"), 2u);
    EXPECT_EQ(starts("shop/1"), 2u);
}

TEST_F(SupervisorTest, LeavesTheOldRunWhereTheNewOneFailsBesideIt) {
    begin(7);
    apply(db);
    apply(shop);
    ASSERT_TRUE(becomes("shop", "ready"));
    world->run_for(60s);
    auto pid = view("shop").instances[0].pid;
    auto text = std::string(shop);
    auto version = apply(text.replace(text.find("web"), 3, "broken"));
    auto result = world->complete(node().supervisor.wait_rollout("shop", version));
    ASSERT_TRUE(result);
    EXPECT_EQ(result->outcome, RolloutOutcome::rolled_back) << result->reason;
    world->run_for(60s);
    EXPECT_EQ(view("shop").instances[0].pid, pid);
    EXPECT_EQ(starts("shop/0"), 2u);
    EXPECT_EQ(starts("shop/1"), 1u);
}

TEST_F(SupervisorTest, StaysStoppedThroughARestartOfTheNode) {
    begin(8);
    apply(db);
    ASSERT_TRUE(becomes("db", "ready"));
    ASSERT_TRUE(*world->complete(node().catalog.set_running("db", Running::stopped)));
    ASSERT_TRUE(becomes("db", "stopped"));
    machine->restart_node(1s);
    world->run_for(30s);
    EXPECT_EQ(state("db"), "stopped");
    EXPECT_EQ(machine->processes().live("db/0"), 0u);
    ASSERT_TRUE(*world->complete(node().catalog.set_running("db", Running::running)));
    ASSERT_TRUE(becomes("db", "ready"));
}

TEST_F(SupervisorTest, StopsWhatComesAfterFirst) {
    begin(9);
    Behaviour slow;
    slow.ready_after = 10ms;
    slow.stops_within = 500ms;
    machine->processes().install("web", slow);
    apply(db);
    apply(shop);
    ASSERT_TRUE(becomes("shop", "ready"));
    bool in_order = true;
    auto watch = [&] {
        in_order = in_order && (machine->processes().live("db/0") == 1 ||
                                machine->processes().live("shop/0") == 0);
        return true;
    };
    runtime::TaskGroup group;
    bool done = false;
    group.spawn([](Supervisor& supervisor, bool& over) -> Task<void> {
        co_await supervisor.shut_down();
        over = true;
    }(node().supervisor, done));
    ASSERT_TRUE(world->run_while([&] { return watch() && !done; }, 60s));
    EXPECT_TRUE(in_order);
    EXPECT_EQ(machine->processes().live("db/0"), 0u);
}

TEST_F(SupervisorTest, KeepsWhatServicesPrint) {
    begin(10);
    Behaviour chatty;
    chatty.ready_after = 10ms;
    chatty.prints = {{20ms, "hello wor"}, {30ms, "ld\nsecond\nunfinished"}};
    machine->processes().install("good", chatty);
    apply(db);
    ASSERT_TRUE(becomes("db", "ready"));
    world->run_for(2s);
    auto lines = world->complete(node().output.read("db", {}));
    ASSERT_TRUE(lines && *lines);
    std::vector<std::string> texts;
    for (const auto& line : **lines) {
        if (line.stream == "out") texts.push_back(line.text);
    }
    EXPECT_EQ(texts, (std::vector<std::string>{"hello world", "second", "unfinished"}));
}

class SupervisorDeaths : public SupervisorTest,
                         public testing::WithParamInterface<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, SupervisorDeaths, testing::Range<std::uint64_t>(1, 5));

TEST_P(SupervisorDeaths, KeepsServicesThroughDeathsOfNodeKeeperAndMachine) {
    for (std::uint64_t seed = GetParam() * 100; seed < GetParam() * 100 + 40; ++seed) {
        SCOPED_TRACE(fmt::format("seed {}", seed));
        begin(seed);
        apply(db);
        apply(shop);
        apply("name = \"cache\"\ncommand = [\"good\"]\ninstances = 3\n");
        auto& random = world->random();
        for (int i = 0; i < 12; ++i) {
            world->run_for(random.between(0s, 8s));
            switch (random.below(5)) {
                case 0:
                    machine->kill_node();
                    break;
                case 1:
                    machine->kill_keeper(random.between(10ms, 3s));
                    break;
                case 2:
                    machine->restart(random.between(10ms, 3s));
                    world->run_for(4s);
                    break;
                default:
                    if (auto* running = dynamic_cast<TestNode*>(machine->node())) {
                        for (const auto& each : running->supervisor.services()) {
                            const auto& victim =
                                each.instances[random.below(each.instances.size())];
                            if (victim.run) machine->processes().strike(victim.run, SIGKILL);
                        }
                    }
                    break;
            }
            if (random.chance(0.5)) machine->start_node();
        }
        machine->start_node();
        world->run_for(10s);
        for (const char* name : {"db", "shop", "cache"}) {
            ASSERT_TRUE(becomes(name, "ready", 120s)) << fmt::format("seed {}", seed);
        }
        EXPECT_EQ(machine->processes().live("cache/2"), 1u);
        ASSERT_FALSE(HasFatalFailure());
    }
}

}  // namespace
}  // namespace holdfast::service
