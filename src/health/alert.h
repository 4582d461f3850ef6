// Alerting: which change of which service's state is told to whom, once. Pure.
//
// Each service and URL is one line. A line knows what was told last, what is being told now, and
// what is to be told next: so there are at most two messages outstanding per line, however often a
// service flaps. A change waits one second before it is told, and one that has gone back by then is
// not told at all. Once an attempt has begun the message may have arrived, so it is carried
// through: until it is taken, refused for good (a 4xx that will not change), or given up after
// bounded time; then the next one. Attempts back off exponentially with full jitter.
//
// What goes out is Alertmanager's webhook format, version 4. Each line is a group; `degraded` and
// `down` are two alerts in it, so a change from one to the other resolves the first and fires the
// second in one message, and a receiver that knows alerts by their labels stays right.
//
// The lines are kept (encode(), docs/formats/alerts.md), so a node that restarts tells nothing
// twice that was taken, and still tells what was not.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "runtime/random.h"

namespace holdfast::health {

// What a service is as far as alerts go.
enum class AlarmState { healthy, degraded, down };
std::string_view alarm_name(AlarmState state);

struct AlarmMessage {
    AlarmState from = AlarmState::healthy;
    AlarmState to = AlarmState::healthy;
    WallTime at;       // Of the change.
    WallTime began;    // When the service was last healthy.
    WallTime from_at;  // When the state it leaves began.
    std::string reason;

    bool operator==(const AlarmMessage&) const = default;
};

struct AlertLineKey {
    std::string service;
    std::string url;

    auto operator<=>(const AlertLineKey&) const = default;
};

struct AlertLine {
    AlarmState told = AlarmState::healthy;  // By the last message taken, refused or given up.
    WallTime began;                         // Of the trouble told of.
    WallTime told_at;                       // When that state began.
    std::optional<AlarmMessage> telling;    // An attempt has begun.
    std::optional<AlarmMessage> next;       // Waits for its second, or for `telling`.

    bool idle() const { return told == AlarmState::healthy && !telling && !next; }
    bool operator==(const AlertLine&) const = default;
};

std::string encode_line(const AlertLineKey& key, const AlertLine& line);
Result<std::pair<AlertLineKey, AlertLine>> decode_line(std::string_view bytes);

enum class Delivery {
    taken,    // 2xx.
    refused,  // An answer that will be the same next time: 4xx but 408, 425 and 429.
    failed,   // Anything else: try again.
};

struct AlertLimits {
    Duration hold = std::chrono::seconds(1);
    Duration backoff_least = std::chrono::seconds(1);
    Duration backoff_most = std::chrono::minutes(5);
    int tries_max = 50;
    Duration try_for = std::chrono::hours(4);
    std::size_t lines_max = 10'000;
    std::size_t posting_max = 8;  // Attempts under way at a time.
};

// Not thread-safe. Instants passed in must never decrease.
class Alerting {
  public:
    struct Post {
        AlertLineKey line;
        AlarmMessage message;
        int attempt = 1;
    };
    struct Step {
        std::vector<Post> posts;            // Send each, and tell delivered().
        std::vector<AlertLineKey> changed;  // Lines to be kept, or, when gone, forgotten.
        std::vector<std::string> notes;     // For the journal: what was given up, and why.
    };

    Alerting(AlertLimits limits, runtime::Random random);

    // Lines as kept by an earlier node. Before anything else.
    void restore(std::vector<std::pair<AlertLineKey, AlertLine>> lines, Instant now);

    // The service is in this state now. Repeating it is fine. URLs that are no longer among `to`
    // are told nothing more.
    Step observed(std::string_view service, const std::vector<std::string>& to, AlarmState state,
                  std::string reason, WallTime at, Instant now);
    // The service is gone: what was told is resolved.
    Step forget(std::string_view service, std::string reason, WallTime at, Instant now);
    Step advance(Instant now);
    Step delivered(const AlertLineKey& line, Delivery delivery, std::string reason, Instant now);

    Instant next_deadline() const;
    const AlertLine* find(const AlertLineKey& key) const;
    std::size_t waiting() const;                // Messages that have not been taken.
    std::vector<std::string> services() const;  // With a line; sorted, each once.

  private:
    struct Line {
        AlertLine kept;
        bool posting = false;  // The shell has an attempt under way.
        int attempts = 0;      // Begun, of `telling`.
        Instant first_attempt;
        Instant retry_due = Instant::max();  // Of `telling`.
        Instant next_due = Instant::max();   // Of `next`, once `telling` is through.
    };
    using Lines = std::map<AlertLineKey, Line>;
    void want(const AlertLineKey& key, Line& line, AlarmState state, const std::string& reason,
              WallTime at, Instant now, Step& step);
    void conclude(const AlertLineKey& key, Line& line, Step& step);
    Instant due(const Line& line) const;
    Duration backoff(int attempts);

    AlertLimits limits_;
    runtime::Random random_;
    Lines lines_;
    std::size_t posting_ = 0;
};

// The body of the webhook. `node` and `external_url` are what the receiver is shown.
std::string alert_json(const AlertLineKey& line, const AlarmMessage& message, std::string_view node,
                       std::string_view external_url);

}  // namespace holdfast::health
