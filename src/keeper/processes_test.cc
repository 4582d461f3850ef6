// What the keeper promises of processes, shown on the real one.
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper/testing/rig.h"

namespace holdfast::keeper::testing {

using runtime::EndedBy;

// With the cgroups of this machine and without any.
class Keeping : public ::testing::TestWithParam<const char*> {
  protected:
    static RigOptions options() {
        std::string flag = GetParam();
        return {.flags =
                    flag.empty() ? std::vector<std::string>{} : std::vector<std::string>{flag}};
    }
    Rig rig{options()};
};

INSTANTIATE_TEST_SUITE_P(, Keeping, ::testing::Values("", "--no-cgroup"), [](auto& info) {
    return std::string(*info.param ? "WithoutCgroups" : "WithCgroups");
});

TEST_P(Keeping, ReportsTheExitCodeAndAllTheOutputBeforeIt) {
    rig.launch(1, {"say", "to out", "to err"});
    auto exit = rig.exit_of(1);
    EXPECT_EQ(exit.by, EndedBy::itself);
    EXPECT_EQ(exit.code, 0);
    EXPECT_EQ(rig.out(1), "to out\n");
    EXPECT_EQ(rig.err(1), "to err\n");
    rig.launch(2, {"exit", "7"});
    EXPECT_EQ(rig.exit_of(2).code, 7);
}

TEST_P(Keeping, TellsWhoEndedARun) {
    rig.launch(1, {"segfault"});
    EXPECT_EQ(rig.exit_of(1).by, EndedBy::itself);
    EXPECT_EQ(rig.exit_of(1).signal, SIGSEGV);
    auto killed = rig.launch(2, {"wait"});
    kill(killed.pid, SIGKILL);
    EXPECT_EQ(rig.exit_of(2).by, EndedBy::outside);
    rig.launch(3, {"wait"});
    ASSERT_TRUE(rig.await(rig.link().stop(3, 10s, SIGTERM)));
    EXPECT_EQ(rig.exit_of(3).by, EndedBy::holdfast);
    EXPECT_EQ(rig.exit_of(3).signal, SIGTERM);
}

TEST_P(Keeping, KillsWhatIgnoresSigtermAtTheDeadlineAndNotBefore) {
    rig.launch(1, {"ignore-term"});
    rig.output_after(1, "ignoring");
    auto start = boot_clock();
    ASSERT_TRUE(rig.await(rig.link().stop(1, 300ms, SIGTERM)));
    EXPECT_TRUE(rig.report(1).stopping);
    auto exit = rig.exit_of(1);
    EXPECT_EQ(exit.signal, SIGKILL);
    EXPECT_EQ(exit.by, EndedBy::holdfast);
    EXPECT_GE(boot_clock() - start, 300ms);
    EXPECT_LT(boot_clock() - start, 2s);
}

TEST_P(Keeping, EndsARunAfterItsTime) {
    auto spec = rig.spec(1, {"ignore-term"});
    spec.run_for = 200ms;
    spec.stop_grace = 100ms;
    auto start = boot_clock();
    rig.launch(spec);
    EXPECT_EQ(rig.exit_of(1).by, EndedBy::holdfast);
    EXPECT_GE(boot_clock() - start, 300ms);
}

TEST_P(Keeping, KillsDaemonsThatLeftTheirSession) {
    rig.launch(1, {"daemon"});
    int daemon = std::stoi(rig.output_after(1, "daemon "));
    ASSERT_TRUE(alive(daemon));
    ASSERT_TRUE(rig.await(rig.link().stop(1, 10s, SIGTERM)));
    rig.exit_of(1);
    EXPECT_FALSE(alive(daemon));
}

TEST_P(Keeping, LeavesNothingOfARunWhoseMainProcessEnds) {
    rig.launch(1, {"daemon-then-exit"});
    int daemon = std::stoi(rig.output_after(1, "daemon "));
    EXPECT_EQ(rig.exit_of(1).code, 0);
    EXPECT_FALSE(alive(daemon));
}

TEST_P(Keeping, RefusesASecondRunOfASlotUnlessItIsNamed) {
    rig.launch(rig.spec(1, {"wait"}, "shop/0"));
    auto second = rig.await(rig.link().launch(rig.spec(2, {"wait"}, "shop/0")));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
    auto beside = rig.spec(3, {"wait"}, "shop/0");
    beside.beside = 1;
    rig.launch(beside);
    auto used = rig.await(rig.link().launch(rig.spec(3, {"wait"}, "other/0")));
    ASSERT_FALSE(used);
    EXPECT_EQ(used.error().code, Errc::conflict);
}

TEST_P(Keeping, SaysWhyAProgramCannotRun) {
    auto spec = rig.spec(1, {});
    spec.command = {"/no/such/program"};
    auto launched = rig.await(rig.link().launch(spec));
    ASSERT_FALSE(launched);
    EXPECT_EQ(launched.error(),
              (Error{Errc::invalid, "cannot run /no/such/program: No such file or directory"}));
    spec.command = {program(), "wait"};
    spec.user = "nobody-of-that-name";
    launched = rig.await(rig.link().launch(spec));
    ASSERT_FALSE(launched);
    EXPECT_EQ(launched.error().message, "there is no user nobody-of-that-name");
    spec.user = "";
    spec.directory = "/no/such/directory";
    launched = rig.await(rig.link().launch(spec));
    ASSERT_FALSE(launched);
    EXPECT_EQ(launched.error().message,
              "cannot enter /no/such/directory: No such file or directory");
    auto all = rig.await(rig.link().list());
    ASSERT_TRUE(all);
    EXPECT_TRUE(all->empty());
}

TEST_P(Keeping, GivesTheProgramItsSurroundingsAndNothingElse) {
    auto spec = rig.spec(1, {"surroundings"});
    spec.env = {{"PATH", "/usr/bin"}, {"COLOUR", "green"}};
    spec.directory = "/usr";
    spec.limits.files = 4321;
    spec.limits.core_bytes = 0;
    spec.watchdog = 2s;
    auto report = rig.launch(spec);
    rig.exit_of(1);
    auto& out = rig.out(1);
    for (auto* line : {"env COLOUR=green\n", "env WATCHDOG_USEC=2000000\n",
                       "env NOTIFY_SOCKET=@holdfast/", "directory /usr\n", "files 4321\n",
                       "core 0\n", "sigchld blocked 0 sigpipe ignored 0\n"}) {
        EXPECT_NE(out.find(line), std::string::npos) << line << out;
    }
    EXPECT_NE(out.find(fmt::format("pid {0} session {0} group {0}\n", report.pid)),
              std::string::npos)
        << out;
    EXPECT_EQ(out.find("env HOME"), std::string::npos) << out;
    EXPECT_EQ(out.find("fd 3\n"), std::string::npos) << out;
    EXPECT_EQ(report.note, "note of 1");
}

TEST_P(Keeping, DropsToTheUser) {
    if (getuid() != 0) GTEST_SKIP() << "needs root";
    auto spec = rig.spec(1, {"surroundings"});
    spec.user = "nobody";
    rig.launch(spec);
    rig.exit_of(1);
    EXPECT_NE(rig.out(1).find("uid 65534 gid 65534 groups 1\n"), std::string::npos) << rig.out(1);
    auto reopening = rig.spec(2, {"reopen-output"});
    reopening.user = "nobody";
    rig.launch(reopening);
    rig.exit_of(2);
    EXPECT_EQ(rig.out(2), "reopened\n");
}

TEST_P(Keeping, MergesWhatTheServiceNotifies) {
    rig.launch(1, {"notify", "READY=1\nSTATUS=all well", "WATCHDOG=1", "STOPPING=1"});
    auto said = rig.notified(1, [](auto& n) { return n.stopping; });
    EXPECT_TRUE(said.ready);
    EXPECT_EQ(said.status, "all well");
    EXPECT_TRUE(said.watchdog);
    EXPECT_EQ(rig.report(1).notified, said);
}

TEST_P(Keeping, NeverBlocksAServiceThatNobodyListensTo) {
    rig.launch(1, {"flood-then-wait", "4000000"});
    rig.notified(1, [](auto& n) { return n.ready; });
    auto total = rig.out(1).size() + rig.lost(1);
    ASSERT_TRUE(rig.await(rig.link().kill(1)));
    rig.exit_of(1);
    total = rig.out(1).size() + rig.lost(1);
    EXPECT_EQ(total, 4000000u / 16 * 16);
    EXPECT_EQ(rig.out(1).substr(rig.out(1).size() - 16), "000000000249999\n");
}

TEST_P(Keeping, KeepsAnExitUntilItIsForgotten) {
    rig.launch(1, {"exit", "3"});
    rig.exit_of(1);
    rig.new_link();
    ASSERT_TRUE(rig.report(1).exit);
    EXPECT_EQ(rig.report(1).exit->code, 3);
    ASSERT_TRUE(rig.await(rig.link().forget(1)));
    EXPECT_EQ(rig.report(1).run, 0u);
}

TEST_P(Keeping, EndsEphemeralRunsWithTheKeeper) {
    auto spec = rig.spec(1, {"wait"});
    spec.lifetime = runtime::Lifetime::ephemeral;
    auto ephemeral = rig.launch(spec);
    rig.output_after(1, "waiting");
    kill_hard(rig.keeper_pid());
    EXPECT_TRUE(eventually([&] { return !alive(ephemeral.pid); }));
}

namespace {

std::string ask_port(std::uint16_t port) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return "refused";
    pollfd answered{fd.get(), POLLIN, 0};
    char text[64];
    if (poll(&answered, 1, 10'000) != 1) return "silent";
    auto count = read(fd.get(), text, sizeof text);
    return count > 0 ? std::string(text, static_cast<std::size_t>(count)) : "closed";
}

}  // namespace

TEST_P(Keeping, HandsOneSocketToOneRunAfterAnother) {
    auto port = rig.await(rig.link().open_socket({"shop/http", "127.0.0.1", 0, 16}));
    ASSERT_TRUE(port) << port.error().message;
    auto again = rig.await(rig.link().open_socket({"shop/http", "127.0.0.1", 0, 16}));
    EXPECT_EQ(again, port);
    auto taken = rig.await(rig.link().open_socket({"other", "127.0.0.1", *port, 16}));
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Errc::conflict);
    auto spec = rig.spec(1, {"serve"});
    spec.sockets = {"shop/http"};
    auto first = rig.launch(spec);
    EXPECT_EQ(ask_port(*port), fmt::format("{}\n", first.pid));
    ASSERT_TRUE(rig.await(rig.link().kill(1)));
    rig.exit_of(1);
    std::string answer;  // Waits in the accept queue for a run that does not exist yet.
    spec.run = 2;
    auto second = rig.launch(spec);
    EXPECT_EQ(ask_port(*port), fmt::format("{}\n", second.pid));
    // A keeper that dies takes no socket along.
    int old = rig.keeper_pid();
    kill_hard(old);
    EXPECT_EQ(ask_port(*port), fmt::format("{}\n", second.pid));
    auto known = rig.await(rig.link().sockets());
    ASSERT_TRUE(known);
    ASSERT_EQ(known->size(), 1u);
    EXPECT_EQ((*known)[0].port, *port);
    EXPECT_NE(rig.keeper_pid(), old);
    ASSERT_TRUE(rig.await(rig.link().kill(2)));
    EXPECT_EQ(rig.exit_of(2).by, EndedBy::unknown);
    spec.run = 3;
    auto third = rig.launch(spec);
    EXPECT_EQ(ask_port(*port), fmt::format("{}\n", third.pid));
    ASSERT_TRUE(rig.await(rig.link().close_socket("shop/http")));
}

TEST_P(Keeping, TakesServicesOverFromAKeeperThatWasKilled) {
    auto first = rig.launch(1, {"wait"});
    rig.output_after(1, "waiting");
    std::string change;
    rig.link().on_keeper_change([&](std::string reason) { change = std::move(reason); });
    int old = rig.keeper_pid();
    kill_hard(old);
    auto report = rig.report(1);
    EXPECT_EQ(report.pid, first.pid);
    EXPECT_EQ(report.started, first.started);
    EXPECT_EQ(report.note, "note of 1");
    EXPECT_FALSE(report.exit);
    EXPECT_TRUE(alive(first.pid));
    EXPECT_NE(rig.keeper_pid(), old);
    EXPECT_NE(change.find("had died"), std::string::npos) << change;
    auto second = rig.await(rig.link().launch(rig.spec(2, {"wait"}, "test/1")));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
    ASSERT_TRUE(rig.await(rig.link().stop(1, 1s, SIGTERM)));
    auto exit = rig.exit_of(1);
    EXPECT_EQ(exit.by, EndedBy::unknown);
    EXPECT_FALSE(exit.code);
}

TEST_P(Keeping, LosesNoOutputWhenTheKeeperDies) {
    rig.launch(1, {"flood-then-wait", "100000"});
    rig.output_after(1, "00000000000000");
    rig.notified(1, [](auto& n) { return n.ready; });
    kill_hard(rig.keeper_pid());
    rig.report(1);
    ASSERT_TRUE(rig.await(rig.link().kill(1)));
    rig.exit_of(1);
    EXPECT_EQ(rig.out(1).size(), 100000u);
    EXPECT_EQ(rig.lost(1), 0u);
}

TEST_P(Keeping, KeepsTheDeadlineOfAStopOverItsOwnDeath) {
    auto run = rig.launch(1, {"ignore-term"});
    rig.output_after(1, "ignoring");
    ASSERT_TRUE(rig.await(rig.link().stop(1, 500ms, SIGTERM)));
    ASSERT_TRUE(eventually([&] {  // The table knows of it.
        auto bytes = read_file(rig.dir() + "/keeper.table");
        auto table = bytes ? decode_table(*bytes) : Result<Table>(std::unexpected(bytes.error()));
        return table && table->runs.size() == 1 && table->runs[0].stopping;
    }));
    kill_hard(rig.keeper_pid());
    rig.exit_of(1);
    EXPECT_FALSE(alive(run.pid));
}

TEST_P(Keeping, FindsItsServicesAgainWithoutATable) {
    auto run = rig.launch(rig.spec(1, {"wait"}, "shop/0"));
    rig.output_after(1, "waiting");
    rig.drop_link();
    kill_hard(rig.keeper_pid());
    auto table = rig.dir() + "/keeper.table";
    auto bytes = read_file(table).value_or("");
    ASSERT_TRUE(replace_file(table, bytes.substr(0, bytes.size() / 2)));
    rig.start_keeper();
    rig.new_link();
    auto report = rig.report(1);
    EXPECT_EQ(report.pid, run.pid);
    EXPECT_EQ(report.slot, "shop/0");
    auto status = keeper_status(rig.dir());
    ASSERT_TRUE(status);
    EXPECT_NE(status->damaged_table.find("keeper.table.damaged-"), std::string::npos)
        << status->damaged_table;
    auto second = rig.await(rig.link().launch(rig.spec(2, {"wait"}, "shop/0")));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
}

TEST(KeepingWithCgroups, EnforcesTheMemoryLimitAndNamesTheOomKiller) {
    Rig rig;
    auto status = keeper_status(rig.dir());
    ASSERT_TRUE(status);
    if (!status->weakened.empty()) GTEST_SKIP() << status->weakened[0];
    auto spec = rig.spec(1, {"eat"});
    spec.limits.memory_bytes = 32 << 20;
    spec.limits.cpu = 0.5;
    auto report = rig.launch(spec);
    EXPECT_TRUE(report.weakened.empty()) << report.weakened[0];
    auto exit = rig.exit_of(1);
    EXPECT_EQ(exit.by, EndedBy::oom);
    EXPECT_EQ(exit.signal, SIGKILL);
}

TEST(KeepingWithCgroups, FindsAServiceThatOverwroteItsEnvironment) {
    Rig rig;
    auto run = rig.launch(1, {"rename-environment"});
    rig.output_after(1, "overwritten");
    rig.drop_link();
    kill_hard(rig.keeper_pid());
    ASSERT_TRUE(replace_file(rig.dir() + "/keeper.table", "garbage"));
    rig.start_keeper();
    rig.new_link();
    EXPECT_EQ(rig.report(1).pid, run.pid);
}

TEST(KeepingWithoutCgroups, SaysWhatItCannotEnforce) {
    Rig rig({.flags = {"--no-cgroup"}});
    auto spec = rig.spec(1, {"wait"});
    spec.limits.memory_bytes = 32 << 20;
    spec.limits.cpu = 0.5;
    auto report = rig.launch(spec);
    EXPECT_EQ(report.weakened,
              (std::vector<std::string>{"no memory cgroup: its memory is not limited",
                                        "no cpu cgroup: its processor time is not limited"}));
}

}  // namespace holdfast::keeper::testing
