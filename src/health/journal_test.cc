#include "health/journal.h"

#include <gtest/gtest.h>

#include "runtime/sim/world.h"

namespace holdfast::health {
namespace {

using namespace std::chrono_literals;
using runtime::Machine;
using runtime::World;

// A node that has a journal and nothing else.
struct JournalNode final : runtime::Node {
    explicit JournalNode(Machine& machine, JournalOptions options = {})
        : journal(*Journal::open(machine.store(), machine.clock(), options)) {
        tasks.spawn(journal->run());
    }
    std::unique_ptr<Journal> journal;
    runtime::TaskGroup tasks;
};

class JournalTest : public testing::Test {
  protected:
    JournalTest() {
        a.run([this](Machine& machine) { return std::make_unique<JournalNode>(machine, options); });
    }
    Journal& journal() { return *static_cast<JournalNode*>(a.node())->journal; }
    void say(std::string to, std::string reason = "why") {
        journal().record("service/shop", "state", "", std::move(to), std::move(reason));
    }

    JournalOptions options{.limits = {.records_max = 100, .per_subject_max = 50}};
    World world{1};
    Machine& a = world.machine("a");
};

TEST_F(JournalTest, KnowsARecordAtOnceAndKeepsItThroughARestartOfTheNode) {
    say("down", "exited with code 1");
    EXPECT_EQ(journal().explain("service/shop").state, "down");
    world.run_for(1s);
    EXPECT_EQ(journal().unwritten(), 0u);
    a.restart_node(1s);
    world.run_for(2s);
    say("ready", "answered");
    auto account = journal().explain("service/shop");
    ASSERT_EQ(account.incidents.size(), 1u);
    EXPECT_EQ(account.incidents[0].cause, "exited with code 1");
    EXPECT_GE(account.incidents[0].lasted, 2s);
    EXPECT_LE(account.incidents[0].lasted, 4s);
    EXPECT_EQ(journal().timeline().last_id(), 2u);
}

TEST_F(JournalTest, LosesNoMoreThanTheLastMomentsToAPowerCut) {
    say("ready");
    world.run_for(3s);
    say("down");
    a.crash();
    a.start();
    auto records = journal().query({.subject = "service/shop", .since = {}});
    ASSERT_GE(records.size(), 1u);
    EXPECT_EQ(records[0].to, "ready");
}

TEST_F(JournalTest, FlushesWhatHasBeenRecorded) {
    say("ready");
    auto flushed = world.complete(journal().flush());
    ASSERT_TRUE(flushed && *flushed);
    a.crash();
    a.start();
    EXPECT_EQ(journal().query({.subject = "service/shop", .since = {}}).size(), 1u);
}

TEST_F(JournalTest, SkipsADamagedRecordAndKeepsTheRest) {
    say("down");
    say("ready");
    ASSERT_TRUE(*world.complete(journal().flush()));
    a.kill_node();
    runtime::Batch batch;
    batch.put("j/" + std::string(7, '\0') + "\x01", "nonsense");
    ASSERT_TRUE(*world.complete(a.store().write(std::move(batch), runtime::Durability::synced)));
    a.start_node();
    EXPECT_EQ(journal().damaged(), 1u);
    auto records = journal().query({.subject = "service/shop", .since = {}});
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].to, "ready");
}

TEST_F(JournalTest, StaysWithinItsBoundsOnTheDiskToo) {
    for (int i = 0; i < 1000; ++i) {
        say(i % 2 ? "ready" : "down");
        if (i % 10 == 0) world.run_for(10ms);
    }
    ASSERT_TRUE(*world.complete(journal().flush()));
    std::size_t stored = 0;
    ASSERT_TRUE(a.store().snapshot()->scan("j/", "j0", [&](auto, auto) { return ++stored; }));
    EXPECT_EQ(stored, 50u);
}

TEST_F(JournalTest, GoesOnInMemoryWhileTheStoreIsHung) {
    a.store().set_faults({.hung = true});
    for (int i = 0; i < 20; ++i) say("down");
    world.run_for(10s);
    EXPECT_EQ(journal().query({.subject = "service/shop", .since = {}}).size(), 20u);
    EXPECT_EQ(journal().unwritten(), 20u);
    a.store().set_faults({});
    world.run_for(10s);
    EXPECT_EQ(journal().unwritten(), 0u);
}

// Records at random, nodes and machines that die at random. Safety: what is read back is a prefix
// of what was recorded, in order, and holds everything that was flushed.
TEST(JournalSimulation, KeepsAPrefixThatHoldsWhatWasFlushed) {
    for (unsigned seed = 0; seed < 150; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        World world(seed);
        auto& a = world.machine("a");
        a.run([](Machine& machine) { return std::make_unique<JournalNode>(machine); });
        auto& random = world.random();
        auto journal = [&]() -> Journal& { return *static_cast<JournalNode*>(a.node())->journal; };
        std::vector<std::string> recorded;
        std::size_t durable = 0;
        for (int i = 0; i < 60; ++i) {
            for (auto n = random.below(10); n > 0; --n) {
                recorded.push_back(std::to_string(random.next()));
                journal().record("node", "x", "", "", recorded.back());
            }
            world.run_for(random.between(0s, 2s));
            if (random.chance(0.2)) {
                auto flushed = world.complete(journal().flush());
                ASSERT_TRUE(flushed && *flushed);
                durable = recorded.size();
            }
            if (!random.chance(0.3)) continue;
            bool power = random.chance(0.5);
            if (power) {
                a.crash();
                a.start();
            } else {
                a.restart_node();
                world.run_for(1ms);
            }
            auto records = journal().query({.subject = "node", .limit = 10000, .since = {}});
            ASSERT_GE(records.size(), durable);
            ASSERT_LE(records.size(), recorded.size());
            for (std::size_t r = 0; r < records.size(); ++r)
                ASSERT_EQ(records[r].reason, recorded[r]);
            recorded.resize(records.size());
            durable = 0;  // Of the rest nobody said so.
        }
    }
}

}  // namespace
}  // namespace holdfast::health
