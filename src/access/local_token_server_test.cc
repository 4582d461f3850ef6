#include "access/local_token_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "access/local_socket.h"
#include "access/local_token_client.h"

namespace holdfast::access {
namespace {

// A port nothing of this test binds: only its number is part of the socket's name.
// The same in a child.
std::uint16_t own_port() {
    static const auto port = static_cast<std::uint16_t>(10000 + getpid() % 50000);
    return port;
}

// Runs `ask` in a child, as another user if one is given, while the server serves here.
int ask_from_child(runtime::EventLoop& loop, LocalTokenServer& server, uid_t uid,
                   int (*ask)(std::uint16_t)) {
    auto port = own_port();
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        if (uid != geteuid() && (setgid(uid) != 0 || setuid(uid) != 0)) _exit(99);
        _exit(ask(port));
    }
    runtime::TaskGroup group;
    group.spawn(server.run());
    return loop.complete(loop.on_pool([child] {
        int status = 0;
        waitpid(child, &status, 0);
        return WEXITSTATUS(status);
    }));
}

class LocalTokenServerTest : public testing::Test {
  protected:
    runtime::EventLoop loop;
    LocalTokens tokens{std::string(32, 'k')};
};

TEST_F(LocalTokenServerTest, GivesItsOwnUserATokenThatTheNodeAccepts) {
    auto server = LocalTokenServer::open(loop, tokens, own_port());
    ASSERT_TRUE(server) << server.error().message;
    runtime::TaskGroup group;
    group.spawn((*server)->run());
    auto token = loop.complete(loop.on_pool([] { return fetch_local_token(own_port()); }));
    ASSERT_TRUE(token) << token.error().message;
    auto who = tokens.check(*token, loop.clock().now());
    ASSERT_TRUE(who);
    EXPECT_EQ(who->name, "local:" + std::to_string(geteuid()));
}

TEST_F(LocalTokenServerTest, GivesAStrangerNone) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
    auto server = LocalTokenServer::open(loop, tokens, own_port());
    ASSERT_TRUE(server) << server.error().message;
    int code = ask_from_child(loop, **server, 65534, [](std::uint16_t port) {
        auto token = fetch_local_token(port);
        return !token && token.error().code == Errc::denied ? 7 : 1;
    });
    EXPECT_EQ(code, 7);
}

TEST_F(LocalTokenServerTest, SurvivesAClientThatNeverReads) {
    auto server = LocalTokenServer::open(loop, tokens, own_port());
    ASSERT_TRUE(server) << server.error().message;
    auto name = local_socket_name(own_port());
    int silent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(silent, name.get(), name.size), 0);
    runtime::TaskGroup group;
    group.spawn((*server)->run());
    auto token = loop.complete(loop.on_pool([] { return fetch_local_token(own_port()); }));
    EXPECT_TRUE(token);
    close(silent);
}

TEST_F(LocalTokenServerTest, SecondNodeOnTheSamePortIsToldSo) {
    auto first = LocalTokenServer::open(loop, tokens, own_port());
    ASSERT_TRUE(first) << first.error().message;
    auto second = LocalTokenServer::open(loop, tokens, own_port());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
}

TEST(LocalTokenClient, SaysThatNoNodeIsThere) {
    auto token = fetch_local_token(own_port());
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, Errc::unavailable);
}

TEST(LocalTokenClient, DoesNotTrustAStrangerOnTheName) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    auto port = own_port();
    pid_t stranger = fork();
    if (stranger == 0) {
        alarm(30);
        if (setgid(65534) != 0 || setuid(65534) != 0) _exit(99);
        auto name = local_socket_name(port);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (bind(fd, name.get(), name.size) != 0 || listen(fd, 4) != 0) _exit(98);
        if (write(ready[1], "x", 1) != 1) _exit(97);
        int client = accept(fd, nullptr, nullptr);
        char byte;
        _exit(recv(client, &byte, 1, 0) == 0 ? 7 : 1);  // The client leaves without a word.
    }
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    auto token = fetch_local_token(port);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, Errc::denied);
    int status = 0;
    waitpid(stranger, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    close(ready[0]);
    close(ready[1]);
}

}  // namespace
}  // namespace holdfast::access
