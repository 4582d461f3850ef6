#include "health/timeline.h"

#include <gtest/gtest.h>

#include "runtime/random.h"

namespace holdfast::health {
namespace {

using namespace std::chrono_literals;

constexpr WallTime noon = WallTime(1'700'000'000s);

// A history written down line by line.
class History {
  public:
    RecordId state(std::string to, Duration after, std::string reason = "why", RecordId cause = 0) {
        return add("service/shop", "state", std::move(to), after, std::move(reason), cause);
    }
    RecordId instance(std::string kind, std::string to, Duration after, std::string reason = "why",
                      RecordId cause = 0) {
        return add("instance/shop.0", std::move(kind), std::move(to), after, std::move(reason),
                   cause);
    }
    RecordId add(std::string subject, std::string kind, std::string to, Duration after,
                 std::string reason, RecordId cause) {
        Record record;
        record.id = timeline.last_id() + 1;
        record.at = noon + after;
        record.subject = std::move(subject);
        record.kind = std::move(kind);
        record.to = std::move(to);
        record.reason = std::move(reason);
        record.caused_by = cause;
        timeline.add(record);
        return record.id;
    }
    Account explain(Duration now = 1h) { return timeline.explain("service/shop", 100, noon + now); }

    Timeline timeline;
};

TEST(Timeline, MeasuresARecoveryFromItsFirstSignToReadyAgain) {
    History history;
    history.state("ready", 0s);
    auto exit = history.instance("exit", "", 10s, "killed from outside by SIGKILL");
    auto down = history.state("down", 10s + 1ms, "no instance is ready", exit);
    history.instance("start", "", 10s + 5ms, "started as pid 7", exit);
    history.state("ready", 10s + 84ms, "http:/ready answered 200");
    auto account = history.explain();
    EXPECT_EQ(account.state, "ready");
    EXPECT_EQ(account.since, noon + 10s + 84ms);
    ASSERT_EQ(account.incidents.size(), 1u);
    const auto& incident = account.incidents[0];
    EXPECT_EQ(incident.first, exit);
    EXPECT_EQ(incident.worst, "down");
    EXPECT_EQ(incident.cause, "killed from outside by SIGKILL");
    EXPECT_EQ(incident.resolution, "http:/ready answered 200");
    EXPECT_EQ(incident.lasted, 84ms);
    EXPECT_FALSE(incident.by_operator);
    EXPECT_EQ(incident.records.size(), 4u);
    ASSERT_EQ(account.timeline.size(), 5u);
    EXPECT_EQ(account.timeline[1].after, 10s);
    EXPECT_EQ(account.timeline[2].record.id, down);
    EXPECT_EQ(account.timeline[2].indent, 1) << "below what caused it";
    EXPECT_EQ(account.timeline[2].incident, exit);
    EXPECT_EQ(account.timeline[0].incident, 0u);
}

TEST(Timeline, FoldsDegradedDownAndStartingIntoOneIncident) {
    History history;
    history.state("ready", 0s);
    history.state("degraded", 1min, "first reason");
    history.state("down", 2min, "second reason");
    history.state("starting", 3min);
    history.state("degraded", 4min);
    auto open = history.explain(10min).incidents;
    ASSERT_EQ(open.size(), 1u);
    EXPECT_FALSE(open[0].ended);
    EXPECT_EQ(open[0].lasted, 9min);
    EXPECT_EQ(open[0].worst, "down");
    EXPECT_EQ(open[0].cause, "first reason");
    history.state("ready", 6min);
    history.state("degraded", 7min);
    auto incidents = history.explain(10min).incidents;
    ASSERT_EQ(incidents.size(), 2u);
    EXPECT_EQ(incidents[0].lasted, 5min);
    EXPECT_EQ(incidents[1].worst, "degraded");
}

TEST(Timeline, TakesAStopForTheOwnersDoingAndNotForAnIncident) {
    History history;
    history.state("ready", 0s);
    history.state("stopping", 1min);
    history.state("stopped", 2min);
    history.state("starting", 3min);
    history.state("ready", 4min);
    EXPECT_TRUE(history.explain().incidents.empty());
    history.state("down", 5min);
    history.state("stopped", 6min);
    auto incidents = history.explain().incidents;
    ASSERT_EQ(incidents.size(), 1u);
    EXPECT_TRUE(incidents[0].by_operator);
}

TEST(Timeline, NeverShowsANegativeDurationWhenTheClockIsSetBack) {
    History history;
    history.state("down", 1h);
    history.state("ready", 0s);
    auto account = history.explain();
    EXPECT_EQ(account.incidents.at(0).lasted, 0s);
    EXPECT_EQ(account.timeline.at(1).after, 0s);
}

TEST(Timeline, KeepsApartServicesWhoseNamesBeginAlike) {
    History history;
    history.state("ready", 0s);
    history.instance("start", "", 1s);
    history.add("service/shop-2", "state", "down", 2s, "", 0);
    history.add("instance/shop-2.0", "state", "down", 3s, "", 0);
    history.add("node", "alert", "", 4s, "", 0);
    EXPECT_EQ(history.explain().timeline.size(), 2u);
    EXPECT_EQ(history.timeline.query({.subject = "service/shop-2", .since = {}}).size(), 2u);
    EXPECT_EQ(history.timeline.query({.subject = "instance/shop.0", .since = {}}).size(), 1u);
    EXPECT_EQ(history.timeline.query({.subject = "node", .since = {}}).size(), 1u);
}

TEST(Timeline, AnswersWithTheLastRecordsSinceATime) {
    History history;
    for (int i = 0; i < 10; ++i) history.state(i % 2 ? "ready" : "down", i * 1min);
    auto last = history.timeline.query({.subject = "service/shop", .limit = 3, .since = {}});
    ASSERT_EQ(last.size(), 3u);
    EXPECT_EQ(last[0].id, 8u);
    auto since = history.timeline.query({.subject = "service/shop", .since = noon + 5min});
    EXPECT_EQ(since.size(), 5u);
}

TEST(Timeline, KeepsWithinItsLimitsAndTheNewest) {
    Timeline timeline({.records_max = 100, .per_subject_max = 30});
    runtime::Random random(1);
    std::size_t gone = 0;
    for (RecordId id = 1; id <= 1000; ++id) {
        Record record;
        record.id = id;
        record.subject = random.chance(0.5) ? "service/noisy" : "service/" + std::to_string(id % 7);
        gone += timeline.add(record).size();
        ASSERT_LE(timeline.size(), 100u);
        ASSERT_EQ(timeline.size() + gone, id);
        ASSERT_TRUE(timeline.find(id));
        ASSERT_LE(timeline.query({.subject = record.subject, .since = {}}).size(), 30u);
    }
}

TEST(Timeline, ReadsBackWhatItWroteAndRefusesDamage) {
    Record record;
    record.id = 7;
    record.at = noon;
    record.subject = "service/shop";
    record.kind = "state";
    record.from = "ready";
    record.to = "down";
    record.reason = "because";
    record.details = {{"pid", "7"}, {"", ""}};
    record.caused_by = 6;
    auto bytes = encode_record(record);
    EXPECT_EQ(decode_record(7, bytes), record);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto flipped = bytes;
        flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
        EXPECT_FALSE(decode_record(7, flipped)) << i;
        EXPECT_FALSE(decode_record(7, bytes.substr(0, i))) << i;
    }
}

}  // namespace
}  // namespace holdfast::health
