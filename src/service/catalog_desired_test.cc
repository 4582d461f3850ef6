#include "service/catalog_desired.h"

#include <gmock/gmock.h>

#include "service/catalog_bench.h"

namespace holdfast::service {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class DesiredWatchTest : public CatalogBench {
  protected:
    DesiredWatch watch_{coordinator_};

    DesiredEvent next() { return finish(watch_.next()).value(); }
    DesiredEvent finish_started(runtime::Started<Result<DesiredEvent>>& started) {
        return stepper_.finish(started).value();
    }
};

TEST_F(DesiredWatchTest, TellsTheWholeStateFirst) {
    ASSERT_TRUE(apply("instances = 2\n", "a"));
    ASSERT_TRUE(apply("", "b"));
    ASSERT_TRUE(finish(catalog_.scale("a", 4)));
    ASSERT_TRUE(finish(catalog_.set_running("b", Running::stopped)));
    auto event = next();
    EXPECT_TRUE(event.complete);
    ASSERT_EQ(event.changes.size(), 2U);
    const auto& a = **event.changes[0].wanted;
    EXPECT_EQ(a.spec.name, "a");
    EXPECT_EQ(a.version, 1U);
    EXPECT_EQ(a.instances, 4);
    EXPECT_EQ(a.sha256, "aaaa");
    EXPECT_EQ((*event.changes[1].wanted)->running, Running::stopped);
    EXPECT_EQ((*event.changes[1].wanted)->instances, 1);
}

TEST_F(DesiredWatchTest, TellsThatThereIsNothing) {
    auto event = next();
    EXPECT_TRUE(event.complete);
    EXPECT_THAT(event.changes, IsEmpty());
}

TEST_F(DesiredWatchTest, ThenWaitsForEachChange) {
    next();
    auto waiting = stepper_.start(watch_.next());
    EXPECT_FALSE(waiting.done());
    ASSERT_TRUE(apply());
    auto created = finish_started(waiting);
    EXPECT_FALSE(created.complete);
    ASSERT_EQ(created.changes.size(), 1U);
    EXPECT_EQ((*created.changes[0].wanted)->version, 1U);
    ASSERT_TRUE(finish(catalog_.request_restart("shop", RestartMode::cold)));
    auto restarted = next();
    EXPECT_EQ((*restarted.changes[0].wanted)->restart_serial, 1U);
    EXPECT_EQ((*restarted.changes[0].wanted)->restart_mode, RestartMode::cold);
    ASSERT_TRUE(finish(catalog_.remove("shop")));
    auto removed = next();
    ASSERT_EQ(removed.changes.size(), 1U);
    EXPECT_EQ(removed.changes[0].name, "shop");
    EXPECT_EQ(*removed.changes[0].wanted, std::nullopt);
}

TEST_F(DesiredWatchTest, SaysNothingOfOutcomesAndVersions) {
    ASSERT_TRUE(apply());
    next();
    auto waiting = stepper_.start(watch_.next());
    report(1, OutcomeState::live);
    EXPECT_FALSE(waiting.done());
    ASSERT_TRUE(finish(catalog_.scale("shop", 2)));
    EXPECT_EQ((*finish_started(waiting).changes[0].wanted)->instances, 2);
}

TEST_F(DesiredWatchTest, TellsADamagedServiceByItselfAndTheOthersAllTheSame) {
    ASSERT_TRUE(apply("", "a"));
    ASSERT_TRUE(apply("", "b"));
    ASSERT_TRUE(apply("", "c"));
    put(head_key("a"), "[]");
    coord::Transaction lost{{}, {coord::erase(version_key("b", 1))}};
    ASSERT_TRUE(finish(embedded_->commit(lost)));
    auto event = next();
    ASSERT_EQ(event.changes.size(), 3U);
    EXPECT_EQ(event.changes[0].wanted.error().code, Errc::corrupt);
    EXPECT_EQ(event.changes[1].wanted.error().code, Errc::corrupt);
    EXPECT_THAT(event.changes[1].wanted.error().message, HasSubstr("services/versions/b/00000001"));
    EXPECT_EQ((*event.changes[2].wanted)->spec.name, "c");
}

TEST_F(DesiredWatchTest, LosesNothingToAnErrorOnTheWay) {
    ASSERT_TRUE(apply());
    coordinator_.fail_gets = 1;
    EXPECT_EQ(finish(watch_.next()).error().code, Errc::unavailable);
    auto first = next();
    EXPECT_TRUE(first.complete);
    ASSERT_EQ(first.changes.size(), 1U);
    ASSERT_TRUE(finish(catalog_.scale("shop", 3)));
    coordinator_.fail_gets = 1;
    EXPECT_EQ(finish(watch_.next()).error().code, Errc::unavailable);
    auto second = next();
    EXPECT_FALSE(second.complete);
    ASSERT_EQ(second.changes.size(), 1U);
    EXPECT_EQ((*second.changes[0].wanted)->instances, 3);
}

TEST_F(DesiredWatchTest, LoadsTheWantedServicesOnce) {
    ASSERT_TRUE(apply("", "a"));
    ASSERT_TRUE(apply("", "b"));
    ASSERT_TRUE(finish(catalog_.remove("a")));
    auto wanted = finish(load_desired(coordinator_));
    ASSERT_EQ(wanted->size(), 1U);
    EXPECT_EQ(wanted->front().name, "b");
}

}  // namespace
}  // namespace holdfast::service
