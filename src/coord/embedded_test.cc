#include "coord/embedded.h"

#include <gtest/gtest.h>

#include "runtime/random.h"
#include "runtime/sim/store.h"
#include "runtime/storage_stepper.h"

namespace holdfast::coord {
namespace {

using runtime::Random;
using runtime::SimStore;
using runtime::Started;
using runtime::StoreFaults;
using runtime::VirtualStepper;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr StoreFaults slow{.latency_least = milliseconds(1), .latency_most = milliseconds(5)};

class Embedded : public ::testing::Test {
  protected:
    void open(EmbeddedOptions options = {}) {
        coordinator_ = *EmbeddedCoordinator::open(store_, stepper_.clock(), options);
    }
    void crash() {
        coordinator_.reset();
        store_.crash();
        open();
    }
    template <class T>
    T run(runtime::Task<T> task) {
        return stepper_.finish(std::move(task));
    }
    Result<Outcome> commit(std::vector<Operation> then) {
        return run(coordinator_->commit({.when = {}, .then = std::move(then)}));
    }
    Started<Result<Outcome>> start(Transaction transaction) {
        return stepper_.start(coordinator_->commit(std::move(transaction)));
    }
    void store_bytes(std::string key, std::string value) {
        runtime::Batch batch;
        batch.put(std::move(key), std::move(value));
        ASSERT_TRUE(run(store_.write(std::move(batch), runtime::Durability::synced)));
    }
    Errc open_error() {
        const auto opened = EmbeddedCoordinator::open(store_, stepper_.clock());
        return opened ? Errc::in_doubt : opened.error().code;
    }

    VirtualStepper stepper_;
    SimStore store_{stepper_.clock(), Random(1), slow};
    std::unique_ptr<EmbeddedCoordinator> coordinator_ =
        *EmbeddedCoordinator::open(store_, stepper_.clock());
};

TEST_F(Embedded, ShowsNothingBeforeItIsDurable) {
    const auto watch = coordinator_->watch("", 0);
    auto waiting = stepper_.start(watch->next());
    store_.set_faults({.hung = true});
    auto first = start({.when = {}, .then = {put("a", "1")}});
    auto second = start({.when = {{"a", 1}}, .then = {put("b", "1")}});
    auto refused = start({.when = {{"b", 0}}, .then = {put("c", "1")}});
    stepper_.pass(seconds(1));
    EXPECT_FALSE(first.done() || second.done() || refused.done() || waiting.done());
    EXPECT_EQ(run(coordinator_->get("a")), std::nullopt);
    EXPECT_EQ(run(coordinator_->list(""))->revision, 0);
    store_.set_faults(slow);
    EXPECT_EQ(stepper_.finish(second)->revision, 2);
    EXPECT_TRUE(first.done() && first.value()->applied);
    EXPECT_FALSE(stepper_.finish(refused)->applied);
    EXPECT_TRUE(waiting.done());
    EXPECT_EQ(run(coordinator_->get("b"))->value().value, "1");
}

TEST_F(Embedded, WritesWhatGathersAsOneBatch) {
    std::vector<Started<Result<Outcome>>> commits;
    for (int i = 0; i < 1000; ++i) {
        commits.push_back(start({.when = {}, .then = {put(std::to_string(i), "")}}));
    }
    const auto began = stepper_.clock().now();
    EXPECT_EQ(stepper_.finish(commits.back())->revision, 1000);
    EXPECT_LE(stepper_.clock().now() - began, milliseconds(10));
}

TEST_F(Embedded, AnswersInDoubtAfterItsDeadline) {
    store_.set_faults({.hung = true});
    auto late = start({.when = {}, .then = {put("a", "1")}});
    const auto outcome = stepper_.finish(late);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::in_doubt);
    store_.set_faults(slow);
    EXPECT_EQ(commit({put("b", "1")})->revision, 2);
    EXPECT_TRUE(run(coordinator_->get("a"))->has_value());
}

TEST_F(Embedded, RefusesChangesAfterTheStoreHasFailedAndGoesOnReading) {
    ASSERT_TRUE(commit({put("a", "1")}));
    auto broken = slow;
    broken.write_error = 1;
    store_.set_faults(broken);
    auto in_doubt = start({.when = {}, .then = {put("a", "2")}});
    auto behind = start({.when = {}, .then = {put("a", "3")}});
    EXPECT_EQ(stepper_.finish(in_doubt).error().code, Errc::in_doubt);
    EXPECT_EQ(stepper_.finish(behind).error().code, Errc::unavailable);
    EXPECT_EQ(commit({put("a", "4")}).error().code, Errc::unavailable);
    EXPECT_EQ(run(coordinator_->grant_lease(seconds(1))).error().code, Errc::unavailable);
    EXPECT_EQ(run(coordinator_->get("a"))->value().value, "1");
    EXPECT_EQ(run(coordinator_->list(""))->revision, 1);
    store_.set_faults(slow);
    crash();
    EXPECT_TRUE(commit({put("a", "5")}));
}

TEST(EmbeddedOpenedTooEarly, RefusesChangesRatherThanLoseOneThatArrivesLate) {
    int refused = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        VirtualStepper stepper;
        SimStore store(stepper.clock(), Random(seed), slow);
        auto earlier = *EmbeddedCoordinator::open(store, stepper.clock());
        ASSERT_TRUE(stepper.finish(earlier->commit({.when = {}, .then = {put("a", "1")}})));
        {
            auto late = stepper.start(earlier->commit({.when = {}, .then = {put("a", "2")}}));
        }
        earlier.reset();
        auto later = *EmbeddedCoordinator::open(store, stepper.clock());
        const auto outcome = stepper.finish(later->commit({.when = {}, .then = {put("b", "1")}}));
        later.reset();
        if (!outcome) {
            EXPECT_EQ(outcome.error().code, Errc::unavailable);
            ++refused;
        }
        ASSERT_TRUE(stepper.finish(store.flush()));
        auto last = *EmbeddedCoordinator::open(store, stepper.clock());
        EXPECT_EQ(last->revision(), outcome ? 3 : 2);
        EXPECT_EQ(stepper.finish(last->get("a"))->value().value, "2");
    }
    EXPECT_GT(refused, 0);
    EXPECT_LT(refused, 50);
}

