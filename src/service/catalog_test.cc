#include "service/catalog.h"

#include <gmock/gmock.h>

#include "service/catalog_bench.h"
#include "service/spec_writer.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Apply : public CatalogBench {};
class Deploy : public CatalogBench {};
class Rollback : public CatalogBench {};
class Wishes : public CatalogBench {};
class History : public CatalogBench {};

TEST_F(Apply, MakesTheFirstVersionOfAServiceThatRuns) {
    auto plan = apply();
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->kind, Plan::Kind::created);
    EXPECT_EQ(plan->version, 1U);
    EXPECT_THAT(plan->warnings, IsEmpty());
    auto version = finish(catalog_.version("shop", std::nullopt));
    ASSERT_TRUE(version);
    EXPECT_EQ(version->text, file_of("shop"));
    EXPECT_EQ(version->file, "shop.toml");
    EXPECT_EQ(version->author, "ann");
    EXPECT_EQ(version->sha256, "aaaa");
    EXPECT_EQ(version->cause, Cause::apply);
    EXPECT_EQ(version->made, WallTime(1h));
    EXPECT_EQ(version->spec.name, "shop");
    EXPECT_EQ(head().wanted, Running::running);
}

TEST_F(Apply, MakesNoVersionOfAFileThatSaysTheSame) {
    ASSERT_TRUE(apply());
    auto plan = apply("# another comment\nhealth = { every = \"1s\" }\n");
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->kind, Plan::Kind::unchanged);
    EXPECT_EQ(plan->version, 1U);
    EXPECT_EQ(head().last, 1U);
}

TEST_F(Apply, NamesWhatChanges) {
    ASSERT_TRUE(apply());
    auto plan = apply("health = { every = \"2s\" }\n");
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->kind, Plan::Kind::changed);
    EXPECT_EQ(plan->before, 1U);
    EXPECT_EQ(plan->version, 2U);
    EXPECT_THAT(plan->changes, ElementsAre(FieldChange{"health.every", "\"1s\"", "\"2s\""}));
}

TEST_F(Apply, ChangesNothingWhenItIsADryRun) {
    auto plan = apply("", "shop", DryRun::yes);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->kind, Plan::Kind::created);
    EXPECT_EQ(plan->version, 1U);
    EXPECT_EQ(coordinator_.commits, 0);
    EXPECT_THAT(*finish(catalog_.list()), IsEmpty());
}

TEST_F(Apply, RefusesAWrongFileWithAllThatIsWrong) {
    auto plan = apply("usr = \"x\"\nhealth = { fall = 0 }\n");
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, Errc::invalid);
    EXPECT_THAT(plan.error().message, HasSubstr("shop.toml:3:1: unknown key"));
    EXPECT_THAT(plan.error().message, HasSubstr("shop.toml:4:12: \"health.fall\""));
}

TEST_F(Apply, SaysWhenTheExecutableIsMissingOrAnother) {
    artifacts_.files.clear();
    EXPECT_THAT(apply()->warnings, ElementsAre("/bin/shop: gone"));
    artifacts_.files["/bin/shop"] = "bbbb";
    auto plan = apply();
    EXPECT_EQ(plan->kind, Plan::Kind::unchanged);
    EXPECT_THAT(plan->warnings, ElementsAre(HasSubstr("`holdfast deploy shop` rolls it out")));
}

TEST_F(Apply, RefusesACircleOfAfterAndWarnsOfAMissingService) {
    auto first = apply("after = [\"b\"]\n", "a");
    ASSERT_TRUE(first);
    EXPECT_THAT(first->warnings, ElementsAre(HasSubstr("\"b\", which does not exist")));
    ASSERT_TRUE(apply("after = [\"c\"]\n", "b"));
    auto circle = apply("after = [\"a\"]\n", "c");
    ASSERT_FALSE(circle);
    EXPECT_EQ(circle.error().code, Errc::invalid);
    EXPECT_THAT(circle.error().message, HasSubstr("c after a after b after c"));
    EXPECT_TRUE(apply("", "c"));
}

TEST_F(Apply, SeesACircleThatTwoMakeAtOnce) {
    ASSERT_TRUE(apply("", "a"));
    ASSERT_TRUE(apply("", "b"));
    interrupt([this] {
        return other_.apply({file_of("b", "after = [\"a\"]\n"), "b.toml", "bob", DryRun::no});
    });
    auto plan = apply("after = [\"b\"]\n", "a");
    ASSERT_FALSE(plan);
    EXPECT_THAT(plan.error().message, HasSubstr("a after b after a"));
}

