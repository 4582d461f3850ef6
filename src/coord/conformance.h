// What every Coordinator promises: one suite for all implementations. Include it in one file of a
// test program and instantiate CoordinatorConformance. For tests.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coord/coordinator.h"
#include "runtime/random.h"
#include "runtime/storage_stepper.h"

namespace holdfast::coord {

class CoordinatorSubject {
  public:
    virtual ~CoordinatorSubject() = default;
    virtual Coordinator& coordinator() = 0;
    virtual runtime::Stepper& stepper() = 0;
    // Ends the coordinator, roughly, and makes another on what has stayed. No call or watch is
    // left.
    virtual void restart() = 0;
    // Makes the coordinator forget its history of changes.
    virtual void compact() = 0;
    virtual int transactions() = 0;  // In tests of many: as many as its speed allows.
};

struct CoordinatorFactory {
    std::string name;
    std::function<std::unique_ptr<CoordinatorSubject>()> make;
};

class CoordinatorConformance : public ::testing::TestWithParam<CoordinatorFactory> {
  protected:
    using State = std::map<std::string, Entry>;

    Coordinator& coordinator() { return subject_->coordinator(); }
    runtime::Stepper& stepper() { return subject_->stepper(); }

    template <class T>
    T run(runtime::Task<T> task) {
        return stepper().finish(std::move(task));
    }
    Outcome commit(Transaction transaction) {
        const auto outcome = run(coordinator().commit(std::move(transaction)));
        EXPECT_TRUE(outcome) << outcome.error().message;
        return outcome.value_or(Outcome{});
    }
    Revision put_one(const std::string& key, const std::string& value, LeaseId lease = 0) {
        const auto outcome = commit({.when = {}, .then = {put(key, value, lease)}});
        EXPECT_TRUE(outcome.applied);
        return outcome.revision;
    }
    std::optional<Entry> get(const std::string& key) {
        const auto entry = run(coordinator().get(key));
        EXPECT_TRUE(entry);
        return entry.value_or(std::nullopt);
    }
    Listing list(const std::string& prefix) {
        const auto listing = run(coordinator().list(prefix));
        EXPECT_TRUE(listing);
        return listing.value_or(Listing{});
    }
    std::vector<std::string> keys(const std::string& prefix) {
        std::vector<std::string> found;
        for (const auto& entry : list(prefix).entries) found.push_back(entry.key);
        return found;
    }
    LeaseId grant(Duration time_to_live) {
        const auto lease = run(coordinator().grant_lease(time_to_live));
        EXPECT_TRUE(lease);
        return lease.value_or(0);
    }
    template <class T>
    Errc error_of(runtime::Task<Result<T>> task) {
        const auto result = run(std::move(task));
        EXPECT_FALSE(result);
        if (!result) EXPECT_NE(result.error().message, "");
        return result ? Errc::in_doubt : result.error().code;
    }
    // Errors of a watch are not final.
    WatchEvent next(Watch& watch) {
        for (int tries = 0; tries < 100; ++tries) {
            if (auto event = run(watch.next())) return *std::move(event);
        }
        ADD_FAILURE() << "a watch with nothing but errors";
        return {};
    }
    static void fold(State& state, const WatchEvent& event) {
        if (event.resync) state.clear();
        for (const auto& change : event.changes) {
            if (change.kind == Change::Kind::put) {
                state[change.entry.key] = change.entry;
            } else {
                state.erase(change.entry.key);
            }
        }
    }
    State follow(Watch& watch, State state, Revision until) {
        Revision reported = 0;
        while (reported < until) {
            const auto event = next(watch);
            EXPECT_GT(event.revision, reported);
            reported = event.revision;
            fold(state, event);
        }
        return state;
    }
    State state_of(const std::string& prefix) {
        State state;
        for (const auto& entry : list(prefix).entries) state[entry.key] = entry;
        return state;
    }