TEST_F(Embedded, ShedsWhatTheDiskCannotFollow) {
    open({.waiting_max = 10});
    store_.set_faults({.hung = true});
    std::vector<Started<Result<Outcome>>> commits;
    for (int i = 0; i < 20; ++i) commits.push_back(start({.when = {}, .then = {put("a", "")}}));
    ASSERT_TRUE(commits.back().done());
    EXPECT_EQ(commits.back().value().error().code, Errc::exhausted);
    store_.set_faults(slow);
    EXPECT_TRUE(stepper_.finish(commits.front()));
}

TEST_F(Embedded, EndsALeaseAtItsEndAndNotBefore) {
    const auto lease = *run(coordinator_->grant_lease(seconds(10)));
    ASSERT_TRUE(commit({put("l", "1", lease)}));
    for (int i = 0; i < 5; ++i) {
        stepper_.pass(seconds(9));
        ASSERT_TRUE(run(coordinator_->keep_lease(lease)));
    }
    stepper_.pass(seconds(9));
    EXPECT_TRUE(run(coordinator_->get("l"))->has_value());
    stepper_.pass(seconds(2));
    EXPECT_FALSE(run(coordinator_->get("l"))->has_value());
    EXPECT_EQ(run(coordinator_->keep_lease(lease)).error().code, Errc::not_found);
}

TEST_F(Embedded, GivesLeasesTheirFullTimeAfterARestart) {
    const auto lease = *run(coordinator_->grant_lease(seconds(10)));
    ASSERT_TRUE(commit({put("l", "1", lease)}));
    stepper_.pass(seconds(9));
    crash();
    stepper_.pass(seconds(9));
    EXPECT_TRUE(run(coordinator_->get("l"))->has_value());
    stepper_.pass(seconds(2));
    EXPECT_FALSE(run(coordinator_->get("l"))->has_value());
}

