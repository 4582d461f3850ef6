#include "runtime/real/loop.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>

#include "runtime/real/fd.h"

namespace holdfast::runtime {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

struct Ends {
    UniqueFd a, b;
};

Ends socket_pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

void put(int fd, std::string_view bytes) {
    ASSERT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

// Fails a test that would hang.
Task<Result<bool>> done(Task<void> task) {
    co_await std::move(task);
    co_return true;
}
bool in_time(EventLoop& loop, Task<void> task) {
    return loop.complete(within(loop.clock(), 10s, "the test", done(std::move(task)))).has_value();
}

// Whether it comes true in time. What a test expects not to happen it gives one round to happen in.
bool comes_true(EventLoop& loop, const std::function<bool()>& claim) {
    Instant limit = loop.clock().now() + 10s;
    while (!claim() && loop.clock().now() < limit) loop.complete(loop.clock().sleep_for(1ms));
    return claim();
}
void one_round(EventLoop& loop) {
    loop.complete(loop.clock().sleep_for(1ms));
}

// ---- Time.

TEST(EventLoopTest, SleepsAtLeastAsLongAsAskedAndInOrder) {
    EventLoop loop;
    std::vector<int> order;
    Instant start = loop.clock().now();
    auto sleeper = [](EventLoop& l, std::vector<int>& into, Duration d, int mark) -> Task<void> {
        co_await l.clock().sleep_for(d);
        into.push_back(mark);
    };
    loop.complete([](EventLoop& l, std::vector<int>& into, auto sleeps) -> Task<void> {
        co_await all(all(sleeps(l, into, 20ms, 2), sleeps(l, into, 10ms, 1)),
                     sleeps(l, into, 30ms, 3));
    }(loop, order, sleeper));
    EXPECT_THAT(order, ElementsAre(1, 2, 3));
    EXPECT_GE(loop.clock().now() - start, 30ms);
}

TEST(EventLoopTest, ShowsTheTimeSinceBootAndTheCalendar) {
    EventLoop loop;
    timespec boot{};
    clock_gettime(CLOCK_BOOTTIME, &boot);
    auto ours = loop.clock().now().time_since_epoch();
    EXPECT_NEAR(static_cast<double>(ours / 1ms),
                static_cast<double>(boot.tv_sec) * 1e3 + static_cast<double>(boot.tv_nsec) / 1e6,
                10'000);
    EXPECT_GT(loop.clock().wall_now(), WallTime(24h * 365 * 50));
}

TEST(EventLoopTest, AnEarlierTimerArmedFromAPostOvertakesALaterOne) {
    EventLoop loop;
    bool fired = false;
    Timer late(loop.clock().timers(), [&] { FAIL() << "an hour has not passed"; });
    Timer soon(loop.clock().timers(), [&] {
        fired = true;
        loop.stop();
    });
    late.arm(loop.clock().now() + 1h);
    loop.post([&] { soon.arm(loop.clock().now() + 1ms); });
    loop.run();
    EXPECT_TRUE(fired);
}

// ---- Posting.

TEST(EventLoopTest, RunsWhatIsPostedInOrderOnItsOwnThread) {
    EventLoop loop;
    std::vector<int> order;
    auto here = std::this_thread::get_id();
    for (int i = 0; i < 3; ++i)
        loop.post([&, i] {
            order.push_back(i);
            EXPECT_EQ(std::this_thread::get_id(), here);
        });
    loop.post([&] { loop.stop(); });
    EXPECT_TRUE(order.empty());
    loop.run();
    EXPECT_THAT(order, ElementsAre(0, 1, 2));
}

TEST(EventLoopTest, TakesPostsFromManyThreads) {
    constexpr int per_thread = 1000;
    EventLoop loop;
    int count = 0;  // Of the loop's thread only.
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < per_thread; ++i)
                loop.post([&] {
                    if (++count == 4 * per_thread) loop.stop();
                });
        });
    loop.run();
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(count, 4 * per_thread);
}

TEST(EventLoopTest, StopsFromAnotherThreadAndAlsoBeforeItRuns) {
    EventLoop loop;
    loop.stop();
    loop.run();
    std::thread stopper([&] { loop.stop(); });
    loop.run();
    stopper.join();
}

TEST(EventLoopTest, DestroysWhatWasPostedButNotRun) {
    auto owned = std::make_shared<int>(1);
    {
        EventLoop loop;
        loop.post([owned] { FAIL(); });
    }
    EXPECT_EQ(owned.use_count(), 1);
}

// ---- Readiness.

Task<void> read_when_ready(EventLoop& loop, int fd, std::string& into) {
    char buffer[64];
    for (;;) {
        auto got = read(fd, buffer, sizeof buffer);
        if (got >= 0) {
            into.append(buffer, static_cast<std::size_t>(got));
            co_return;
        }
        co_await loop.readable(fd);
    }
}

