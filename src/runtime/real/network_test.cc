#include "runtime/real/network.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "runtime/real/fd.h"

namespace holdfast::runtime {
namespace {

class RealNetworkTest : public testing::Test {
  protected:
    RealNetworkTest() {
        auto pattern = (std::filesystem::temp_directory_path() / "hf-net-XXXXXX").string();
        directory = mkdtemp(pattern.data());
    }
    ~RealNetworkTest() override { std::filesystem::remove_all(directory); }

    // A socket file whose owner has been killed.
    void leave_stale(const std::string& path) {
        UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, path.c_str());
        ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        ASSERT_EQ(listen(fd.get(), 1), 0);
    }

    std::string directory;
    EventLoop loop;
    RealNetwork network{loop};
};

TEST_F(RealNetworkTest, AStaleSocketFileIsReplacedAndOursRemovedInTheEnd) {
    auto path = directory + "/x.sock";
    leave_stale(path);
    ASSERT_TRUE(std::filesystem::exists(path));
    {
        auto listener = network.listen({path, 0});
        ASSERT_TRUE(listener) << listener.error().message;
        EXPECT_TRUE(loop.complete(network.connect({path, 0})));
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(RealNetworkTest, ASocketFileThatIsAnothersByNowIsLeftAlone) {
    auto path = directory + "/x.sock";
    auto listener = network.listen({path, 0});
    ASSERT_TRUE(listener);
    std::filesystem::remove(path);
    auto successor = network.listen({path, 0});
    ASSERT_TRUE(successor);
    listener->reset();
    EXPECT_TRUE(loop.complete(network.connect({path, 0})));
}

TEST_F(RealNetworkTest, AFileThatIsNoSocketIsNotReplaced) {
    auto path = directory + "/precious";
    UniqueFd file(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    auto listener = network.listen({path, 0});
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().code, Errc::conflict);
    EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(RealNetworkTest, AListenerOfAnotherProcessCanBeAdopted) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(fd.get(), 16), 0);
    int number = fd.release();
    auto listener = network.adopt_listener(number);
    ASSERT_TRUE(listener) << listener.error().message;
    EXPECT_TRUE(fcntl(number, F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE(fcntl(number, F_GETFL) & O_NONBLOCK);
    auto stream = loop.complete(network.connect((*listener)->local()));
    ASSERT_TRUE(stream);
    EXPECT_TRUE(loop.complete((*listener)->accept()));
}

TEST_F(RealNetworkTest, WhatIsNoListenerIsNotAdoptedButClosed) {
    int number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto listener = network.adopt_listener(number);
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().code, Errc::invalid);
    EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

// Every descriptor the process has.
std::vector<int> descriptors() {
    std::vector<int> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        all.push_back(std::stoi(entry.path().filename().string()));
    return all;
}

TEST_F(RealNetworkTest, EveryDescriptorIsClosedOnExecAndTcpDoesNotDelay) {
    auto before = descriptors();
    auto listener = network.listen({"127.0.0.1", 0});
    ASSERT_TRUE(listener);
    auto client = loop.complete(network.connect((*listener)->local()));
    auto server = loop.complete((*listener)->accept());
    auto datagrams = network.bind({"127.0.0.1", 0});
    ASSERT_TRUE(client && server && datagrams);
    int streams = 0;
    for (int fd : descriptors()) {
        if (std::ranges::find(before, fd) != before.end()) continue;
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0) continue;  // Of the listing itself.
        EXPECT_TRUE(flags & FD_CLOEXEC) << fd;
        EXPECT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK) << fd;
        sockaddr_storage peer;
        socklen_t length = sizeof peer;
        if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) continue;
        int no_delay = 0;
        length = sizeof no_delay;
        EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length), 0);
        EXPECT_EQ(no_delay, 1);
        ++streams;
    }
    EXPECT_EQ(streams, 2);
}

TEST_F(RealNetworkTest, BothWildcardsCanBeHadAtOnePort) {
    auto six = network.listen({"::", 0});
    ASSERT_TRUE(six) << six.error().message;
    EXPECT_TRUE(network.listen({"0.0.0.0", (*six)->local().port}));
}

}  // namespace
}  // namespace holdfast::runtime