TEST_F(Embedded, RefusesTooManyLeases) {
    open({.leases_max = 2});
    EXPECT_TRUE(run(coordinator_->grant_lease(hours(1))));
    const auto second = run(coordinator_->grant_lease(hours(1)));
    EXPECT_EQ(run(coordinator_->grant_lease(hours(1))).error().code, Errc::exhausted);
    ASSERT_TRUE(run(coordinator_->revoke_lease(*second)));
    EXPECT_TRUE(run(coordinator_->grant_lease(hours(1))));
}

TEST_F(Embedded, LeavesNothingOfEndedLeasesAndErasedKeysInTheStore) {
    const auto lease = *run(coordinator_->grant_lease(hours(1)));
    const auto other = *run(coordinator_->grant_lease(hours(1)));
    ASSERT_TRUE(commit({put("a", "1", lease), put("b", "1", lease), put("c", "1", lease)}));
    ASSERT_TRUE(commit({put("a", "2", other), put("b", "2")}));
    ASSERT_TRUE(commit({erase("b")}));
    ASSERT_TRUE(run(coordinator_->revoke_lease(lease)));
    ASSERT_TRUE(run(coordinator_->revoke_lease(other)));
    std::vector<std::string> left;
    ASSERT_TRUE(store_.snapshot()->scan("", "", [&](auto key, auto) {
        left.emplace_back(key);
        return true;
    }));
    EXPECT_EQ(left, std::vector<std::string>{"c/h"});
}

TEST_F(Embedded, StaysWithinItsOwnPartOfTheStore) {
    store_bytes("b", "not ours");
    store_bytes("c0", "not ours");
    ASSERT_TRUE(commit({put("\xff\xff", "1"), put("a", "1")}));
    ASSERT_TRUE(commit({erase_prefix("\xff")}));
    EXPECT_EQ(run(coordinator_->list(""))->entries.size(), 1);
    EXPECT_EQ(store_.get("b"), "not ours");
    EXPECT_EQ(store_.get("c0"), "not ours");
}

TEST_F(Embedded, RefusesDamagedStateAndStateOfAnotherFormat) {
    ASSERT_TRUE(commit({put("a", "1")}));
    coordinator_.reset();
    const auto header = store_.get("c/h")->value();
    store_bytes("c/h", encode_header({.revision = 0, .leases_granted = 0}));
    EXPECT_EQ(open_error(), Errc::corrupt);
    store_bytes("c/h", header.substr(1));
    EXPECT_EQ(open_error(), Errc::invalid);
    store_bytes("c/h", "");
    EXPECT_EQ(open_error(), Errc::corrupt);
    store_bytes("c/h", header);
    store_bytes("c/k/b", "short");
    EXPECT_EQ(open_error(), Errc::corrupt);
    store_bytes("c/k/b", std::string(24, '\0'));
    EXPECT_EQ(open_error(), Errc::corrupt);
    store_bytes("c/k/b", encode_entry({.key = "b", .value = "", .created = 1, .modified = 1}));
    store_bytes("c/l/short", encode_lease(seconds(1)));
    EXPECT_EQ(open_error(), Errc::corrupt);
}

// Random transactions, several under way, and power cuts.

using State = std::map<std::string, Entry>;

// The plainest reading of what a transaction does.
bool apply(State& state, const Transaction& transaction, Revision revision) {
    for (const auto& compare : transaction.when) {
        const auto found = state.find(compare.key);
        if ((found == state.end() ? 0 : found->second.modified) != compare.modified) return false;
    }
    for (const auto& operation : transaction.then) {
        if (operation.kind == Operation::Kind::erase_prefix) {
            std::erase_if(state,
                          [&](const auto& one) { return one.first.starts_with(operation.key); });
        } else if (operation.kind == Operation::Kind::erase) {
            state.erase(operation.key);
        } else {
            auto& entry = state[operation.key];
            entry = {.key = operation.key,
                     .value = operation.value,
                     .created = entry.created ? entry.created : revision,
                     .modified = revision};
        }
    }
    return true;
}

class History {
  public:
    History() : states_{{}} {}
    Revision head() const { return states_.size() - 1; }
    const State& at(Revision revision) const { return states_.at(revision); }
    void forget_after(Revision revision) { states_.resize(revision + 1); }

