#include "service/job_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/units.h"
#include "coord/simulated.h"
#include "health/journal.h"
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

class NoArtifacts final : public Artifacts {
  public:
    Task<Result<std::string>> executable_sha256(Spec) override { co_return std::string("aaaa"); }
};

// A node with jobs and nothing else. Its coordinator stands for the cluster's.
struct JobNode final : runtime::Node {
    JobNode(Machine& machine, coord::Ensemble& ensemble, coord::Liberties liberties,
            std::function<bool(std::string_view)> is_ready)
        : coordinator(ensemble, machine.clock(), machine.random().fork(), 1s, liberties),
          journal(*health::Journal::open(machine.store(), machine.clock())),
          output(machine.disk(), machine.clock(), {}),
          share(machine.processes()),
          runner({.clock = machine.clock(),
                  .processes = share.of(health::Part::jobs),
                  .coordinator = coordinator,
                  .journal = *journal,
                  .output = output,
                  .random = machine.random().fork(),
                  .is_ready = std::move(is_ready)},
                 {}) {
        tasks.spawn(journal->run());
        tasks.spawn(output.run());
        tasks.spawn(share.run());
        tasks.spawn(runner.run());
    }
    coord::SimulatedCoordinator coordinator;
    std::unique_ptr<health::Journal> journal;
    OutputLog output;
    health::ProcessShare share;
    JobRunner runner;
    runtime::TaskGroup tasks;
};

class JobRunnerTest : public testing::Test {
  protected:
    explicit JobRunnerTest(std::uint64_t seed = 1) : world(seed) {
        a.processes().install("works", [this](const runtime::LaunchSpec& spec) {
            launched = spec;
            return Behaviour{
                .exits_after = takes, .exit_code = exit_code, .prints = {{1ms, "did it\n"}}};
        });
        a.processes().install("/bin/sh", [this](const runtime::LaunchSpec&) {
            return Behaviour{.exits_after = 5ms, .exit_code = verify_code};
        });
        a.run([this](Machine& machine) {
            return std::make_unique<JobNode>(machine, ensemble, liberties,
                                             [this](std::string_view) { return ready; });
        });
    }
    ~JobRunnerTest() override { a.kill_node(); }  // Before the ensemble it talks to.

    JobRunner& runner() { return node().runner; }
    JobNode& node() { return *static_cast<JobNode*>(a.node()); }

    template <class T>
    T finish(Task<T> task) {
        auto value = world.complete(std::move(task), 1h);
        EXPECT_TRUE(value);
        return *std::move(value);
    }
    void apply(const std::string& job, const std::string& name = "backup", std::string more = {}) {
        auto plan =
            finish(catalog.apply({.text = "name = \"" + name + "\"\ncommand = [\"works\"]\n" +
                                          more + "[job]\n" + job + "\n",
                                  .file = "f",
                                  .author = "ann"}));
        ASSERT_TRUE(plan) << plan.error().message;
        world.run_for(100ms);
    }
    JobView view(std::string_view name = "backup") {
        return runner().job(name).value_or(JobView{});
    }
    std::vector<std::string> states(std::string_view name = "backup") {
        std::vector<std::string> names;
        auto runs = runner().runs(name);
        if (!runs) return {"none"};
        for (auto run = runs->rbegin(); run != runs->rend(); ++run) {
            names.emplace_back(state_name(run->state));
        }
        return names;
    }
    std::size_t starts(const std::string& slot = "backup/job") {
        return a.processes().starts(slot);
    }

    World world;
    Machine& a = world.machine("a");
    Machine& cluster = world.machine("coordinator");
    coord::Ensemble ensemble{cluster.clock(), runtime::Random(5)};
    coord::SimulatedCoordinator owner{ensemble, cluster.clock(), runtime::Random(6), 5s};
    NoArtifacts artifacts;
    Catalog catalog{owner, cluster.clock(), artifacts};
    coord::Liberties liberties;
    Duration takes = 100ms;
    int exit_code = 0;
    int verify_code = 0;
    bool ready = true;
    runtime::LaunchSpec launched;
};

using States = std::vector<std::string>;

TEST_F(JobRunnerTest, RunsAJobAndKeepsItsHistoryAndOutput) {
    apply("every = \"1h\"");
    world.run_for(1s);
    EXPECT_EQ(states(), States{"succeeded"});
    auto run = runner().runs("backup")->at(0);
    EXPECT_EQ(run.output, "did it\n");
    EXPECT_EQ(run.reason, "exited with code 0");
    world.run_for(2h);
    EXPECT_EQ(states().size(), 3u);
    auto lines = finish(node().output.read("backup", {}));
    ASSERT_TRUE(lines);
    EXPECT_EQ(std::ranges::count(*lines, "did it", &OutputLine::text), 3);
    EXPECT_EQ(view().reason, "run 3 succeeded: exited with code 0");
    ASSERT_TRUE(view().next);
}