TEST_F(Apply, DecidesAgainWhenSomebodyElseWasFirst) {
    ASSERT_TRUE(apply());
    interrupt([this] {
        return other_.apply({file_of("shop", "user = \"bob\"\n"), "shop.toml", "bob", DryRun::no});
    });
    auto plan = apply("user = \"ann\"\n");
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->version, 3U);
    EXPECT_THAT(plan->changes, ElementsAre(FieldChange{"user", "\"bob\"", "\"ann\""}));
}

TEST_F(Apply, GivesUpWhenOthersAreAlwaysFirst) {
    ASSERT_TRUE(apply());
    interrupt([this] { return other_.deploy({"shop", {}, {}, "bob", DryRun::no}); }, 100);
    auto plan = apply("user = \"ann\"\n");
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, Errc::conflict);
    EXPECT_EQ(coordinator_.commits, 17);  // The first apply, and sixteen tries.
}

TEST_F(Apply, ReplacesADamagedVersion) {
    ASSERT_TRUE(apply());
    put(version_key("shop", 1), "{");
    EXPECT_EQ(finish(catalog_.version("shop", 1)).error().code, Errc::corrupt);
    auto plan = apply();
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->version, 2U);
    EXPECT_THAT(plan->warnings, ElementsAre(HasSubstr("00000001 is damaged")));
}

TEST_F(Apply, SurvivesARestart) {
    ASSERT_TRUE(apply("user = \"ann\"\n"));
    ASSERT_TRUE(finish(catalog_.set_running("shop", Running::stopped)));
    embedded_.reset();
    store_.crash();
    auto reopened = coord::EmbeddedCoordinator::open(store_, stepper_.clock()).value();
    Catalog again(*reopened, stepper_.clock(), artifacts_);
    auto listed = finish(again.list());
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front().head.wanted, Running::stopped);
    EXPECT_EQ(finish(again.version("shop", std::nullopt))->spec.user, "ann");
    reopened.reset();
}

TEST_F(Deploy, AlwaysMakesAVersion) {
    ASSERT_TRUE(apply());
    artifacts_.files["/bin/shop"] = "bbbb";
    auto plan = finish(catalog_.deploy({"shop", {}, {}, "bob", DryRun::no}));
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->version, 2U);
    EXPECT_THAT(plan->changes, IsEmpty());
    auto version = finish(catalog_.version("shop", 2));
    EXPECT_EQ(version->sha256, "bbbb");
    EXPECT_EQ(version->cause, Cause::deploy);
    EXPECT_EQ(version->author, "bob");
    EXPECT_EQ(version->text, file_of("shop"));
}

TEST_F(Deploy, PutsEnvironmentAndCommandInThePlaceOfTheOldOnes) {
    ASSERT_TRUE(apply("env = { A = \"1\", B = \"2\" }\n"));
    auto plan = finish(catalog_.deploy(
        {"shop", {{"B", "3"}, {"C", "4"}}, {"/bin/till", "-v"}, "bob", DryRun::no}));
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->warnings, ElementsAre("/bin/till: gone"));
    auto spec = finish(catalog_.version("shop", 2))->spec;
    EXPECT_THAT(spec.command, ElementsAre("/bin/till", "-v"));
    EXPECT_THAT(spec.env, ElementsAre(testing::Pair("A", "1"), testing::Pair("B", "3"),
                                      testing::Pair("C", "4")));
}

TEST_F(Deploy, IsHeldToTheRulesOfTheFile) {
    ASSERT_TRUE(apply());
    auto deploy = [&](std::pair<std::string, std::string> env) {
        return finish(catalog_.deploy({"shop", {env}, {}, "bob", DryRun::no}));
    };
    EXPECT_THAT(deploy({"A", "${POTR}"}).error().message, HasSubstr("unknown variable ${POTR}"));
    EXPECT_THAT(deploy({"HOLDFAST_NODE", "x"}).error().message, HasSubstr("set by Holdfast"));
    EXPECT_EQ(deploy({"A B", "x"}).error().code, Errc::invalid);
    EXPECT_EQ(head().last, 1U);
}