    Outcome apply(const Transaction& transaction) {
        auto next = states_.back();
        const bool applied = coord::apply(next, transaction, head() + 1);
        if (applied && next != states_.back()) states_.push_back(std::move(next));
        return {.applied = applied, .revision = head()};
    }

    Transaction any(Random& random) const {
        const auto key = [&random] { return "k" + std::to_string(random.below(6)); };
        Transaction transaction;
        if (random.chance(0.5)) {
            const auto compared = key();
            const auto found = states_.back().find(compared);
            auto modified = found == states_.back().end() ? 0 : found->second.modified;
            if (random.chance(0.2)) ++modified;
            transaction.when.push_back({compared, modified});
        }
        const auto subject = key();
        const auto kind = random.below(10);
        if (kind < 6) transaction.then.push_back(put(subject, std::to_string(random.next())));
        if (kind >= 6 && kind < 9) transaction.then.push_back(erase(subject));
        if (kind == 9) transaction.then.push_back(erase_prefix("k"));
        if (kind < 8) transaction.then.push_back(put("m" + subject, "both"));
        return transaction;
    }

  private:
    std::vector<State> states_;  // By revision.
};

class PowerCuts {
  public:
    explicit PowerCuts(std::uint64_t seed)
        : random_(seed), store_(stepper_.clock(), random_.fork(), slow) {}

    void live() {
        auto coordinator = *EmbeddedCoordinator::open(store_, stepper_.clock());
        check_state(*coordinator);
        {
            struct UnderWay {
                Outcome expected;
                Started<Result<Outcome>> commit;
            };
            std::vector<UnderWay> under_way;
            auto watched = coordinator->watch("", coordinator->revision());
            State folded = history_.at(coordinator->revision());
            for (auto count = random_.below(30); count > 0; --count) {
                const auto transaction = history_.any(random_);
                const auto expected = history_.apply(transaction);
                under_way.push_back({expected, stepper_.start(coordinator->commit(transaction))});
                for (auto steps = random_.below(3); steps > 0; --steps) stepper_.step();
            }
            for (auto& [expected, commit] : under_way) {
                if (!commit.done()) continue;
                ASSERT_TRUE(commit.value());
                EXPECT_EQ(commit.value()->applied, expected.applied);
                EXPECT_EQ(commit.value()->revision, expected.revision);
                acknowledged_ = std::max(acknowledged_, expected.revision);
            }
            check_watch(*watched, folded, coordinator->revision());
            EXPECT_GE(coordinator->revision(), acknowledged_);
        }
        coordinator.reset();
        store_.crash();
    }

  private:
    void check_state(EmbeddedCoordinator& coordinator) {
        const auto listing = stepper_.finish(coordinator.list(""));
        ASSERT_TRUE(listing);
        ASSERT_GE(listing->revision, acknowledged_) << "an acknowledged transaction is lost";
        ASSERT_LE(listing->revision, history_.head());
        State found;
        for (const auto& entry : listing->entries) found[entry.key] = entry;
        ASSERT_EQ(found, history_.at(listing->revision)) << "not a prefix of the transactions";
        history_.forget_after(listing->revision);
        acknowledged_ = listing->revision;
    }

    void check_watch(Watch& watch, State folded, Revision until) {
        auto next = stepper_.start(watch.next());
        if (next.done()) {
            for (const auto& change : next.value()->changes) {
                if (change.kind == Change::Kind::put) folded[change.entry.key] = change.entry;
                if (change.kind == Change::Kind::erase) folded.erase(change.entry.key);
            }
        }
        EXPECT_EQ(folded, history_.at(until)) << "a watch tells of what is not durable, or less";
    }

    VirtualStepper stepper_;
    Random random_;
    SimStore store_;
    History history_;
    Revision acknowledged_ = 0;
};

TEST(EmbeddedPowerCuts, LeaveAPrefixOfTheTransactionsWithAllThatWereAcknowledged) {
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        PowerCuts world(seed);
        for (int life = 0; life < 5; ++life) {
            world.live();
            ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << ", life " << life;
        }
    }
}

}  // namespace
}  // namespace holdfast::coord