TEST_F(JobRunnerTest, TellsTheProgramWhichRunItIs) {
    apply("every = \"1h\"\ntimeout = \"7m\"", "backup", "env = { A = \"b\" }\n");
    world.run_for(1s);
    std::map<std::string, std::string> env(launched.env.begin(), launched.env.end());
    EXPECT_EQ(env["HOLDFAST_RUN"], "1");
    EXPECT_EQ(env["HOLDFAST_TRY"], "1");
    EXPECT_EQ(env["HOLDFAST_SERVICE"], "backup");
    EXPECT_EQ(env["A"], "b");
    EXPECT_EQ(launched.run_for, 7min);
    EXPECT_EQ(launched.lifetime, runtime::Lifetime::lasting);
}

TEST_F(JobRunnerTest, CountsOnlyAVerifiedRunAndTriesAgain) {
    verify_code = 1;
    apply("every = \"1h\"\ntries = 2\nbackoff = \"1s..1s\"\nverify = \"exec:test -s out\"");
    world.run_for(3s);
    EXPECT_EQ(states(), States{"failed"});
    EXPECT_EQ(view().last_ended->reason, "its verification exited with code 1, 2nd try of 2");
    verify_code = 0;
    world.run_for(1h);
    EXPECT_EQ(states(), (States{"failed", "succeeded"}));
}

TEST_F(JobRunnerTest, EndsATryThatTakesTooLongEvenWithoutANode) {
    takes = 10h;
    apply("every = \"1h\"\ntimeout = \"10m\"");
    a.kill_node();
    world.run_for(30min);
    EXPECT_EQ(a.processes().live("backup/job"), 0u);
    a.start_node();
    world.run_for(1s);
    EXPECT_EQ(states(), States{"failed"});
    EXPECT_EQ(view().last_ended->reason, "took longer than 10m");
}

TEST_F(JobRunnerTest, LetsATryOutliveTheNodeAndStartsNothingTwice) {
    takes = 10min;
    apply("every = \"1h\"");
    for (int i = 0; i < 5; ++i) {
        a.restart_node(1s);
        world.run_for(5s);
        EXPECT_EQ(states(), States{"running"});
    }
    world.run_for(10min);
    EXPECT_EQ(states(), States{"succeeded"});
    EXPECT_EQ(starts(), 1u);
}

TEST_F(JobRunnerTest, ReportsWhatWasMissedWhileNothingRan) {
    apply("every = \"1h\"");
    world.run_for(30min);
    a.kill_node();
    world.run_for(3h);
    a.start_node();
    world.run_for(1s);
    EXPECT_EQ(states(), (States{"succeeded", "missed"}));
    EXPECT_EQ(runner().runs("backup")->at(0).times, 3u);
    auto account = node().journal->explain("service/backup");
    EXPECT_TRUE(std::ranges::any_of(account.timeline, [](const auto& entry) {
        return entry.record.reason.contains("Holdfast was not running when it was due");
    }));
    EXPECT_EQ(starts(), 1u);
}

TEST_F(JobRunnerTest, RecordsAFailureAndARecoveryAsAnIncident) {
    exit_code = 3;
    std::vector<RunState> observed;
    runner().observe([&](const JobView&, const JobRun& run) { observed.push_back(run.state); });
    apply("every = \"1h\"");
    exit_code = 0;
    world.run_for(2h);
    EXPECT_EQ(observed, (std::vector{RunState::failed, RunState::succeeded, RunState::succeeded}));
    auto account = node().journal->explain("service/backup");
    EXPECT_EQ(account.state, "ready");
    ASSERT_EQ(account.incidents.size(), 1u);
    EXPECT_EQ(account.incidents[0].cause, "exited with code 3");
    EXPECT_NEAR(std::chrono::duration<double>(account.incidents[0].lasted).count(), 3600, 10);
}

TEST_F(JobRunnerTest, StopsAndStartsAsItsOwnerWishes) {
    takes = 10min;
    apply("every = \"1h\"");
    ASSERT_TRUE(finish(catalog.set_running("backup", Running::stopped)));
    world.run_for(1s);
    EXPECT_EQ(states(), States{"failed"});
    EXPECT_EQ(a.processes().live("backup/job"), 0u);
    a.restart_node(5h);
    world.run_for(6h);
    EXPECT_EQ(states(), States{"failed"});
    ASSERT_TRUE(finish(catalog.set_running("backup", Running::running)));
    world.run_for(1s);
    EXPECT_EQ(states(), (States{"failed", "running"}));
}

TEST_F(JobRunnerTest, RunsNowWhenAsked) {
    apply("at = \"03:30\"");
    EXPECT_EQ(states(), States{});
    ASSERT_TRUE(runner().run_now("backup"));
    world.run_for(1s);
    EXPECT_EQ(states(), States{"succeeded"});
    ASSERT_TRUE(finish(catalog.request_restart("backup", RestartMode::automatic)));
    world.run_for(1s);
    EXPECT_EQ(states(), (States{"succeeded", "succeeded"}));
    EXPECT_EQ(runner().run_now("nothing").error().code, Errc::not_found);
}

