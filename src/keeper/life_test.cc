// The keeper's life: nodes and keepers that die, hang, are held down, upgraded and shut down, and a
// service that notices none of it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "keeper/testing/rig.h"

namespace holdfast::keeper::testing {

class Life : public ::testing::Test {
  protected:
    // Never a process group, such as our own, when there is no such process.
    static void strike(int pid, int signal) {
        ASSERT_GT(pid, 0);
        ::kill(pid, signal);
    }
    std::string log() const { return dir.path() + "/log"; }

    std::vector<std::string> node_args(std::vector<std::string> more = {}) {
        std::vector<std::string> words{"--log",  log(),      "--program", program(),
                                       "--data", dir.path(), "--keeper",  keeper_binary()};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }
    void start(std::vector<std::string> more = {}, std::vector<std::string> flags = {}) {
        std::vector<std::string> words{keeper_binary(), "--data", dir.path(), "--node",
                                       node_binary()};
        words.insert(words.end(), flags.begin(), flags.end());
        words.push_back("--");
        for (auto& word : node_args(std::move(more))) words.push_back(word);
        keeper = spawn(words);
    }
    void start_and_serve(std::vector<std::string> more = {}, std::vector<std::string> flags = {}) {
        start(std::move(more), std::move(flags));
        ASSERT_TRUE(eventually([&] { return status().node_state == NodeState::ready; })) << lines();
        service = std::stoi(last("launched 1 "));
    }
    KeeperStatus status() { return keeper_status(dir.path()).value_or(KeeperStatus{}); }
    std::string lines() { return read_file(log()).value_or(""); }
    int count(const std::string& start) {
        std::istringstream in("\n" + lines());
        int found = 0;
        for (std::string line; std::getline(in, line);) found += line.starts_with(start);
        return found;
    }
    // What follows the text in the last line that begins with it.
    std::string last(const std::string& start) {
        std::istringstream in(lines());
        std::string found;
        for (std::string line; std::getline(in, line);) {
            if (line.starts_with(start)) found = line.substr(start.size());
        }
        return found;
    }
    // Whose command line names our log.
    std::vector<int> nodes() {
        std::vector<int> found;
        Pids pids;
        while (int pid = pids.next()) {
            auto line = read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
            if (line.starts_with(node_binary() + '\0') && line.find(log()) != std::string::npos)
                found.push_back(pid);
        }
        return found;
    }
    // The service of before runs on, nothing beside it.
    void expect_untouched() {
        EXPECT_TRUE(alive(service)) << lines();
        EXPECT_EQ(count("launched"), 1) << lines();
        EXPECT_EQ(count("exited"), 0) << lines();
        EXPECT_EQ(status().runs_live, 1u);
    }
    int wait_for_end(int pid) {
        int result = -1;
        EXPECT_TRUE(eventually([&] { return waitpid(pid, &result, WNOHANG) == pid; })) << lines();
        return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
    }

