#include "runtime/sim/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace holdfast::runtime {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

// ---- Time.

TEST(ScheduleTest, RunsEventsAtTheirInstantsInOrder) {
    World world(1);
    std::vector<std::string> log;
    world.after(2s, [&] { log.push_back("two"); });
    world.after(1s, [&] {
        log.push_back("one");
        world.after(0s, [&] { log.push_back("at once"); });
        world.after(1s, [&] { log.push_back("also two"); });
    });
    world.run_until(Instant(1500ms));
    EXPECT_THAT(log, ElementsAre("one", "at once"));
    EXPECT_EQ(world.now(), Instant(1500ms));
    world.run_for(1s);
    EXPECT_THAT(log, ElementsAre("one", "at once", "two", "also two"));
}

TEST(ScheduleTest, StopsWhenTheTestHasSeenWhatItWantsOrWhenItsTimeIsUp) {
    World world(1);
    int count = 0;
    std::function<void()> tick = [&] {
        ++count;
        world.after(1s, tick);
    };
    world.after(1s, tick);
    EXPECT_TRUE(world.run_while([&] { return count < 3; }, 10s));
    EXPECT_EQ(world.now(), Instant(3s));
    EXPECT_FALSE(world.run_while([&] { return count < 100; }, 10s));
    EXPECT_EQ(world.now(), Instant(13s));
}

TEST(ScheduleDeathTest, ALoopInWhichNoTimePassesIsABug) {
    EXPECT_DEATH(
        {
            World world(1);
            std::function<void()> forever = [&] { world.after(0s, forever); };
            forever();
            world.run_for(1s);
        },
        "steps_at_an_instant_max");
}

TEST(SimClockTest, ShowsItsOwnTimeAndSleepsByIt) {
    Schedule schedule;
    SimClock fast(schedule, {.uptime = 100h, .drift_ppb = 100'000'000});
    Instant start = fast.now();
    EXPECT_EQ(start, Instant(100h));
    bool woken = false;
    TaskGroup group;
    group.spawn([](Clock& clock, bool& into) -> Task<void> {
        co_await clock.sleep_for(11s);
        into = true;
    }(fast, woken));
    while (!woken && schedule.step(Instant(1h))) {
    }
    EXPECT_TRUE(woken);
    EXPECT_EQ(schedule.now(), Instant(10s)) << "it gains a tenth";
    EXPECT_EQ(fast.now(), start + 11s);
}

TEST(SimClockTest, TheInstantOfTheWorldIsTheFirstAtWhichTheClockShowsIt) {
    Random random(3);
    for (int i = 0; i < 1000; ++i) {
        SimClock::Options options{.uptime = random.between(0s, 1000h),
                                  .drift_ppb = random.between(-500ms, 500ms).count()};
        Schedule schedule, just_before;
        SimClock clock(schedule, options), same(just_before, options);
        Instant at = clock.now() + random.between(1ns, 1000h);
        Instant world = clock.world_time(at);
        schedule.skip_to(world);
        just_before.skip_to(world - 1ns);
        ASSERT_GE(clock.now(), at);
        ASSERT_LT(same.now(), at);
    }
}

TEST(SimClockTest, APausedClockGoesOnButItsTimersWait) {
    Schedule schedule;
    SimClock clock(schedule, {});
    bool fired = false;
    Timer timer(clock.timers(), [&] { fired = true; });
    timer.arm(Instant(1s));
    clock.pause(5s);
    while (schedule.step(Instant(4s))) {
    }
    EXPECT_FALSE(fired);
    schedule.skip_to(Instant(4s));
    EXPECT_EQ(clock.now(), Instant(4s));
    EXPECT_TRUE(schedule.step(Instant(5s)));
    EXPECT_TRUE(fired);
    EXPECT_EQ(schedule.now(), Instant(5s));
}

TEST(SimClockTest, TheCalendarCanJumpAndTheClockDoesNot) {
    World world(1);
    auto& clock = world.machine("a").clock();
    auto now = clock.now();
    auto wall = clock.wall_now();
    world.machine("a").shift_wall(-1h);
    EXPECT_EQ(clock.now(), now);
    EXPECT_EQ(clock.wall_now(), wall - 1h);
}

TEST(WorldTest, MachinesDisagreeAboutTheTime) {
    World world(1);
    auto& a = world.machine("a").clock();
    auto& b = world.machine("b").clock();
    EXPECT_GT(a.now() > b.now() ? a.now() - b.now() : b.now() - a.now(), 1s);
    auto walls = a.wall_now() - b.wall_now();
    EXPECT_NE(walls, 0s);
    EXPECT_LT(walls > 0s ? walls : -walls, 1s);
}