TEST_F(Deploy, SuggestsTheServiceThatWasMeant) {
    ASSERT_TRUE(apply());
    auto plan = finish(catalog_.deploy({"shpo", {}, {}, "bob", DryRun::no}));
    EXPECT_EQ(plan.error(),
              (Error{Errc::not_found, "no service \"shpo\"; did you mean \"shop\"?"}));
    EXPECT_EQ(finish(catalog_.set_running("../x", Running::stopped)).error().code, Errc::not_found);
}

RollbackRequest rollback_to(std::optional<VersionNumber> to) {
    return {"shop", to, "bob", "", std::nullopt, DryRun::no};
}

TEST_F(Rollback, BringsBackTheLastLiveVersionAsANewOne) {
    ASSERT_TRUE(apply("user = \"a\"\n"));
    report(1, OutcomeState::live);
    ASSERT_TRUE(apply("user = \"b\"\n"));
    report(1, OutcomeState::superseded);
    report(2, OutcomeState::live);
    auto plan = finish(catalog_.rollback(rollback_to(std::nullopt)));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->before, 2U);
    EXPECT_EQ(plan->version, 3U);
    EXPECT_THAT(plan->changes, ElementsAre(FieldChange{"user", "\"b\"", "\"a\""}));
    auto version = finish(catalog_.version("shop", std::nullopt));
    EXPECT_EQ(version->spec.user, "a");
    EXPECT_EQ(version->restores, 1U);
    EXPECT_EQ(version->cause, Cause::rollback);
    auto left = finish(catalog_.outcome("shop", 2));
    EXPECT_EQ((*left)->state, OutcomeState::rolled_back);
    EXPECT_EQ((*left)->reason, "rolled back by bob to version 1");
    // What the supervisor says afterwards does not hide that.
    report(2, OutcomeState::superseded);
    EXPECT_EQ((*finish(catalog_.outcome("shop", 2)))->state, OutcomeState::rolled_back);
    // And the way back is not the way forth.
    report(3, OutcomeState::live);
    EXPECT_EQ(finish(catalog_.rollback(rollback_to(std::nullopt))).error().code, Errc::not_found);
    EXPECT_TRUE(finish(catalog_.rollback(rollback_to(2))));
}

TEST_F(Rollback, IsRefusedWhenTheFileIsNoLongerThatVersions) {
    ASSERT_TRUE(apply("user = \"a\"\n"));
    artifacts_.files["/bin/shop"] = "bbbb";
    ASSERT_TRUE(apply("user = \"b\"\n"));
    auto plan = finish(catalog_.rollback(rollback_to(1)));
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, Errc::conflict);
    EXPECT_THAT(
        plan.error().message,
        HasSubstr("version 1 ran /bin/shop with SHA-256 aaaa..., and the file there now has "
                  "bbbb..."));
    artifacts_.files.clear();
    EXPECT_THAT(finish(catalog_.rollback(rollback_to(1))).error().message,
                HasSubstr("version 1 cannot be brought back: /bin/shop: gone"));
    EXPECT_EQ(head().current, 2U);
}

TEST_F(Rollback, SaysThatTheFileIsUnknownWhereItWasNeverRead) {
    artifacts_.error = Error{Errc::denied, "/bin/shop: Permission denied"};
    ASSERT_TRUE(apply("user = \"a\"\n"));
    ASSERT_TRUE(apply("user = \"b\"\n"));
    auto plan = finish(catalog_.rollback(rollback_to(1)));
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->warnings, ElementsAre(HasSubstr("nobody knows whether /bin/shop is still")));
}

TEST_F(Rollback, ThatNobodyTypedLeavesANewerVersionAlone) {
    ASSERT_TRUE(apply("user = \"a\"\n"));
    report(1, OutcomeState::live);
    ASSERT_TRUE(apply("user = \"b\"\n"));
    ASSERT_TRUE(apply("user = \"c\"\n"));
    auto request = rollback_to(std::nullopt);
    request.only_from = 2;
    auto plan = finish(catalog_.rollback(request));
    EXPECT_EQ(plan.error().code, Errc::conflict);
    EXPECT_THAT(plan.error().message, HasSubstr("is at version 3 by now, not 2"));
    request.only_from = 3;
    request.reason = "not ready after 30s";
    ASSERT_TRUE(finish(catalog_.rollback(request)));
    EXPECT_EQ((*finish(catalog_.outcome("shop", 3)))->reason, "not ready after 30s");
}

