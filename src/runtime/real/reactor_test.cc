#include "runtime/real/reactor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace holdfast::runtime {
namespace {

using namespace std::chrono_literals;

class ReactorTest : public testing::Test {
  protected:
    ReactorTest() {
        int fds[2];
        EXPECT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        reader = UniqueFd(fds[0]);
        writer = UniqueFd(fds[1]);
    }
    // Whether a loop around it would go round again at once.
    bool busy() {
        pollfd asked{.fd = reactor.fd(), .events = POLLIN, .revents = 0};
        return poll(&asked, 1, 0) == 1;
    }
    static Task<void> count_ready(Reactor& reactor, int fd, int times, int& count) {
        for (int i = 0; i < times; ++i) {
            co_await reactor.ready(fd, Reactor::Direction::in);
            ++count;
        }
    }

    UniqueFd reader, writer;
    Reactor reactor;
};

TEST_F(ReactorTest, DoesNotSpinOnWhatNobodyWaitsForAnyMore) {
    for (bool hung_up : {false, true}) {
        Reactor::Watch watch(reactor, reader.get());
        int count = 0;
        TaskGroup group;
        group.spawn(count_ready(reactor, reader.get(), 1, count));
        EXPECT_FALSE(busy());
        if (hung_up)
            writer = UniqueFd();
        else
            ASSERT_EQ(write(writer.get(), "x", 1), 1);
        EXPECT_TRUE(busy());
        reactor.dispatch();
        EXPECT_EQ(count, 1);
        reactor.dispatch();
        EXPECT_FALSE(busy());
        group.spawn(count_ready(reactor, reader.get(), 1, count));
        reactor.dispatch();
        EXPECT_EQ(count, 2) << "what was left is found again";
        char taken;
        EXPECT_EQ(read(reader.get(), &taken, 1), hung_up ? 0 : 1);
    }
}

TEST_F(ReactorTest, IsBusyWhenATimerIsDueAndNotBefore) {
    bool fired = false;
    Timer timer(reactor.clock().timers(), [&] { fired = true; });
    timer.arm(reactor.clock().now() + 1h);
    reactor.settle();
    EXPECT_FALSE(busy());
    timer.arm(reactor.clock().now());
    reactor.settle();
    pollfd asked{.fd = reactor.fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&asked, 1, 10'000), 1);
    reactor.dispatch();
    EXPECT_TRUE(fired);
    reactor.settle();
    EXPECT_FALSE(busy());
}

}  // namespace
}  // namespace holdfast::runtime