// ---- A node that talks to everybody: counts what it hears and notes when it was born and died.

class Chatter final : public Node {
  public:
    Chatter(Machine& machine, std::vector<std::string> peers, std::vector<std::string>& log)
        : machine_(machine), log_(log) {
        log_.push_back(machine_.name() + " born");
        tasks_.spawn(serve());
        tasks_.spawn(listen());
        for (auto& peer : peers) {
            tasks_.spawn(call(peer));
            tasks_.spawn(beat(peer));
        }
    }
    ~Chatter() override { log_.push_back(machine_.name() + " dead"); }

    int heard = 0;     // Datagrams.
    int answered = 0;  // Calls of ours.
    int broken = 0;    // Streams of ours.

  private:
    Task<void> serve() {
        auto listener = machine_.network().listen({"0.0.0.0", 7401});
        if (!listener) co_return;
        for (;;) {
            auto stream = co_await (*listener)->accept();
            if (!stream) co_return;
            tasks_.spawn(echo(*std::move(stream)));
        }
    }
    static Task<void> echo(std::unique_ptr<Stream> stream) {
        std::array<char, 1024> buffer;
        for (;;) {
            auto got = co_await stream->read_some(buffer);
            if (!got || *got == 0) co_return;
            if (!co_await stream->write_all({buffer.data(), *got})) co_return;
        }
    }
    Task<void> call(std::string peer) {
        for (;;) {
            auto stream = co_await machine_.network().connect({peer, 7401});
            while (stream) {
                co_await machine_.clock().sleep_for(machine_.random().between(1ms, 100ms));
                if (!co_await (*stream)->write_all("x")) break;
                std::array<char, 16> buffer;
                auto got = co_await (*stream)->read_some(buffer);
                if (!got || *got == 0) break;
                ++answered;
            }
            ++broken;
            co_await machine_.clock().sleep_for(100ms);
        }
    }
    Task<void> listen() {
        auto socket = machine_.network().bind({"0.0.0.0", 7401});
        if (!socket) co_return;
        while (co_await (*socket)->receive()) ++heard;
    }
    Task<void> beat(std::string peer) {
        auto socket = machine_.network().bind({"0.0.0.0", 0});
        if (!socket) co_return;
        for (;;) {
            (*socket)->send({peer, 7401}, "beat");
            co_await machine_.clock().sleep_for(50ms);
        }
    }

    Machine& machine_;
    std::vector<std::string>& log_;
    TaskGroup tasks_;  // Last: the tasks end first.
};

class Worlds : public testing::Test {
  protected:
    void start(World& world, int machines) {
        std::vector<std::string> names;
        for (int i = 0; i < machines; ++i)
            names.push_back(std::string(1, static_cast<char>('a' + i)));
        for (auto& name : names) world.machine(name);
        for (auto& name : names) {
            std::vector<std::string> peers;
            for (auto& other : names)
                if (other != name) peers.push_back(world.machine(other).address());
            world.machine(name).run([peers, this](Machine& machine) {
                return std::make_unique<Chatter>(machine, peers, log);
            });
        }
    }
    static Chatter& chatter(World& world, const std::string& name) {
        return dynamic_cast<Chatter&>(*world.machine(name).node());
    }
    std::vector<std::string> log;
};

std::uint64_t eventful_run(std::uint64_t seed, std::vector<std::string>& trace,
                           const std::function<void(World&)>& start) {
    World world(seed);
    world.fabric().default_link.loss = 0.05;
    world.fabric().default_link.duplicate = 0.05;
    world.fabric().default_link.late = 0.05;
    world.fabric().default_link.reset = 0.01;
    start(world);
    for (int i = 0; i < 10; ++i) {
        world.after(world.random().between(0s, 20s), [&world] {
            auto name = std::string(1, static_cast<char>('a' + world.random().below(3)));
            auto down = world.random().between(10ms, 2s);
            switch (world.random().below(6)) {
                case 0:
                    world.machine(name).restart_node(down);
                    break;
                case 1:
                    world.machine(name).restart(down);
                    break;
                case 2:
                    world.machine(name).restart(down, PeersSee::resets);
                    break;
                case 3:
                    world.machine(name).pause(down);
                    break;
                case 4:
                    world.machine(name).pause_node(down);
                    break;
                default:
                    world.cut("a", name == "a" ? "b" : name);
                    world.after(down, [&world] { world.heal(); });
            }
        });
    }
    world.run_for(30s);
    trace.assign(world.trace().begin(), world.trace().end());
    return world.digest();
}