TEST_F(Rollback, RefusesVersionsThatDoNotExistOrRunAlready) {
    ASSERT_TRUE(apply());
    EXPECT_EQ(finish(catalog_.rollback(rollback_to(7))).error().code, Errc::not_found);
    EXPECT_EQ(finish(catalog_.rollback(rollback_to(1))).error().code, Errc::invalid);
    EXPECT_EQ(finish(catalog_.rollback(rollback_to(std::nullopt))).error().code, Errc::not_found);
}

TEST_F(Wishes, KeepAScaleUntilTheFileAsksForAnotherNumber) {
    ASSERT_TRUE(apply("instances = 2\n"));
    ASSERT_TRUE(finish(catalog_.scale("shop", 5)));
    auto same = apply("instances = 2\nuser = \"a\"\n");
    EXPECT_THAT(same->warnings, ElementsAre("it stays scaled to 5; the file says 2"));
    EXPECT_EQ(head().instances, 5);
    auto other = apply("instances = 3\nuser = \"a\"\n");
    EXPECT_THAT(other->warnings, ElementsAre("it was scaled to 5, and has 3 from now on"));
    EXPECT_EQ(head().instances, std::nullopt);
}

TEST_F(Wishes, RefuseAScaleThatCannotRun) {
    ASSERT_TRUE(apply("listen = { http = 80 }\n"));
    EXPECT_THAT(finish(catalog_.scale("shop", 2)).error().message,
                HasSubstr("cannot all open port"));
    EXPECT_THAT(finish(catalog_.scale("shop", 0)).error().message,
                HasSubstr("`holdfast stop shop`"));
    EXPECT_TRUE(finish(catalog_.scale("shop", 1)));
}

TEST_F(Wishes, DropAScaleThatANewFileMakesImpossible) {
    ASSERT_TRUE(apply());
    ASSERT_TRUE(finish(catalog_.scale("shop", 5)));
    auto plan = apply("listen = { http = 80 }\n");
    EXPECT_THAT(plan->warnings, ElementsAre(HasSubstr("has 1 from now on")));
    EXPECT_EQ(head().instances, std::nullopt);
}

TEST_F(Wishes, StopLastsThroughANewVersionAndStartEndsIt) {
    ASSERT_TRUE(apply());
    ASSERT_TRUE(finish(catalog_.set_running("shop", Running::stopped)));
    auto plan = apply("user = \"a\"\n");
    EXPECT_THAT(plan->warnings, ElementsAre(HasSubstr("`holdfast start shop` starts it")));
    EXPECT_EQ(head().wanted, Running::stopped);
    ASSERT_TRUE(finish(catalog_.set_running("shop", Running::running)));
    EXPECT_EQ(head().wanted, Running::running);
}

TEST_F(Wishes, CountRestartsAndRefuseImpossibleOnes) {
    ASSERT_TRUE(apply("listen = { http = 80 }\n"));
    EXPECT_EQ(finish(catalog_.request_restart("shop", RestartMode::automatic)), 1U);
    EXPECT_EQ(finish(catalog_.request_restart("shop", RestartMode::cold)), 2U);
    EXPECT_THAT(finish(catalog_.request_restart("shop", RestartMode::hot)).error().message,
                HasSubstr("cannot restart hot"));
    ASSERT_TRUE(apply("listen = { http = 80, sockets = \"inherit\" }\n"));
    EXPECT_EQ(finish(catalog_.request_restart("shop", RestartMode::hot)), 3U);
    ASSERT_TRUE(finish(catalog_.set_running("shop", Running::stopped)));
    EXPECT_THAT(finish(catalog_.request_restart("shop", RestartMode::cold)).error().message,
                HasSubstr("is stopped"));
    ASSERT_TRUE(apply("job = { once = true }\n", "job"));
    EXPECT_EQ(finish(catalog_.request_restart("job", RestartMode::automatic)), 1U);
}

TEST_F(Wishes, WriteNothingThatIsSoAlready) {
    ASSERT_TRUE(apply());
    coordinator_.commits = 0;
    ASSERT_TRUE(finish(catalog_.set_running("shop", Running::running)));
    EXPECT_EQ(coordinator_.commits, 0);
}

TEST_F(Wishes, AreTriedAgainWhenSomebodyElseWasFirst) {
    ASSERT_TRUE(apply());
    interrupt([this] {
        return other_.apply(
            {file_of("shop", "listen = { http = 80 }\n"), "shop.toml", "bob", DryRun::no});
    });
    auto scaled = finish(catalog_.scale("shop", 5));
    ASSERT_FALSE(scaled);  // By then it listens for itself.
    EXPECT_EQ(scaled.error().code, Errc::invalid);
}