    TempDir dir;
    int keeper = 0, service = 0;
};

TEST_F(Life, StartsADeadNodeAtOnceAndItKeepsTheService) {
    start_and_serve();
    int node = status().node_pid;
    auto killed = boot_clock();
    strike(node, SIGKILL);
    ASSERT_TRUE(eventually([&] { return count("kept 1") == 1; })) << lines();
    EXPECT_LT(boot_clock() - killed, 1s);
    expect_untouched();
    ASSERT_TRUE(eventually([&] { return status().node_state == NodeState::ready; }));
    auto now = status();
    EXPECT_NE(now.node_pid, node);
    EXPECT_EQ(now.node_restarts, 1u);
    ASSERT_EQ(now.node_deaths.size(), 1u);
    EXPECT_EQ(now.node_deaths[0].reason, "killed by SIGKILL");
}

TEST_F(Life, KeepsTheServiceWhileTheNodeIsHeldDown) {
    start_and_serve();
    ASSERT_TRUE(hold_node(dir.path(), 1s));
    ASSERT_TRUE(eventually([&] { return status().node_pid == 0; }));
    EXPECT_EQ(status().node_state, NodeState::held);
    expect_untouched();
    ASSERT_TRUE(eventually([&] { return count("kept 1") == 1; })) << lines();
    expect_untouched();
}

TEST_F(Life, TellsTheNextNodeOfAnExitThatHappenedWhileThereWasNone) {
    start_and_serve();
    ASSERT_TRUE(hold_node(dir.path(), 500ms));
    strike(service, SIGTERM);
    ASSERT_TRUE(eventually([&] { return status().runs_over == 1; }));
    ASSERT_TRUE(eventually([&] { return count("exited 1 by 3") >= 1; })) << lines();
}

TEST_F(Life, ReplacesANodeThatHangs) {
    start_and_serve({}, {"--node-beat-max", "1500ms"});
    int node = status().node_pid;
    strike(node, SIGSTOP);
    ASSERT_TRUE(eventually([&] { return count("kept 1") == 1; })) << lines();
    EXPECT_FALSE(alive(node));
    expect_untouched();
}

TEST_F(Life, GivesUpOnNoNode) {
    start({"--die-on-activate"});
    ASSERT_TRUE(eventually([&] { return count("node") >= 6; })) << lines();
    EXPECT_GE(status().node_deaths.size(), 5u);
}

TEST_F(Life, SurvivesTheKeepersDeath) {
    start_and_serve({"--serve"});
    int node = status().node_pid;
    kill_hard(keeper);
    ASSERT_TRUE(eventually([&] { return count("change") == 1; })) << lines();
    EXPECT_TRUE(alive(node));
    expect_untouched();
    auto now = status();
    EXPECT_NE(now.pid, keeper);
    EXPECT_EQ(now.node_pid, node);
    EXPECT_EQ(now.sockets.size(), 1u);
    EXPECT_NE(now.took_over.find("adopted 1 runs and the node"), std::string::npos)
        << now.took_over;
    // The new one is as good as the old: it starts the node again, and the node the service's
    // watch.
    strike(node, SIGKILL);
    ASSERT_TRUE(eventually([&] { return count("kept 1") == 1; })) << lines();
    expect_untouched();
}

TEST_F(Life, AdoptsWhatIsLeftWhenBothDied) {
    start_and_serve({"--serve"});
    auto before = status();
    strike(before.node_pid, SIGSTOP);  // So that it does not start another keeper first.
    kill_hard(keeper);
    kill_hard(before.node_pid);
    EXPECT_TRUE(alive(service));
    start({"--serve"});
    ASSERT_TRUE(eventually([&] { return count("kept 1") == 1; })) << lines();
    expect_untouched();
    EXPECT_EQ(status().sockets, before.sockets);
    // The socket was got back from the service that had inherited it: another run can have it.
    strike(service, SIGKILL);
    ASSERT_TRUE(eventually([&] { return count("exited 1 by 4") == 1; })) << lines();
}

TEST_F(Life, ADirectoryHasOneKeeper) {
    start_and_serve();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    int second =
        spawn({keeper_binary(), "--data", dir.path(), "--node", node_binary(), "--"}, ends[1]);
    EXPECT_EQ(wait_for_end(second), 1);
    char text[512] = {};
    ASSERT_GT(read(ends[0], text, sizeof text - 1), 0);
    EXPECT_NE(std::string(text).find(fmt::format("a keeper (pid {}) already has", keeper)),
              std::string::npos)
        << text;
    expect_untouched();
}

TEST_F(Life, UpgradesNodeAndKeeperUnderARunningService) {
    start_and_serve({"--version", "1", "--serve"});
    auto before = status();
    auto newer_node = dir.path() + "/node-2", newer_keeper = dir.path() + "/keeper-2";
    std::filesystem::copy_file(node_binary(), newer_node);
    std::filesystem::copy_file(keeper_binary(), newer_keeper);
    std::vector<std::string> progress;
    auto upgraded =
        upgrade(dir.path(),
                {newer_node, newer_keeper, node_args({"--version", "2", "--standby", "--serve"})},
                [&](std::string_view line) { progress.emplace_back(line); });
    ASSERT_TRUE(upgraded) << upgraded.error().message << lines();
    EXPECT_GE(progress.size(), 4u);
    expect_untouched();
    auto after = status();
    EXPECT_EQ(after.pid, keeper);
    EXPECT_EQ(std::filesystem::read_symlink(fmt::format("/proc/{}/exe", keeper)), newer_keeper);
    EXPECT_EQ(after.node_binary, newer_node);
    EXPECT_NE(after.node_pid, before.node_pid);
    EXPECT_FALSE(alive(before.node_pid));
    EXPECT_EQ(after.node_state, NodeState::ready);
    EXPECT_EQ(after.sockets, before.sockets);
    EXPECT_TRUE(after.upgrade.starts_with("done ")) << after.upgrade;
    EXPECT_EQ(count("drain"), 1);
    EXPECT_EQ(count("kept 1"), 1);
    // The children are children still: their exits are seen.
    strike(service, SIGUSR1);
    ASSERT_TRUE(eventually([&] { return count("exited 1 by 3") == 1; })) << lines();
    // And the node that is started from now on is the new one.
    strike(after.node_pid, SIGKILL);
    ASSERT_TRUE(eventually([&] { return count("node") == 3; })) << lines();
    EXPECT_TRUE(last("node ").ends_with(" 2"));
}

TEST_F(Life, KeepsTheOldNodeIfTheNewOneIsNoGood) {
    start_and_serve();
    auto before = status();
    auto failed = upgrade(
        dir.path(),
        {node_binary(), keeper_binary(), node_args({"--standby", "--die-when-prepared"})}, {});
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().message.find("the new node"), std::string::npos)
        << failed.error().message;
    ASSERT_TRUE(eventually([&] { return status().node_state == NodeState::ready; }));
    expect_untouched();
    EXPECT_TRUE(status().upgrade.starts_with("failed: ")) << status().upgrade;
    auto missing = upgrade(dir.path(), {"/no/such/node", keeper_binary(), {}}, {});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, Errc::invalid);
    EXPECT_EQ(status().pid, before.pid);
}