TEST_F(Worlds, ASeedGivesTheSameTraceTwiceAndAnotherSeedAnother) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        std::vector<std::string> first, second, other;
        auto go = [&](World& world) { start(world, 3); };
        auto digest = eventful_run(seed, first, go);
        EXPECT_EQ(digest, eventful_run(seed, second, go)) << "seed " << seed;
        EXPECT_EQ(first, second);
        EXPECT_NE(digest, eventful_run(seed + 1000, other, go));
    }
}

TEST_F(Worlds, NothingGoesWrongByItself) {
    World world(1);
    start(world, 3);
    world.run_for(10s);
    for (auto name : {"a", "b", "c"}) {
        EXPECT_EQ(chatter(world, name).broken, 0);
        EXPECT_NEAR(chatter(world, name).heard, 400, 10);
        EXPECT_GT(chatter(world, name).answered, 300);
    }
}

TEST_F(Worlds, ALinkLosesAndRepeatsAsOftenAsAsked) {
    World world(1);
    world.link("a", "b").loss = 0.25;
    world.link("b", "a").duplicate = 0.5;
    start(world, 2);
    world.run_for(100s);
    EXPECT_NEAR(chatter(world, "b").heard, 1500, 100);
    EXPECT_NEAR(chatter(world, "a").heard, 3000, 100);
    EXPECT_EQ(chatter(world, "a").broken, 0) << "streams make up for losses";
}

TEST_F(Worlds, AOneWayCutStopsOneWayAndStreamsGoOnAfterwards) {
    World world(1);
    start(world, 2);
    world.run_for(1s);
    world.cut("a", "b");
    world.run_for(100ms);
    int a_before = chatter(world, "a").heard, b_before = chatter(world, "b").heard;
    int answered = chatter(world, "b").answered;
    world.run_for(10s);
    EXPECT_NEAR(chatter(world, "a").heard - a_before, 200, 3);
    EXPECT_EQ(chatter(world, "b").heard, b_before);
    EXPECT_LE(chatter(world, "b").answered, answered + 1);
    world.heal();
    world.run_for(15s);
    EXPECT_GT(chatter(world, "b").answered, answered + 10);
    EXPECT_EQ(chatter(world, "a").broken + chatter(world, "b").broken, 0);
}

TEST_F(Worlds, ASenderGivesUpInTheEnd) {
    World world(1);
    world.fabric().times.send_give_up = 30s;
    start(world, 2);
    world.run_for(1s);
    world.partition({"a"}, {"b"});
    world.run_for(29s);
    EXPECT_EQ(chatter(world, "a").broken, 0);
    world.run_for(15s);
    EXPECT_EQ(chatter(world, "a").broken, 1);
}

TEST_F(Worlds, ACrashIsSilentOrResetsAsAskedAndOldStreamsAreRefusedAfterwards) {
    for (auto peers : {PeersSee::silence, PeersSee::resets}) {
        World world(1);
        start(world, 2);
        world.run_for(1s);
        world.machine("b").crash(peers);
        world.run_for(5s);
        EXPECT_EQ(chatter(world, "a").broken, peers == PeersSee::resets ? 1 : 0);
        EXPECT_EQ(world.machine("b").node(), nullptr);
        world.machine("b").start();
        int answered = chatter(world, "a").answered;
        world.run_for(20s);
        EXPECT_EQ(chatter(world, "a").broken, 1);
        EXPECT_GT(chatter(world, "a").answered, answered + 10);
        EXPECT_GT(chatter(world, "b").answered, 10);
    }
}

TEST_F(Worlds, ARebootStartsTheClockAgainAndKeepsTheCalendar) {
    World world(1);
    auto& machine = world.machine("a");
    auto wall = machine.clock().wall_now();
    machine.restart(10s);
    world.run_for(15s);
    EXPECT_LT(machine.clock().now(), Instant(6s));
    EXPECT_GE(machine.clock().wall_now() - wall, 14s);
    EXPECT_LE(machine.clock().wall_now() - wall, 16s);
}

TEST_F(Worlds, AKilledNodesStreamsCloseAtOnceAndItStartsAgain) {
    World world(1);
    start(world, 2);
    world.run_for(1s);
    world.machine("b").restart_node(2s);
    world.run_for(1s);
    EXPECT_GE(chatter(world, "a").broken, 1);
    world.run_for(2s);
    EXPECT_THAT(log, ElementsAre("a born", "b born", "b dead", "b born"));
    int answered = chatter(world, "a").answered;
    world.run_for(5s);
    EXPECT_GT(chatter(world, "a").answered, answered);
}

TEST_F(Worlds, APausedNodeHearsItAllWhenItGoesOn) {
    World world(1);
    start(world, 2);
    world.run_for(1s);
    int heard = chatter(world, "b").heard;
    world.machine("b").pause_node(5s);
    world.run_for(4900ms);
    EXPECT_EQ(chatter(world, "b").heard, heard);
    world.run_for(200ms);
    EXPECT_NEAR(chatter(world, "b").heard - heard, 102, 3);
    EXPECT_EQ(chatter(world, "a").broken, 0);
}

