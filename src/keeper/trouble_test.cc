// The keeper where the machine does not do its part: a disk that hangs, is full or is gone, and
// strangers that speak for a service.
#include <grp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/messages.h"
#include "keeper/testing/rig.h"
#include "runtime/process/child.h"

namespace holdfast::keeper::testing {

namespace {

bool says(const runtime::RunReport& report, const std::string& words) {
    for (auto& line : report.weakened) {
        if (line.find(words) != std::string::npos) return true;
    }
    return false;
}

std::string mark_of(const Rig& rig) {
    struct stat status{};
    stat((rig.dir() + "/run").c_str(), &status);
    return fmt::format("{:x}-{:x}", status.st_dev, status.st_ino);
}

// Sends one notification for the run as that user; true if the kernel took it.
bool notify_as(uid_t uid, const std::string& name, const std::string& text) {
    int pid = fork();
    if (pid == 0) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
        auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        bool became = uid == getuid() || (setgroups(0, nullptr) == 0 && setuid(uid) == 0);
        auto sent =
            sendto(fd, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&address), length);
        _exit(became && sent > 0 ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status == 0;
}

}  // namespace

// A FIFO without a reader in the place of the new table: its writer hangs as on a dead disk.
TEST(Trouble, StartsAndKillsOnTimeWhileTheDiskHangs) {
    Rig rig;
    rig.launch(1, {"ignore-term"});
    rig.output_after(1, "ignoring");
    ASSERT_EQ(mkfifo((rig.dir() + "/keeper.table.new").c_str(), 0600), 0);
    auto start = boot_clock();
    ASSERT_TRUE(rig.await(rig.link().stop(1, 300ms, SIGTERM)));
    EXPECT_EQ(rig.exit_of(1).by, runtime::EndedBy::holdfast);
    EXPECT_LT(boot_clock() - start, 2s);
    auto report = rig.launch(2, {"wait"});
    rig.output_after(2, "waiting");
    EXPECT_TRUE(says(rig.report(2), "the table could not be written before it was started"))
        << report.pid;
}

TEST(Trouble, StartsServicesThoughTheTableCannotBeWritten) {
    Rig rig;
    ASSERT_EQ(mkdir((rig.dir() + "/keeper.table.new").c_str(), 0700), 0);
    rig.launch(1, {"wait"});
    rig.output_after(1, "waiting");
    EXPECT_TRUE(says(rig.report(1), "the table could not be written"));
    // Nor is it lost: its processes name it.
    auto pid = rig.report(1).pid;
    kill_hard(rig.keeper_pid());
    EXPECT_EQ(rig.report(1).pid, pid);
    EXPECT_TRUE(says(rig.report(1), "found without a record of it"));
}

TEST(Trouble, CapturesOutputWithoutADiskForTheFifos) {
    Rig rig;
    ASSERT_EQ(rmdir((rig.dir() + "/run").c_str()), 0);
    rig.launch(1, {"say", "to out", "to err"});
    rig.exit_of(1);
    EXPECT_EQ(rig.out(1), "to out\n");
    EXPECT_EQ(rig.err(1), "to err\n");
    EXPECT_TRUE(says(rig.report(1), "no FIFO"));
}

TEST(Trouble, BelievesNoStrangerWhoSpeaksForAService) {
    if (getuid() != 0) GTEST_SKIP() << "needs root";
    Rig rig;
    rig.launch(1, {"wait"});
    auto name = notify_name(mark_of(rig), 1);
    ASSERT_TRUE(notify_as(65534, name, "STATUS=from a stranger"));
    ASSERT_TRUE(notify_as(0, name, "READY=1"));
    EXPECT_EQ(rig.notified(1, [](auto& n) { return n.ready; }).status, "");
}

TEST(Trouble, AnswersNonsenseWithAnErrorAndGoesOn) {
    Rig rig;
    auto connection = connect_to(rig.dir(), "keeper.sock");
    ASSERT_TRUE(connection);
    ASSERT_EQ(send(connection->get(), "nonsense, at some length"), Sent::done);
    ASSERT_EQ(send(connection->get(), encode(1, Launch(rig.spec(9, {"wait"})))), Sent::done);
    int answers = 0;
    ASSERT_TRUE(eventually([&] {
        Datagram datagram;
        if (receive(connection->get(), datagram) != Received::datagram) return answers == 2;
        auto message = decode(datagram.bytes);
        EXPECT_TRUE(message && std::holds_alternative<Reply>(message->body));
        EXPECT_FALSE(outcome_of(std::get<Reply>(message->body)));
        return ++answers == 2;
    }));
    EXPECT_EQ(rig.report(9).run, 0u) << "only the node may launch";
    rig.launch(1, {"wait"});
}

// Over a hundred characters are more than a socket's address takes.
TEST(Trouble, ALongDataDirectoryIsNone) {
    TempDir dir;
    auto deep = dir.path() + "/" + std::string(120, 'd');
    ASSERT_EQ(mkdir(deep.c_str(), 0700), 0);
    int keeper = spawn({keeper_binary(), "--data", deep, "--node", program(), "--", "wait"});
    ASSERT_TRUE(eventually([&] { return keeper_status(deep).has_value(); }));
    struct stat status{};
    ASSERT_EQ(stat((deep + "/keeper.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    ASSERT_TRUE(shutdown(deep, ShutdownMode::at_once, 10s));
    kill_hard(keeper);
}

}  // namespace holdfast::keeper::testing