TEST_F(JobRunnerTest, WaitsForTheServicesItComesAfter) {
    ready = false;
    apply("every = \"1h\"", "backup", "after = [\"db\"]\n");
    world.run_for(10min);
    EXPECT_EQ(states(), States{"queued"});
    EXPECT_EQ(view().reason, "run 1 waits for db");
    ready = true;
    runner().readiness_changed();
    world.run_for(1s);
    EXPECT_EQ(states(), States{"succeeded"});
}

TEST_F(JobRunnerTest, ForgetsADeletedJobAndStopsItsRun) {
    takes = 10h;
    apply("every = \"1h\"");
    ASSERT_TRUE(finish(catalog.remove("backup")));
    world.run_for(1min);
    EXPECT_TRUE(runner().jobs().empty());
    EXPECT_EQ(a.processes().live("backup/job"), 0u);
    EXPECT_TRUE(ensemble.list_all("services/runs/").entries.empty());
    takes = 10ms;
    apply("every = \"2h\"");
    world.run_for(1s);
    EXPECT_EQ(states(), States{"succeeded"});
    EXPECT_EQ(runner().runs("backup")->at(0).number, 1u) << "a new history";
}

TEST_F(JobRunnerTest, FindsThatAJobWasDeletedWhileItWasAway) {
    takes = 10h;
    apply("every = \"1h\"");
    a.kill_node();
    ASSERT_TRUE(finish(catalog.remove("backup")));
    a.start_node();
    world.run_for(1min);
    EXPECT_EQ(a.processes().live("backup/job"), 0u);
    EXPECT_TRUE(ensemble.list_all("services/runs/").entries.empty());
    EXPECT_TRUE(ensemble.list_all("services/jobs/").entries.empty());
}

TEST_F(JobRunnerTest, StopsEverythingWhenHoldfastIsStopped) {
    takes = 10h;
    apply("every = \"1h\"", "one");
    apply("once = true", "two");
    finish([](JobRunner& jobs) -> Task<bool> {
        co_await jobs.shut_down();
        co_return true;
    }(runner()));
    EXPECT_EQ(a.processes().live("one/job"), 0u);
    EXPECT_EQ(a.processes().live("two/job"), 0u);
    world.run_for(5h);
    EXPECT_EQ(starts("one/job"), 1u);
    a.restart_node(1s);
    world.run_for(2s);
    EXPECT_EQ(states("two"), (States{"failed", "running"})) << "once has not had its run";
}

// Nodes, keepers and machines die, the coordinator loses requests and answers. Safety, at every
// step: at most one program in the job's slot. Liveness: once all is well again, runs succeed.
class JobRunnerSimulation : public JobRunnerTest, public testing::WithParamInterface<int> {
  protected:
    JobRunnerSimulation() : JobRunnerTest(static_cast<std::uint64_t>(GetParam())) {}
};

TEST_P(JobRunnerSimulation, NeverRunsTwiceAtOnceAndRunsAgainInTheEnd) {
    auto& random = world.random();
    static const char* overlaps[] = {"skip", "queue", "replace"};
    takes = random.between(10ms, 90s);
    exit_code = random.chance(0.3) ? 1 : 0;
    liberties = {.delay_least = 1ms,
                 .delay_most = 50ms,
                 .lose_request = 0.05,
                 .lose_answer = 0.05,
                 .late_request = 0.05,
                 .refuse = 0.05,
                 .resync = 0.1,
                 .watch_error = 0.05};
    a.restart_node();
    apply(std::string("every = \"1m\"\ntries = 2\nverify = \"exec:x\"\noverlap = \"") +
          overlaps[random.below(3)] + "\"");
    auto verify = std::string("backup/job?verify");
    for (int i = 0; i < 40; ++i) {
        world.run_while(
            [&] {
                EXPECT_LE(a.processes().live("backup/job") + a.processes().live(verify), 1u);
                return !HasFailure();
            },
            random.between(0s, 40s));
        if (HasFailure()) return;
        if (random.chance(0.2)) exit_code = random.chance(0.3) ? 1 : 0;
        if (random.chance(0.3)) a.restart_node(random.between(0s, 100s));
        if (a.host().up() && random.chance(0.1)) a.kill_keeper(random.between(1s, 20s));
        if (random.chance(0.1)) a.pause_node(random.between(1s, 100s));
        if (random.chance(0.05)) a.restart(random.between(1s, 100s));
    }
    exit_code = 0;
    takes = 1s;
    liberties = {};
    world.run_for(10min);
    a.restart_node();
    world.run_for(10min);
    auto runs = runner().runs("backup");
    ASSERT_TRUE(runs);
    auto succeeded = std::ranges::count(*runs, RunState::succeeded, &JobRun::state);
    EXPECT_GE(succeeded, 5) << view().reason;
}

INSTANTIATE_TEST_SUITE_P(Seeds, JobRunnerSimulation, testing::Range(0, 60));

}  // namespace
}  // namespace holdfast::service