TEST_F(Worlds, ConnectingToAMachineThatIsDownOrUnknownFailsAfterTcpsPatience) {
    World world(1);
    auto& a = world.machine("a");
    auto down = world.machine("b").address();
    world.machine("b").crash();
    auto start_at = world.now();
    auto outcome = world.complete(a.network().connect({down, 80}), 10min);
    ASSERT_TRUE(outcome && !*outcome);
    EXPECT_THAT(outcome->error().message, testing::HasSubstr("timed out"));
    EXPECT_GE(world.now() - start_at, 127s);
    outcome = world.complete(a.network().connect({"10.9.9.9", 80}), 10s);
    ASSERT_TRUE(outcome && !*outcome);
    EXPECT_THAT(outcome->error().message, testing::HasSubstr("no route"));
}

TEST_F(Worlds, AConnectionAcrossACutIsMadeOnceItHeals) {
    World world(1);
    auto& a = world.machine("a");
    auto& b = world.machine("b");
    auto listener = b.network().listen({b.address(), 80});
    ASSERT_TRUE(listener);
    for (bool there : {true, false}) {
        SCOPED_TRACE(there);
        world.cut(there ? "a" : "b", there ? "b" : "a");
        bool connected = false;
        TaskGroup group;
        group.spawn([](Network& network, Endpoint at, bool& done) -> Task<void> {
            done = (co_await network.connect(at)).has_value();
        }(a.network(), (*listener)->local(), connected));
        world.run_for(10s);
        EXPECT_FALSE(connected);
        world.heal();
        world.run_for(20s);
        EXPECT_TRUE(connected);
    }
}

TEST_F(Worlds, AStreamHeldPastAPowerCutIsDeadAndItsPeerIsRefused) {
    World world(1);
    auto& a = world.machine("a");
    auto& b = world.machine("b");
    auto listener = b.network().listen({b.address(), 80});
    ASSERT_TRUE(listener);
    auto client = world.complete(a.network().connect((*listener)->local()));
    auto server = world.complete((*listener)->accept());
    ASSERT_TRUE(client && *client && server && *server);
    b.restart(1s);
    world.run_for(2s);
    EXPECT_FALSE(*world.complete((**server)->write_all("from the dead")));
    auto ask = [](Stream& stream) -> Task<Result<std::size_t>> {
        std::array<char, 16> buffer;
        co_await stream.write_all("still there?");
        co_return co_await stream.read_some(buffer);
    };
    auto answer = world.complete(ask(***client));
    ASSERT_TRUE(answer && !*answer);
    EXPECT_THAT(answer->error().message, testing::HasSubstr("reset by the peer"));
}

TEST_F(Worlds, AnAddressMovesToWhoClaimsItLast) {
    World world(1);
    auto ask = [](Network& network) -> Task<bool> {
        co_return (co_await network.connect({"10.1.0.1", 80})).has_value();
    };
    auto& b = world.machine("b");
    auto& c = world.machine("c");
    b.host().add_address("10.1.0.1");
    auto at_b = b.network().listen({"10.1.0.1", 80});
    EXPECT_EQ(world.complete(ask(world.machine("a").network())), true);
    c.host().add_address("10.1.0.1");
    EXPECT_EQ(world.complete(ask(world.machine("a").network())), false);
    auto at_c = c.network().listen({"10.1.0.1", 80});
    EXPECT_EQ(world.complete(ask(world.machine("a").network())), true);
    c.host().remove_address("10.1.0.1");
    EXPECT_EQ(world.complete(ask(world.machine("a").network()), 10s), false);
}

TEST_F(Worlds, DiskAndStoreOfAMachineLoseAtMostWhatWasNotSynced) {
    World world(1);
    auto& machine = world.machine("a");
    auto put = [](Store& store, std::string key, Durability durability) -> Task<void> {
        Batch batch;
        batch.put(std::move(key), "1");
        EXPECT_TRUE(co_await store.write(std::move(batch), durability));
    };
    ASSERT_TRUE(world.complete(put(machine.store(), "kept", Durability::synced)));
    ASSERT_TRUE(world.complete(replace_file(machine.disk(), "f", "content")));
    machine.restart(1s);
    world.run_for(2s);
    EXPECT_EQ(machine.store().get("kept"), "1");
    EXPECT_EQ(*world.complete(read_file(machine.disk(), "f", 100)), "content");
}

}  // namespace
}  // namespace holdfast::runtime
