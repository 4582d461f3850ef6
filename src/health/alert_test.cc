#include "health/alert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "health/utf8.h"

namespace holdfast::health {
namespace {

using namespace std::chrono_literals;
using enum AlarmState;

constexpr Instant start = Instant(1000h);
constexpr WallTime noon = WallTime(1'700'000'000s);
const std::vector<std::string> hooks{"http://hook/"};

// Alerting with its driver: lines kept, posts at hand, one clock.
class Driven {
  public:
    explicit Driven(AlertLimits limits = {}) : limits_(limits), core(limits, runtime::Random(1)) {}

    void apply(Alerting::Step step) {
        for (auto& post : step.posts) posts.push_back(std::move(post));
        for (auto& note : step.notes) notes.push_back(std::move(note));
        for (const auto& key : step.changed) {
            if (auto* line = core.find(key)) {
                kept[key] = *line;
            } else {
                kept.erase(key);
            }
        }
    }
    void observe(AlarmState state, std::vector<std::string> to = hooks) {
        apply(core.observed("shop", to, state, "why", wall(), now));
    }
    void pass(Duration duration) {
        auto until = now + duration;
        while (core.next_deadline() <= until) {
            now = std::max(now, core.next_deadline());
            apply(core.advance(now));
        }
        now = until;
    }
    void answer(Delivery delivery) {
        auto post = std::move(posts.front());
        posts.erase(posts.begin());
        apply(core.delivered(post.line, delivery, "it answered", now));
    }
    // Until there is nothing to send; each message that was taken.
    std::vector<AlarmState> drain() {
        std::vector<AlarmState> taken;
        for (int i = 0; i < 1000 && (core.waiting() > 0 || !posts.empty()); ++i) {
            pass(10s);
            while (!posts.empty()) {
                taken.push_back(posts.front().message.to);
                answer(Delivery::taken);
            }
        }
        return taken;
    }
    void restart() {
        std::vector<std::pair<AlertLineKey, AlertLine>> lines;
        for (const auto& [key, line] : kept) {
            lines.push_back(*decode_line(encode_line(key, line)));
        }
        core = Alerting(limits_, runtime::Random(2));
        posts.clear();
        core.restore(std::move(lines), now);
    }
    WallTime wall() const { return noon + (now - start); }

  private:
    AlertLimits limits_;

  public:
    Alerting core;
    Instant now = start;
    std::vector<Alerting::Post> posts;
    std::vector<std::string> notes;
    std::map<AlertLineKey, AlertLine> kept;
};

using States = std::vector<AlarmState>;

TEST(Alerting, TellsEachChangeOnce) {
    Driven alerts;
    alerts.observe(healthy);
    alerts.pass(1h);
    EXPECT_TRUE(alerts.posts.empty()) << "a service that is well is no news";
    alerts.observe(degraded);
    EXPECT_EQ(alerts.drain(), States{degraded});
    alerts.observe(degraded);
    EXPECT_EQ(alerts.drain(), States{});
    alerts.observe(down);
    EXPECT_EQ(alerts.drain(), States{down});
    alerts.observe(healthy);
    EXPECT_EQ(alerts.drain(), States{healthy});
    EXPECT_TRUE(alerts.kept.empty()) << "nothing is left to remember";
}

TEST(Alerting, WaitsASecondAndDoesNotTellWhatHasGoneBackByThen) {
    Driven alerts;
    alerts.observe(down);
    alerts.pass(999ms);
    EXPECT_TRUE(alerts.posts.empty());
    alerts.observe(healthy);
    EXPECT_EQ(alerts.drain(), States{});
    alerts.observe(degraded);
    alerts.pass(500ms);
    alerts.observe(down);
    alerts.pass(500ms);
    ASSERT_EQ(alerts.posts.size(), 1u) << "one second from the first change";
    EXPECT_EQ(alerts.posts[0].message.to, down);
    EXPECT_EQ(alerts.posts[0].message.from, healthy);
}

TEST(Alerting, TriesAgainWithGrowingPausesUntilItIsTaken) {
    Driven alerts;
    alerts.observe(down);
    alerts.pass(1s);
    std::vector<Duration> pauses;
    for (int i = 1; i <= 12; ++i) {
        ASSERT_EQ(alerts.posts.size(), 1u);
        EXPECT_EQ(alerts.posts[0].attempt, i);
        alerts.answer(Delivery::failed);
        pauses.push_back(alerts.core.next_deadline() - alerts.now);
        alerts.pass(pauses.back());
    }
    EXPECT_LE(pauses[0], 1s);
    EXPECT_LE(*std::ranges::max_element(pauses), 5min);
    EXPECT_GT(*std::ranges::max_element(pauses), 30s);
    alerts.answer(Delivery::taken);
    EXPECT_EQ(alerts.core.waiting(), 0u);
    EXPECT_EQ(alerts.core.find({"shop", "http://hook/"})->told, down);
}

TEST(Alerting, CarriesABegunMessageThroughBeforeTheNext) {
    Driven alerts;
    alerts.observe(down);
    alerts.pass(1s);
    alerts.observe(healthy);
    alerts.pass(1h);
    ASSERT_EQ(alerts.posts.size(), 1u) << "the receiver may have seen the first";
    alerts.answer(Delivery::failed);
    EXPECT_EQ(alerts.drain(), (States{down, healthy}));
}

TEST(Alerting, GivesUpAfterBoundedTriesAndTimeAndSaysSo) {
    Driven alerts({.tries_max = 5});
    alerts.observe(down);
    for (int i = 0; i < 5; ++i) {
        alerts.pass(10min);
        ASSERT_EQ(alerts.posts.size(), 1u);
        alerts.answer(Delivery::failed);
    }
    alerts.pass(24h);
    EXPECT_TRUE(alerts.posts.empty());
    ASSERT_EQ(alerts.notes.size(), 1u);
    EXPECT_TRUE(
        alerts.notes[0].starts_with("http://hook/ was not told that shop is down: it answered"))
        << alerts.notes[0];
    alerts.observe(healthy);
    EXPECT_EQ(alerts.drain(), States{healthy}) << "what comes next is told";
}

TEST(Alerting, DoesNotRepeatWhatIsRefusedForGood) {
    Driven alerts;
    alerts.observe(down);
    alerts.pass(1s);
    alerts.answer(Delivery::refused);
    alerts.pass(24h);
    EXPECT_TRUE(alerts.posts.empty());
    EXPECT_EQ(alerts.notes.size(), 1u);
}

TEST(Alerting, TellsNothingTwiceAndLosesNothingThroughARestart) {
    Driven alerts;
    alerts.observe(down);
    EXPECT_EQ(alerts.drain(), States{down});
    alerts.restart();
    alerts.observe(down);
    EXPECT_EQ(alerts.drain(), States{}) << "it was taken before";
    alerts.observe(healthy);
    alerts.restart();
    EXPECT_EQ(alerts.drain(), States{healthy}) << "it was waiting";
    alerts.observe(degraded);
    alerts.pass(1s);
    EXPECT_EQ(alerts.posts.size(), 1u);
    alerts.restart();
    EXPECT_EQ(alerts.drain(), States{degraded}) << "it was under way, and its fate is unknown";
}

TEST(Alerting, ResolvesWhatWasToldOfADeletedService) {
    Driven alerts;
    alerts.observe(down);
    EXPECT_EQ(alerts.drain(), States{down});
    EXPECT_EQ(alerts.core.services(), std::vector<std::string>{"shop"});
    alerts.apply(alerts.core.forget("shop", "deleted", alerts.wall(), alerts.now));
    EXPECT_EQ(alerts.drain(), States{healthy});
    EXPECT_TRUE(alerts.core.services().empty());
}

TEST(Alerting, TellsNothingMoreToAUrlThatWasTakenOut) {
    Driven alerts;
    alerts.observe(down, {"http://a/", "http://b/"});
    alerts.pass(1s);
    EXPECT_EQ(alerts.posts.size(), 2u);
    alerts.observe(down, {"http://b/"});
    alerts.answer(Delivery::failed);
    alerts.answer(Delivery::taken);
    EXPECT_EQ(alerts.drain(), States{});
    EXPECT_EQ(alerts.kept.size(), 1u);
}

TEST(Alerting, HasAtMostEightMessagesOnTheirWay) {
    Driven alerts;
    for (int i = 0; i < 30; ++i) {
        alerts.apply(alerts.core.observed("s" + std::to_string(i), hooks, down, "", noon, start));
    }
    alerts.pass(1h);
    EXPECT_EQ(alerts.posts.size(), 8u);
    EXPECT_EQ(alerts.core.next_deadline(), Instant::max());
    alerts.answer(Delivery::taken);
    alerts.pass(0s);
    EXPECT_EQ(alerts.posts.size(), 8u);
    EXPECT_EQ(alerts.drain().size(), 29u);
}

TEST(Alerting, RefusesRecordsThatAreDamaged) {
    AlertLine line{.told = down, .began = noon, .told_at = noon, .telling = {}, .next = {}};
    line.telling.emplace().reason = "x";
    auto bytes = encode_line({"shop", "http://hook/"}, line);
    ASSERT_TRUE(decode_line(bytes));
    EXPECT_EQ(decode_line(bytes)->second, line);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto flipped = bytes;
        flipped[i] = static_cast<char>(flipped[i] ^ 1);
        EXPECT_FALSE(decode_line(flipped)) << i;
        EXPECT_FALSE(decode_line(bytes.substr(0, i))) << i;
    }
}

TEST(AlertJson, IsAlertmanagersWebhook) {
    AlarmMessage message{.from = healthy,
                         .to = down,
                         .at = noon,
                         .began = noon,
                         .from_at = {},
                         .reason = "exited with code 1"};
    auto text = alert_json({"shop", "http://hook/"}, message, "a", "http://127.0.0.1:7400");
    EXPECT_EQ(boost::json::parse(text), boost::json::parse(R"({
        "version": "4", "groupKey": "{}:{node=\"a\", service=\"shop\"}", "truncatedAlerts": 0,
        "status": "firing", "receiver": "holdfast", "groupLabels": {"node": "a", "service": "shop"},
        "commonLabels": {"alertname": "ServiceDown", "node": "a", "service": "shop", "severity": "critical"},
        "commonAnnotations": {"description": "exited with code 1", "summary": "shop is down"},
        "externalURL": "http://127.0.0.1:7400",
        "alerts": [{"status": "firing",
            "labels": {"alertname": "ServiceDown", "node": "a", "service": "shop", "severity": "critical"},
            "annotations": {"description": "exited with code 1", "summary": "shop is down"},
            "startsAt": "2023-11-14T22:13:20.000Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://127.0.0.1:7400", "fingerprint": "398b00cc118f361f"}]})"))
        << text;
}

TEST(AlertJson, ResolvesOneAlertAndFiresTheOtherWhenTroubleChanges) {
    AlarmMessage message{.from = degraded,
                         .to = down,
                         .at = noon + 1h,
                         .began = noon,
                         .from_at = noon,
                         .reason = "\xff\x01 quoted \"output\""};
    auto parsed = boost::json::parse(alert_json({"shop", "u"}, message, "a", ""));
    const auto& alerts = parsed.at("alerts").as_array();
    ASSERT_EQ(alerts.size(), 2u);
    EXPECT_EQ(parsed.at("status").as_string(), "firing");
    EXPECT_EQ(alerts[0].at("labels").at("alertname").as_string(), "ServiceDown");
    EXPECT_EQ(alerts[0].at("status").as_string(), "firing");
    EXPECT_EQ(alerts[1].at("labels").at("alertname").as_string(), "ServiceDegraded");
    EXPECT_EQ(alerts[1].at("status").as_string(), "resolved");
    EXPECT_EQ(alerts[1].at("startsAt").as_string(), "2023-11-14T22:13:20.000Z");
    EXPECT_EQ(alerts[1].at("endsAt").as_string(), "2023-11-14T23:13:20.000Z");
    EXPECT_FALSE(parsed.at("commonLabels").as_object().contains("alertname"));
    message.from = down;
    message.to = healthy;
    parsed = boost::json::parse(alert_json({"shop", "u"}, message, "a", ""));
    EXPECT_EQ(parsed.at("status").as_string(), "resolved");
    EXPECT_EQ(parsed.at("alerts").at(0).at("annotations").at("summary").as_string(),
              "shop has recovered after 1h 0m");
}

TEST(Utf8, ReplacesWhatIsNotUtf8AndNothingElse) {
    std::string bad = "\xef\xbf\xbd";
    EXPECT_EQ(to_utf8("plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x99\x82"),
              "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x99\x82");
    EXPECT_EQ(to_utf8("\xff"), bad);
    EXPECT_EQ(to_utf8("a\xc3"), "a" + bad);
    EXPECT_EQ(to_utf8("\xc0\xaf"), bad + bad) << "overlong";
    EXPECT_EQ(to_utf8("\xed\xa0\x80"), bad + bad + bad) << "a surrogate";
    EXPECT_EQ(to_utf8("\xf4\x90\x80\x80"), bad + bad + bad + bad) << "beyond Unicode";
}

// A service that flaps, a receiver that fails, a node that restarts. Safety: every message starts
// from what the receiver was told last. Liveness: once all is quiet the receiver knows the truth.
TEST(AlertingSimulation, LeavesTheReceiverWithTheTruth) {
    for (unsigned seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        runtime::Random random(seed);
        Driven alerts({.tries_max = 1000, .try_for = 10000h});
        AlarmState told = healthy;
        AlarmState truth = healthy;
        for (int i = 0; i < 200; ++i) {
            if (random.chance(0.4)) {
                truth = static_cast<AlarmState>(random.below(3));
                alerts.observe(truth);
            }
            alerts.pass(random.between(0s, random.chance(0.2) ? 1h : 3s));
            while (!alerts.posts.empty() && random.chance(0.7)) {
                auto post = alerts.posts.front();
                bool arrived = random.chance(0.6);
                // Twice the same is fine: the labels are the same.
                bool repeated = told == post.message.to;
                if (!repeated) {
                    ASSERT_EQ(post.message.from, told);
                }
                if (arrived) told = post.message.to;
                alerts.answer(arrived && random.chance(0.8) ? Delivery::taken : Delivery::failed);
            }
            if (random.chance(0.05)) alerts.restart();
        }
        alerts.observe(truth);
        auto taken = alerts.drain();
        if (!taken.empty()) told = taken.back();
        EXPECT_EQ(told, truth);
        EXPECT_EQ(alerts.core.waiting(), 0u);
    }
}

}  // namespace
}  // namespace holdfast::health