    std::unique_ptr<CoordinatorSubject> subject_ = GetParam().make();
};

using Strings = std::vector<std::string>;

// Transactions.

TEST_P(CoordinatorConformance, GetsWhatWasCommittedWithItsRevisions) {
    EXPECT_EQ(get("a/b"), std::nullopt);
    const auto first = put_one("a/b", "1");
    EXPECT_EQ(get("a/b"), (Entry{.key = "a/b", .value = "1", .created = first, .modified = first}));
    const auto second = put_one("a/b", "");
    EXPECT_EQ(get("a/b"), (Entry{.key = "a/b", .value = "", .created = first, .modified = second}));
    commit({.when = {}, .then = {erase("a/b")}});
    EXPECT_EQ(get("a/b"), std::nullopt);
    const auto third = put_one("a/b", "3");
    EXPECT_EQ(get("a/b")->created, third);
}

TEST_P(CoordinatorConformance, AppliesAllOperationsOrNone) {
    const auto before = put_one("a", "1");
    put_one("b", "1");
    const auto refused = commit({.when = {{"a", before}, {"b", before}},
                                 .then = {put("a", "2"), put("c", "2"), erase("b")}});
    EXPECT_FALSE(refused.applied);
    EXPECT_EQ(keys(""), (Strings{"a", "b"}));
    const auto applied =
        commit({.when = {{"a", before}}, .then = {put("a", "2"), put("c", "2"), erase("b")}});
    EXPECT_TRUE(applied.applied);
    EXPECT_EQ(keys(""), (Strings{"a", "c"}));
    EXPECT_EQ(get("a")->modified, applied.revision);
    EXPECT_EQ(get("c")->modified, applied.revision);
}

TEST_P(CoordinatorConformance, ComparesRevisionsAndAbsence) {
    EXPECT_FALSE(commit({.when = {{"a", 1}}, .then = {put("a", "x")}}).applied);
    EXPECT_TRUE(commit({.when = {{"a", 0}}, .then = {put("a", "1")}}).applied);
    EXPECT_FALSE(commit({.when = {{"a", 0}}, .then = {put("a", "x")}}).applied);
    const auto modified = get("a")->modified;
    EXPECT_FALSE(commit({.when = {{"a", modified + 1}}, .then = {put("a", "x")}}).applied);
    EXPECT_TRUE(commit({.when = {{"a", modified}}, .then = {erase("a")}}).applied);
    EXPECT_FALSE(commit({.when = {{"a", modified}}, .then = {put("a", "x")}}).applied);
    EXPECT_TRUE(commit({.when = {{"a", 0}}, .then = {put("a", "2")}}).applied);
}

TEST_P(CoordinatorConformance, RaisesTheRevisionByOneWithEachTransactionThatChangesSomething) {
    const auto start = list("").revision;
    EXPECT_EQ(put_one("a", "1"), start + 1);
    EXPECT_EQ(put_one("a", "1"), start + 2);
    EXPECT_EQ(commit({.when = {{"a", 0}}, .then = {put("a", "x")}}).revision, start + 2);
    const auto nothing = commit({.when = {}, .then = {erase("none"), erase_prefix("no/")}});
    EXPECT_TRUE(nothing.applied);
    EXPECT_EQ(nothing.revision, start + 2);
    EXPECT_EQ(commit({.when = {}, .then = {put("b", ""), put("c", "")}}).revision, start + 3);
    EXPECT_EQ(list("").revision, start + 3);
}

TEST_P(CoordinatorConformance, LetsOneOfManyConcurrentSwapsWin) {
    const auto before = put_one("a", "0");
    std::vector<runtime::Started<Result<Outcome>>> swaps;
    for (int i = 1; i <= 20; ++i) {
        swaps.push_back(stepper().start(coordinator().commit(
            {.when = {{"a", before}}, .then = {put("a", std::to_string(i))}})));
    }
    int won = 0;
    for (std::size_t i = 0; i < swaps.size(); ++i) {
        const auto outcome = stepper().finish(swaps[i]);
        ASSERT_TRUE(outcome);
        if (!outcome->applied) continue;
        ++won;
        EXPECT_EQ(get("a")->value, std::to_string(i + 1));
    }
    EXPECT_EQ(won, 1);
}

TEST_P(CoordinatorConformance, CountsRightThroughConcurrentCompareAndSwap) {
    static constexpr int times = 10;
    put_one("count", "0");
    const auto increment = [](Coordinator* coordinator) -> runtime::Task<void> {
        for (int done = 0; done < times;) {
            const auto entry = co_await coordinator->get("count");
            if (!entry) continue;
            const auto more = std::to_string(std::stoi((*entry)->value) + 1);
            const auto outcome = co_await coordinator->commit(
                {.when = {{"count", (*entry)->modified}}, .then = {put("count", more)}});
            if (outcome && outcome->applied) ++done;
        }
    };
    std::vector<runtime::Started<void>> counters;
    for (int i = 0; i < 5; ++i) counters.push_back(stepper().start(increment(&coordinator())));
    for (auto& counter : counters) stepper().finish(counter);
    EXPECT_EQ(get("count")->value, std::to_string(5 * times));
}

TEST_P(CoordinatorConformance, ErasesExactlyAPrefix) {
    for (const auto* key : {"a", "a/", "a/b", "a/c/d", "a0", "b"}) put_one(key, "");
    const auto erased = commit({.when = {}, .then = {erase_prefix("a/"), put("c", "")}});
    EXPECT_TRUE(erased.applied);
    EXPECT_EQ(keys(""), (Strings{"a", "a0", "b", "c"}));
}

TEST_P(CoordinatorConformance, ListsAPrefixInBytewiseOrderAtOneRevision) {
    const std::string zero("k/\0", 3), high("k/\xff");
    for (const auto& key : {high, std::string("k/b"), zero, std::string("k/a"), std::string("l")}) {
        put_one(key, key);
    }
    const auto listing = list("k/");
    EXPECT_EQ(keys("k/"), (Strings{zero, "k/a", "k/b", high}));
    EXPECT_EQ(listing.revision, get("l")->modified);
    EXPECT_EQ(listing.entries[3].value, high);
    EXPECT_EQ(keys("").size(), 5);
    EXPECT_EQ(keys("none"), Strings());
}

TEST_P(CoordinatorConformance, TakesTransactionsUpToTheLimitsAndRefusesLargerOnes) {
    Transaction most;
    for (int i = 0; i < 128; ++i) {
        most.when.push_back({fmt::format("a/{}", i), 0});
        most.then.push_back(put(fmt::format("b/{}", i), "1"));
    }
    EXPECT_TRUE(commit(most).applied);
    auto more = most;
    more.then.push_back(put("one more", ""));
    EXPECT_EQ(error_of(coordinator().commit(more)), Errc::invalid);
    more = most;
    more.when.push_back({"one more", 0});
    EXPECT_EQ(error_of(coordinator().commit(more)), Errc::invalid);
    const std::string large((1 << 20) - 1, 'x');
    EXPECT_TRUE(commit({.when = {}, .then = {put("l", large)}}).applied);
    EXPECT_EQ(get("l")->value, large);
    EXPECT_EQ(error_of(coordinator().commit({.when = {}, .then = {put("la", large)}})),
              Errc::invalid);
}

TEST_P(CoordinatorConformance, RefusesEmptyKeysAndKeysThatTwoOperationsTouch) {
    const std::vector<std::vector<Operation>> refused = {
        {put("", "1")},
        {erase("")},
        {erase_prefix("")},
        {put("a", "1"), put("a", "2")},
        {put("a", "1"), erase("a")},
        {erase_prefix("a"), put("a", "1")},
        {put("a/b/c", "1"), put("a/a", "1"), erase_prefix("a/b")},
        {erase_prefix("a/b"), erase_prefix("a")},
    };
    for (const auto& then : refused) {
        EXPECT_EQ(error_of(coordinator().commit({.when = {}, .then = then})), Errc::invalid);
    }
    EXPECT_EQ(error_of(coordinator().commit({.when = {{"", 0}}, .then = {}})), Errc::invalid);
    EXPECT_EQ(keys(""), Strings());
    const auto apart =
        commit({.when = {},
                .then = {erase_prefix("a/b"), put("a/a", ""), put("a", ""), erase_prefix("a/c")}});
    EXPECT_TRUE(apart.applied);
}

// Watches.

TEST_P(CoordinatorConformance, ReportsEveryChangeOnceAndInOrderWhileManyAreUnderWay) {
    const auto start = list("w/").revision;
    const auto watch = coordinator().watch("w/", start);
    runtime::Random random(1);
    std::vector<std::pair<std::string, runtime::Started<Result<Outcome>>>> commits;
    for (int i = 0; i < subject_->transactions(); ++i) {
        const auto key = fmt::format("{}/{}", random.chance(0.8) ? "w" : "other", random.below(5));
        commits.emplace_back(key, stepper().start(coordinator().commit(
                                      {.when = {}, .then = {put(key, std::to_string(i))}})));
        if (random.chance(0.3)) stepper().finish(commits[random.below(commits.size())].second);
    }
    std::set<Revision> unseen;
    for (auto& [key, commit] : commits) {
        const auto outcome = commit.done() ? commit.value() : stepper().finish(commit);
        if (key.starts_with("w/")) unseen.insert(outcome->revision);
    }
    const auto end = put_one("w/end", "");
    unseen.insert(end);
    State state;
    Revision reported = start;
    while (reported < end) {
        const auto event = next(*watch);
        ASSERT_GT(event.revision, reported);
        if (event.resync) unseen.erase(unseen.begin(), unseen.upper_bound(event.revision));
        for (const auto& change : event.changes) {
            if (!event.resync) {
                ASSERT_GT(change.entry.modified, reported);
                ASSERT_EQ(*unseen.begin(), change.entry.modified) << "skipped, twice or too early";
                unseen.erase(unseen.begin());
            }
        }
        fold(state, event);
        reported = event.revision;
    }
    EXPECT_EQ(unseen, std::set<Revision>());
    EXPECT_EQ(state, state_of("w/"));
}

TEST_P(CoordinatorConformance, ReportsTransactionsWholeAndErasuresByKeyAndRevision) {
    const auto watch = coordinator().watch("w/", list("w/").revision);
    put_one("w/gone", "1");
    const auto revision =
        commit({.when = {}, .then = {put("w/a", "1"), erase("w/gone"), put("other", "1")}})
            .revision;
    WatchEvent event;
    while (event.revision < revision) event = next(*watch);
    if (event.resync) return;  // It has told the state instead.
    ASSERT_GE(event.changes.size(), 2);
    const auto& put_a = event.changes[event.changes.size() - 2];
    const auto& gone = event.changes.back();
    EXPECT_EQ(put_a.entry, get("w/a"));
    EXPECT_EQ(gone.kind, Change::Kind::erase);
    EXPECT_EQ(gone.entry,
              (Entry{.key = "w/gone", .value = {}, .created = 0, .modified = revision}));
}

TEST_P(CoordinatorConformance, WaitsWhenThereIsNothingToReport) {
    put_one("w/a", "1");
    put_one("other", "1");
    const auto watch = coordinator().watch("w/", list("w/").revision);
    auto waiting = stepper().start(watch->next());
    put_one("other", "2");
    EXPECT_FALSE(waiting.done() && waiting.value() && !waiting.value()->resync);
    const auto revision = put_one("w/a", "2");
    Result<WatchEvent> event = stepper().finish(waiting);
    while (!event || event->revision < revision) event = next(*watch);
    ASSERT_EQ(event->changes.size(), 1);
    EXPECT_EQ(event->changes[0].entry.value, "2");
}

TEST_P(CoordinatorConformance, TellsAWatchFromThePastWhatHappenedSince) {
    put_one("w/a", "1");
    const auto listing = list("w/");
    put_one("w/a", "2");
    commit({.when = {}, .then = {erase("w/a"), put("w/b", "3")}});
    const auto end = put_one("w/c", "4");
    const auto watch = coordinator().watch("w/", listing.revision);
    State before;
    for (const auto& entry : listing.entries) before[entry.key] = entry;
    EXPECT_EQ(follow(*watch, before, end), state_of("w/"));
}

TEST_P(CoordinatorConformance, TellsTheStateInsteadWhenTheHistoryIsGone) {
    put_one("w/a", "1");
    put_one("w/gone", "1");
    const auto watch = coordinator().watch("w/", list("w/").revision);
    commit({.when = {}, .then = {erase("w/gone"), put("w/b", "2")}});
    subject_->compact();
    const auto event = next(*watch);
    EXPECT_TRUE(event.resync);
    State state{{"w/gone", {}}};
    fold(state, event);
    EXPECT_EQ(state, state_of("w/"));
    EXPECT_GE(event.revision, get("w/b")->modified);
    const auto end = put_one("w/c", "3");
    EXPECT_EQ(follow(*watch, state, end), state_of("w/"));
}

TEST_P(CoordinatorConformance, KeepsWatchesApart) {
    const auto start = list("").revision;
    const auto narrow = coordinator().watch("w/a", start);
    const auto wide = coordinator().watch("", start);
    {
        const auto abandoned = coordinator().watch("w/", start);
        auto waiting = stepper().start(abandoned->next());
    }
    put_one("w/a", "1");
    const auto end = put_one("w/b", "2");
    put_one("w/a", "3");
    EXPECT_EQ(follow(*narrow, {}, end + 1), state_of("w/a"));
    EXPECT_EQ(follow(*wide, {}, end + 1), state_of(""));
}

// Leases.

TEST_P(CoordinatorConformance, RemovesTheKeysOfALeaseThatEndsAndReportsIt) {
    const auto lease = grant(std::chrono::seconds(5));
    EXPECT_NE(lease, 0);
    put_one("l/a", "1", lease);
    put_one("l/b", "2", lease);
    const auto kept = put_one("l/c", "3");
    EXPECT_EQ(get("l/a")->lease, lease);
    auto state = state_of("l/");
    const auto watch = coordinator().watch("l/", list("l/").revision);
    stepper().pass(std::chrono::minutes(1));
    while (state.size() > 1) {
        const auto event = next(*watch);
        EXPECT_GT(event.revision, kept);
        fold(state, event);
    }
    EXPECT_TRUE(state.contains("l/c"));
    EXPECT_EQ(state, state_of("l/"));
    EXPECT_EQ(error_of(coordinator().keep_lease(lease)), Errc::not_found);
    EXPECT_EQ(error_of(coordinator().commit({.when = {}, .then = {put("l/a", "", lease)}})),
              Errc::not_found);
}

TEST_P(CoordinatorConformance, RevokesALeaseWithItsKeysAtOnceAndInOneTransaction) {
    const auto lease = grant(std::chrono::hours(1));
    put_one("l/a", "1", lease);
    put_one("l/b", "1", lease);
    const auto before = list("").revision;
    ASSERT_TRUE(run(coordinator().revoke_lease(lease)));
    EXPECT_EQ(keys("l/"), Strings());
    EXPECT_EQ(list("").revision, before + 1);
    EXPECT_EQ(error_of(coordinator().revoke_lease(lease)), Errc::not_found);
    EXPECT_EQ(error_of(coordinator().keep_lease(lease)), Errc::not_found);
    const auto unused = grant(std::chrono::hours(1));
    EXPECT_NE(unused, lease);
    ASSERT_TRUE(run(coordinator().revoke_lease(unused)));
    EXPECT_EQ(list("").revision, before + 1);
}

TEST_P(CoordinatorConformance, ReleasesAKeyFromItsLeaseByTheNextPut) {
    const auto first = grant(std::chrono::hours(1));
    const auto second = grant(std::chrono::hours(1));
    put_one("l/freed", "1", first);
    put_one("l/freed", "2");
    put_one("l/moved", "1", first);
    put_one("l/moved", "2", second);
    put_one("l/again", "1", first);
    commit({.when = {}, .then = {erase("l/again")}});
    put_one("l/again", "2");
    ASSERT_TRUE(run(coordinator().revoke_lease(first)));
    EXPECT_EQ(keys("l/"), (Strings{"l/again", "l/freed", "l/moved"}));
    ASSERT_TRUE(run(coordinator().revoke_lease(second)));
    EXPECT_EQ(keys("l/"), (Strings{"l/again", "l/freed"}));
}

TEST_P(CoordinatorConformance, RefusesLeasesThatDoNotExistOrCannot) {
    EXPECT_EQ(error_of(coordinator().keep_lease(4711)), Errc::not_found);
    EXPECT_EQ(error_of(coordinator().revoke_lease(4711)), Errc::not_found);
    EXPECT_EQ(error_of(coordinator().commit({.when = {}, .then = {put("a", "", 4711)}})),
              Errc::not_found);
    EXPECT_FALSE(
        commit({.when = {{"a", 7}}, .then = {put("a", "", 4711)}}).applied);  // Never got there.
    EXPECT_EQ(error_of(coordinator().grant_lease(Duration::zero())), Errc::invalid);
    EXPECT_EQ(keys(""), Strings());
}

// Restarts.

TEST_P(CoordinatorConformance, KeepsEverythingAnsweredThroughARestart) {
    const auto lease = grant(std::chrono::hours(1));
    put_one("a", "1");
    put_one("a", "2");
    put_one("leased", "3", lease);
    const auto revision = commit({.when = {}, .then = {put("b", "3"), erase("none")}}).revision;
    const auto before = list("").entries;
    subject_->restart();
    EXPECT_EQ(list("").entries, before);
    EXPECT_EQ(list("").revision, revision);
    const auto watch = coordinator().watch("", revision - 1);
    EXPECT_EQ(put_one("c", "4"), revision + 1);
    State state;
    for (const auto& entry : before) state[entry.key] = entry;
    EXPECT_EQ(follow(*watch, state, revision + 1), state_of(""));
    EXPECT_TRUE(run(coordinator().keep_lease(lease)));
    EXPECT_GT(grant(std::chrono::hours(1)), lease);
    ASSERT_TRUE(run(coordinator().revoke_lease(lease)));
    EXPECT_EQ(keys(""), (Strings{"a", "b", "c"}));
}

TEST_P(CoordinatorConformance, EndsALeaseOfBeforeTheRestartToo) {
    const auto lease = grant(std::chrono::seconds(5));
    put_one("l", "1", lease);
    subject_->restart();
    const auto watch = coordinator().watch("l", list("l").revision);
    auto state = state_of("l");
    stepper().pass(std::chrono::minutes(1));
    while (!state.empty()) fold(state, next(*watch));
    EXPECT_EQ(keys("l"), Strings());
}

}  // namespace holdfast::coord
