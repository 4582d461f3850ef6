#include "service/catalog_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "service/spec_parser.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

Spec spec_of(std::string_view more) {
    auto spec = parse_spec("name = \"shop\"\ncommand = [\"/bin/shop\"]\n" + std::string(more));
    EXPECT_TRUE(spec);
    return spec.value_or(Spec());
}

TEST(Differences, NameEachKeyWhoseValueDiffersAndNothingElse) {
    auto from = spec_of("env = { A = \"1\", B = \"2\" }\nhealth = { every = \"1s\" }");
    auto to = spec_of("env = { A = \"1\", C = \"3\" }\nhealth = { every = \"2s\" }");
    EXPECT_THAT(differences(from, from), IsEmpty());
    EXPECT_THAT(differences(from, to), ElementsAre(FieldChange{"env.C", "", "\"3\""},
                                                   FieldChange{"health.every", "\"1s\"", "\"2s\""},
                                                   FieldChange{"env.B", "\"2\"", ""}));
}

TEST(AfterCycle, IsFoundThroughTheServiceAskedFor) {
    AfterGraph graph{{"a", {"b"}}, {"b", {"c", "d"}}, {"c", {}}, {"d", {"a"}}};
    EXPECT_THAT(*after_cycle(graph, "a"), ElementsAre("a", "b", "d", "a"));
    EXPECT_THAT(*after_cycle(graph, "d"), ElementsAre("d", "a", "b", "d"));
    EXPECT_FALSE(after_cycle(graph, "c"));
}

TEST(AfterCycle, IsNoCycleWhereTwoWaysMeetOrACircleLiesElsewhere) {
    AfterGraph graph{{"a", {"b", "c"}}, {"b", {"d"}}, {"c", {"d"}}, {"d", {"x"}}, {"x", {"d"}}};
    EXPECT_FALSE(after_cycle(graph, "a"));
    EXPECT_FALSE(after_cycle({{"a", {"missing"}}}, "a"));
}

TEST(AfterCycle, FollowsChainsOfAnyLength) {
    AfterGraph graph;
    constexpr int length = 20000;
    for (int i = 0; i < length; ++i)
        graph["s" + std::to_string(i)] = {"s" + std::to_string((i + 1) % length)};
    EXPECT_EQ(after_cycle(graph, "s0")->size(), length + 1U);
    EXPECT_EQ(after_reach(graph, "s0").size(), length - 1U);
}

TEST(AfterReach, NamesEverythingBehindMissingOnesIncluded) {
    EXPECT_THAT(after_reach({{"a", {"b"}}, {"b", {"z", "a"}}}, "a"), ElementsAre("b", "z"));
}

// A history in short: the letter is the outcome, a number after '<' what the version restores.
std::vector<HistoryEntry> history_of(const std::vector<std::string>& entries) {
    std::vector<HistoryEntry> history;
    for (const auto& text : entries) {
        HistoryEntry entry;
        entry.version.number = static_cast<VersionNumber>(history.size() + 1);
        if (auto arrow = text.find('<'); arrow != std::string::npos)
            entry.version.restores = static_cast<VersionNumber>(text[arrow + 1] - '0');
        VersionOutcome outcome;
        outcome.live = WallTime(1s);
        switch (text.front()) {
            case 'L':
                outcome.state = OutcomeState::live;
                break;
            case 'S':
                outcome.state = OutcomeState::superseded;
                break;
            case 's':
                outcome.state = OutcomeState::superseded;
                outcome.live.reset();
                break;
            case 'R':
                outcome.state = OutcomeState::rolled_back;
                break;
            case 'F':
                outcome.state = OutcomeState::failed;
                break;
            case 'r':
                outcome.state = OutcomeState::rolling;
                outcome.live.reset();
                break;
            default:
                break;
        }
        if (text.front() != '-') entry.outcome = outcome;
        history.push_back(std::move(entry));
    }
    history.back().current = true;
    return history;
}

TEST(RollbackTarget, IsTheLastVersionBeforeThatWasLive) {
    struct Case {
        std::vector<std::string> history;
        VersionNumber target;  // 0: none.
    };
    for (const auto& [history, target] : std::vector<Case>{
             {{"S", "L"}, 1},
             {{"S", "F"}, 1},
             {{"S", "F", "r"}, 1},         // A version that never was live is passed over.
             {{"S", "s", "-"}, 1},         // So is one that was replaced before it was.
             {{"S", "R", "L<1"}, 0},       // Not to what runs already, nor to what was bad.
             {{"S", "S", "R", "L<2"}, 1},  // A second rollback goes further back.
             {{"S", "S", "R", "R<2", "L<1"}, 0},
             {{"S", "R", "S<1", "L"}, 3},  // A rollback that held is as good as any version.
             {{"L"}, 0},
             {{"F", "r"}, 0},
         }) {
        auto found = rollback_target(history_of(history));
        if (target == 0) {
            ASSERT_FALSE(found) << testing::PrintToString(history);
            EXPECT_EQ(found.error().code, Errc::not_found);
        } else {
            ASSERT_TRUE(found) << testing::PrintToString(history);
            EXPECT_EQ(*found, target) << testing::PrintToString(history);
        }
    }
}

TEST(Outcome, KeepsWhenItBecameLiveAndNeverTakesBackARollback) {
    auto live = merge(std::nullopt, {OutcomeState::live, "", WallTime(5s), std::nullopt});
    EXPECT_EQ(live.live, WallTime(5s));
    auto old = merge(live, {OutcomeState::superseded, "by 2", WallTime(9s), std::nullopt});
    EXPECT_EQ(old.live, WallTime(5s));
    EXPECT_EQ(old.state, OutcomeState::superseded);
    VersionOutcome bad{OutcomeState::rolled_back, "it fell", WallTime(9s), std::nullopt};
    EXPECT_EQ(merge(bad, old), bad);
}

TEST(History, KeepsAHundredVersionsTheCurrentOneAndTheLastLiveOne) {
    std::vector<VersionNumber> versions(103);
    std::iota(versions.begin(), versions.end(), 1U);
    EXPECT_THAT(surplus(versions, 103, std::nullopt), ElementsAre(1, 2, 3));
    EXPECT_THAT(surplus(versions, 103, 2), ElementsAre(1, 3, 4));
    EXPECT_THAT(surplus(versions, 1, 2), ElementsAre(3, 4, 5));
    versions.resize(100);
    EXPECT_THAT(surplus(versions, 100, 1), IsEmpty());
}

TEST(History, KnowsTheLastVersionThatServed) {
    std::map<VersionNumber, VersionOutcome> outcomes;
    outcomes[1] = {OutcomeState::superseded, "", {}, WallTime(1s)};
    outcomes[2] = {OutcomeState::rolled_back, "", {}, WallTime(1s)};
    outcomes[3] = {OutcomeState::live, "", {}, WallTime(1s)};
    EXPECT_EQ(last_served(outcomes, 4), 3U);
    EXPECT_EQ(last_served(outcomes, 3), 1U);
    EXPECT_EQ(last_served(outcomes, 1), std::nullopt);
}

}  // namespace
}  // namespace holdfast::service