TEST(Readiness, WaitsUntilThereIsSomethingToRead) {
    EventLoop loop;
    auto ends = socket_pair();
    std::string got;
    TaskGroup group;
    group.spawn(read_when_ready(loop, ends.a.get(), got));
    one_round(loop);
    EXPECT_EQ(got, "");
    put(ends.b.get(), "hello");
    EXPECT_TRUE(comes_true(loop, [&] { return got == "hello"; }));
}

TEST(Readiness, ReadersAndWritersOfOneDescriptorDoNotDisturbEachOther) {
    EventLoop loop;
    auto ends = socket_pair();
    std::string got;
    TaskGroup group;
    group.spawn(read_when_ready(loop, ends.a.get(), got));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(in_time(loop, loop.writable(ends.a.get())));
    EXPECT_EQ(group.size(), 1u);
    put(ends.b.get(), "x");
    EXPECT_TRUE(in_time(loop, loop.readable(ends.a.get())));
    EXPECT_TRUE(comes_true(loop, [&] { return got == "x"; }));
}

TEST(Readiness, WakesAllWhoWaitForOneDescriptor) {
    EventLoop loop;
    auto ends = socket_pair();
    int woken = 0;
    TaskGroup group;
    for (int i = 0; i < 3; ++i)
        group.spawn([](EventLoop& l, int fd, int& count) -> Task<void> {
            co_await l.readable(fd);
            ++count;
        }(loop, ends.a.get(), woken));
    put(ends.b.get(), "x");
    EXPECT_TRUE(comes_true(loop, [&] { return woken == 3; }));
}

TEST(Readiness, AHangupWakesReadersAndWriters) {
    EventLoop loop;
    auto ends = socket_pair();
    ends.b = UniqueFd();
    EXPECT_TRUE(in_time(loop, loop.readable(ends.a.get())));
    EXPECT_TRUE(in_time(loop, loop.writable(ends.a.get())));
}

TEST(Readiness, TheEndOfAPipeWakesItsReader) {
    EventLoop loop;
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    UniqueFd reader(fds[0]), writer(fds[1]);
    std::string got;
    TaskGroup group;
    group.spawn(read_when_ready(loop, reader.get(), got));
    writer = UniqueFd();
    EXPECT_TRUE(comes_true(loop, [&] { return group.size() == 0; }));
}

TEST(Readiness, AnAbandonedWaitIsForgottenSoThatTheDescriptorsNumberCanBeUsedAgain) {
    EventLoop loop;
    for (int i = 0; i < 3; ++i) {
        auto ends = socket_pair();
        std::string got;
        {
            TaskGroup group;
            group.spawn(read_when_ready(loop, ends.a.get(), got));
        }
        put(ends.b.get(), "x");
        EXPECT_TRUE(in_time(loop, read_when_ready(loop, ends.a.get(), got)));
        EXPECT_EQ(got, "x");
    }
}

TEST(Readiness, OneWhoIsWokenMayEndAnotherWhoIsReadyToo) {
    EventLoop loop;
    auto first = socket_pair(), second = socket_pair();
    TaskGroup others;
    std::string lost;
    auto killer = [](EventLoop& l, int fd, TaskGroup& victims) -> Task<void> {
        co_await l.readable(fd);
        victims.stop();
    };
    // Both are ready in the same round; whichever is woken first, nothing breaks.
    others.spawn(read_when_ready(loop, second.a.get(), lost));
    put(first.b.get(), "x");
    put(second.b.get(), "x");
    EXPECT_TRUE(in_time(loop, killer(loop, first.a.get(), others)));
    EXPECT_EQ(others.size(), 0u);
}

TEST(Readiness, ARegularFileIsAlwaysReady) {
    EventLoop loop;
    UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(file.valid());
    EXPECT_TRUE(in_time(loop, loop.readable(file.get())));
}

// ---- Signals.

Task<void> keep_signal(EventLoop& loop, std::vector<int> wanted, std::vector<int>& into) {
    into.push_back(co_await loop.next_signal(std::move(wanted)));
}

TEST(Signals, ReachWhoWaitsForThemAndAreKeptMergedForWhoWillWait) {
    EventLoop loop;
    std::vector<int> got;
    TaskGroup group;
    group.spawn(keep_signal(loop, {SIGUSR1, SIGUSR2}, got));
    kill(getpid(), SIGUSR2);
    EXPECT_TRUE(comes_true(loop, [&] { return !got.empty(); }));
    EXPECT_THAT(got, ElementsAre(SIGUSR2));

    // Another taken afterwards shows that the loop has seen both of these.
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    EXPECT_TRUE(in_time(loop, keep_signal(loop, {SIGUSR1}, got)));
    EXPECT_THAT(got, ElementsAre(SIGUSR2, SIGUSR1));
}