TEST_F(Life, ReturnsToTheOldNodeIfTheNewOneFailsToServe) {
    start_and_serve({"--version", "1"});
    auto failed = upgrade(dir.path(),
                          {node_binary(), keeper_binary(),
                           node_args({"--version", "2", "--standby", "--die-on-activate"})},
                          {});
    ASSERT_FALSE(failed);
    ASSERT_TRUE(eventually([&] { return status().node_state == NodeState::ready; })) << lines();
    EXPECT_TRUE(last("node ").ends_with(" 1")) << lines();
    expect_untouched();
}

TEST_F(Life, StaysTheOldKeeperIfTheNewOneCannotBeExecuted) {
    start_and_serve({"--version", "1"});
    auto broken = dir.path() + "/keeper-broken";
    std::filesystem::copy_file(program(), broken);
    ASSERT_TRUE(replace_file(broken, "\177ELF, but no more"));
    chmod(broken.c_str(), 0755);
    auto failed = upgrade(dir.path(),
                          {node_binary(), broken, node_args({"--version", "2", "--standby"})}, {});
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().message.find("the keeper is the old one"), std::string::npos)
        << failed.error().message;
    expect_untouched();
    EXPECT_EQ(status().pid, keeper);
    strike(service, SIGKILL);
    ASSERT_TRUE(eventually([&] { return count("exited 1 by 3") == 1; })) << lines();
}