TEST_F(History, NeverUsesANumberAgainDeletionIncluded) {
    ASSERT_TRUE(apply("after = [\"db\"]\n"));
    ASSERT_TRUE(finish(catalog_.scale("shop", 5)));
    ASSERT_TRUE(finish(catalog_.remove("shop")));
    EXPECT_EQ(finish(catalog_.remove("shop")).error().code, Errc::not_found);
    EXPECT_EQ(finish(catalog_.version("shop", std::nullopt)).error().code, Errc::not_found);
    EXPECT_THAT(*finish(catalog_.list()), IsEmpty());
    EXPECT_THAT(head().after, IsEmpty());
    EXPECT_TRUE(apply("after = [\"shop\"]\n", "db"));  // What is deleted waits for nothing.
    auto plan = apply();
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->kind, Plan::Kind::created);
    EXPECT_EQ(plan->version, 2U);
    EXPECT_EQ(head().instances, std::nullopt);
    EXPECT_EQ(finish(catalog_.history("shop"))->size(), 2U);
}

TEST_F(History, ShowsEachVersionWithWhatBecameOfIt) {
    ASSERT_TRUE(apply());
    stepper_.pass(1min);
    report(1, OutcomeState::live);
    stepper_.pass(1min);
    ASSERT_TRUE(apply("user = \"a\"\n"));
    auto history = finish(catalog_.history("shop"));
    ASSERT_EQ(history->size(), 2U);
    EXPECT_EQ(history->front().outcome->state, OutcomeState::live);
    EXPECT_EQ(history->front().outcome->live, WallTime(1h + 1min));
    EXPECT_FALSE(history->front().current);
    EXPECT_FALSE(history->back().outcome);
    EXPECT_TRUE(history->back().current);
    EXPECT_EQ(history->back().version.made, WallTime(1h + 2min));
}

TEST_F(History, ForgetsTheOldestButNotTheLastThatWasLive) {
    ASSERT_TRUE(apply());
    report(1, OutcomeState::failed);
    ASSERT_TRUE(finish(catalog_.deploy({"shop", {}, {}, "bob", DryRun::no})));
    report(2, OutcomeState::live);
    for (int i = 0; i < 103; ++i)
        ASSERT_TRUE(finish(catalog_.deploy({"shop", {}, {}, "bob", DryRun::no})));
    auto history = finish(catalog_.history("shop"));
    ASSERT_EQ(history->size(), 100U);
    EXPECT_EQ(history->front().version.number, 2U);
    EXPECT_EQ((*history)[1].version.number, 7U);
    EXPECT_EQ(history->back().version.number, 105U);
    EXPECT_EQ(head().kept.size(), 100U);
    EXPECT_EQ(finish(catalog_.rollback(rollback_to(std::nullopt)))->version, 106U);
    // With a version goes what became of it, and it gets no outcome any more.
    EXPECT_EQ(*finish(catalog_.outcome("shop", 1)), std::nullopt);
    VersionOutcome late{OutcomeState::superseded, "", WallTime(), std::nullopt};
    EXPECT_EQ(finish(catalog_.record_outcome("shop", 1, late)).error().code, Errc::not_found);
}

TEST_F(History, DoesNotCountAVersionThatIsRolledBackAsTheLastLiveOne) {
    ASSERT_TRUE(apply());
    report(1, OutcomeState::live);
    for (int i = 0; i < 99; ++i)
        ASSERT_TRUE(finish(catalog_.deploy({"shop", {}, {}, "bob", DryRun::no})));
    report(100, OutcomeState::live);
    ASSERT_TRUE(finish(catalog_.rollback(rollback_to(std::nullopt))));
    auto kept = head().kept;
    EXPECT_EQ(kept.size(), 100U);
    EXPECT_EQ(kept[0], 1U);
    EXPECT_EQ(kept[1], 3U);
}

TEST_F(History, NamesADamagedHead) {
    ASSERT_TRUE(apply());
    put(head_key("shop"), "[]");
    for (const auto& error :
         {finish(catalog_.list()).error(), finish(catalog_.history("shop")).error(),
          finish(catalog_.set_running("shop", Running::stopped)).error(), apply().error()}) {
        EXPECT_EQ(error.code, Errc::corrupt);
        EXPECT_THAT(error.message, HasSubstr("services/heads/shop is damaged"));
    }
}

}  // namespace
}  // namespace holdfast::service