TEST(Signals, OfOneKindThatNobodyWaitedForAreOne) {
    EventLoop loop;
    std::vector<int> got;
    TaskGroup group;
    group.spawn(keep_signal(loop, {SIGUSR1, SIGUSR2}, got));
    kill(getpid(), SIGUSR2);
    EXPECT_TRUE(comes_true(loop, [&] { return got.size() == 1; }));
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    group.spawn(keep_signal(loop, {SIGUSR2}, got));
    kill(getpid(), SIGUSR2);  // Comes after those two.
    EXPECT_TRUE(comes_true(loop, [&] { return got.size() == 2; }));
    group.spawn(keep_signal(loop, {SIGUSR1}, got));
    group.spawn(keep_signal(loop, {SIGUSR1}, got));
    one_round(loop);
    EXPECT_THAT(got, ElementsAre(SIGUSR2, SIGUSR2, SIGUSR1));
    EXPECT_EQ(group.size(), 1u);
}

TEST(Signals, GoToTheOneThatNamesThem) {
    EventLoop loop;
    std::vector<int> hangups, users;
    TaskGroup group;
    group.spawn(keep_signal(loop, {SIGHUP}, hangups));
    group.spawn(keep_signal(loop, {SIGUSR1}, users));
    kill(getpid(), SIGUSR1);
    EXPECT_TRUE(comes_true(loop, [&] { return !users.empty(); }));
    EXPECT_TRUE(hangups.empty());
}

// ---- The pool.

TEST(PoolTest, HandsTheValueBackOnTheLoop) {
    EventLoop loop;
    auto here = std::this_thread::get_id();
    auto there = loop.complete(loop.on_pool([] { return std::this_thread::get_id(); }));
    EXPECT_NE(there, here);
    auto pointer = loop.complete(loop.on_pool([] { return std::make_unique<int>(7); }));
    EXPECT_EQ(*pointer, 7);
    bool ran = false;
    loop.complete(loop.on_pool([&] { ran = true; }));
    EXPECT_TRUE(ran);
}

TEST(PoolTest, ThrowsWhatTheJobThrew) {
    EventLoop loop;
    EXPECT_THROW(loop.complete(loop.on_pool([]() -> int { throw std::runtime_error("job"); })),
                 std::runtime_error);
}

TEST(PoolTest, RunsAsManyJobsAtOnceAsItHasThreads) {
    EventLoop loop({.pool_threads = 3});
    std::latch all_running(3);
    auto job = [&] { all_running.arrive_and_wait(); };
    loop.complete([](EventLoop& l, auto work) -> Task<void> {
        co_await all(all(l.on_pool(work), l.on_pool(work)), l.on_pool(work));
    }(loop, job));
}

TEST(PoolTest, RunsMoreJobsThanItHasThreads) {
    EventLoop loop({.pool_threads = 2});
    std::atomic<int> ran = 0;
    int finished = 0;
    TaskGroup group;
    for (int i = 0; i < 100; ++i)
        group.spawn([](EventLoop& l, std::atomic<int>& count, int& ended) -> Task<void> {
            co_await l.on_pool([&count] { ++count; });
            if (++ended == 100) l.stop();
        }(loop, ran, finished));
    loop.run();
    EXPECT_EQ(ran, 100);
}

TEST(PoolTest, AJobOutlivesItsTaskAndEndsOnTheLoopsThread) {
    EventLoop loop;
    std::latch abandoned(1);
    std::atomic<bool> ran = false;
    std::thread::id destroyed_on;
    struct Owned {
        explicit Owned(std::thread::id& mark) : where(&mark) {}
        Owned(Owned&& other) noexcept : where(std::exchange(other.where, nullptr)) {}
        Owned& operator=(Owned&&) = delete;
        ~Owned() {
            if (where) *where = std::this_thread::get_id();
        }
        std::thread::id* where;
    };
    {
        TaskGroup group;
        group.spawn(loop.on_pool([owned = Owned(destroyed_on), &abandoned, &ran] {
            abandoned.wait();
            ran = true;
        }));
    }
    abandoned.count_down();
    while (destroyed_on == std::thread::id()) loop.complete(loop.clock().sleep_for(1ms));
    EXPECT_TRUE(ran);
    EXPECT_EQ(destroyed_on, std::this_thread::get_id());
}

TEST(PoolTest, TheLoopsDestructorRunsWhatIsQueued) {
    std::atomic<int> ran = 0;
    {
        EventLoop loop({.pool_threads = 1});
        TaskGroup group;
        for (int i = 0; i < 10; ++i) group.spawn(loop.on_pool([&ran] { ++ran; }));
        group.stop();
    }
    EXPECT_EQ(ran, 10);
}

}  // namespace
}  // namespace holdfast::runtime