TEST_F(Life, ShutsDownThroughTheNode) {
    start_and_serve();
    strike(keeper, SIGTERM);
    EXPECT_EQ(wait_for_end(keeper), 0);
    EXPECT_EQ(count("shutdown"), 1);
    EXPECT_EQ(count("exited 1 by 1"), 1) << lines();
    EXPECT_FALSE(alive(service));
}

TEST_F(Life, ShutsDownByItselfWithoutANode) {
    start_and_serve();
    ASSERT_TRUE(hold_node(dir.path(), 60s));
    ASSERT_TRUE(eventually([&] { return status().node_pid == 0; }));
    ASSERT_TRUE(shutdown(dir.path(), ShutdownMode::graceful, 10s));
    EXPECT_EQ(wait_for_end(keeper), 0);
    EXPECT_FALSE(alive(service));
}

TEST_F(Life, ASecondSignalEndsAllAtOnce) {
    start_and_serve();
    int node = status().node_pid;
    strike(node, SIGSTOP);
    strike(keeper, SIGINT);
    ASSERT_TRUE(eventually([&] { return status().node_state == NodeState::leaving; }));
    EXPECT_TRUE(alive(service));
    strike(keeper, SIGINT);
    EXPECT_EQ(wait_for_end(keeper), 0);
    EXPECT_FALSE(alive(node));
    EXPECT_FALSE(alive(service));
}

TEST_F(Life, ReportsRunsOfAnEarlierBootAsEndedUnseen) {
    struct Run run;
    run.id = 1, run.slot = "service/0", run.phase = Phase::live, run.pid = getpid();
    run.start_ticks = process_stat(getpid())->start_ticks;
    Table table;
    table.boot_id = "another boot";
    table.runs = {run};
    ASSERT_TRUE(replace_file(dir.path() + "/keeper.table", encode_table(table)));
    start();
    ASSERT_TRUE(eventually([&] { return count("launched 2") == 1; })) << lines();
    EXPECT_EQ(status().runs_over, 1u);
}

TEST_F(Life, LeavesTheUnfinishedTableOfAResetAlone) {
    ASSERT_TRUE(replace_file(dir.path() + "/keeper.table.new", "half a tab"));
    ASSERT_TRUE(replace_file(dir.path() + "/keeper.table", encode_table(Table{})));
    start_and_serve();
    EXPECT_EQ(status().damaged_table, "");
}

// At every moment of a launch: either it is recorded, or it never ran.
TEST_F(Life, LeavesNothingUnrecordedWhenKilledDuringLaunches) {
    for (int round = 0; round < 15; ++round) {
        start();
        auto deadline = boot_clock() + 1ms * (4 + 3 * round);
        while (boot_clock() < deadline && count("launched") == 0) poll(nullptr, 0, 1);
        kill_hard(keeper);
        // Its node may have started another keeper, and that another node.
        while (auto now = keeper_status(dir.path())) {
            kill_hard(now->node_pid);
            kill_hard(now->pid);
        }
        for (int node : nodes()) kill_hard(node);
    }
    start();
    ASSERT_TRUE(eventually([&] {
        return status().node_state == NodeState::ready && status().runs_live == 1;
    })) << lines();
    struct stat directory{};
    ASSERT_EQ(stat((dir.path() + "/run").c_str(), &directory), 0);
    auto mark = fmt::format("HOLDFAST_RUN={:x}-{:x}", directory.st_dev, directory.st_ino);
    int running = 0;
    Pids pids;
    while (int pid = pids.next()) {
        auto line = read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
        auto env = read_file(fmt::format("/proc/{}/environ", pid)).value_or("");
        // Other tests run the same program in the same slot, of other directories.
        running += line.starts_with(program()) && env.find(mark + ".") != std::string::npos &&
                   env.find(".service/0") != std::string::npos && alive(pid);
    }
    EXPECT_EQ(running, 1) << lines();
}

}  // namespace holdfast::keeper::testing
