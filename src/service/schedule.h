// When a job is due: arithmetic on wall time that survives restarts, suspension and clocks that
// jump.
//
// Pure. `every` counts on the node's own clock, so steps of the wall clock do not touch it while
// the node runs; only across a restart is the wall clock asked, and believed within one period.
// `at` is a time of day in UTC, so there is no daylight saving to run twice or never at; the wall
// clock is what it is about, so jumps matter: an occasion that was decided on is never decided on
// again, and one that a jump passed over is reported, not lost.
//
// An occasion noticed late is still taken if it is no more than `late_max` old (five minutes, or
// half a period if that is less): a restart of the node must not cost a night's backup. Older ones
// are missed: reported, and not made up, because two runs at once after an outage is rarely what
// the owner wants, and `start` is there for that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "service/spec.h"

namespace holdfast::service {

// "03:30", "03:30:15": since midnight.
Result<Duration> parse_time_of_day(std::string_view text);
// The first occasion after `after`, and the last at or before it.
WallTime next_daily(WallTime after, Duration time_of_day);
WallTime last_daily(WallTime before, Duration time_of_day);

struct Missed {
    WallTime first;
    std::uint64_t times = 0;
    std::string reason;  // "not running when it was due", "the clock jumped over it"
};

struct Occasions {
    std::optional<Missed> missed;     // Before the one that is taken.
    std::optional<WallTime> take;     // Run now, for this occasion.
    std::optional<std::string> note;  // Something about the clock that its owner should know.
    bool decided = false;             // decided() has changed.
};

// Not thread-safe. Instants must never decrease; wall times may do what they like.
class Schedule {
  public:
    // `decided`: as an earlier node left it; none: this job is new.
    Schedule(const JobSpec& spec, std::optional<WallTime> decided, Instant now, WallTime wall);

    // What has come due by now.
    Occasions due(Instant now, WallTime wall);
    // When to ask again: the next occasion, or, for `at`, half a minute from now if that is sooner,
    // because nobody tells us that the wall clock was set.
    Instant next_deadline() const { return deadline_; }
    // For people: when it is due next; none for `once` when taken.
    std::optional<WallTime> next(Instant now, WallTime wall) const;
    std::optional<WallTime> decided() const { return decided_; }

  private:
    Occasions due_every(Instant now, WallTime wall);
    Occasions due_at(Instant now, WallTime wall);

    JobSpec::When when_;
    Duration period_;
    Duration late_max_;
    Duration time_of_day_{};
    std::optional<WallTime> decided_;
    Instant next_due_ = Instant::max();  // Of `every` and `once`.
    bool resumed_ = false;               // The first decision is about the time before this node.
    Instant deadline_;
    Instant asked_at_;
    WallTime asked_wall_;
};

}  // namespace holdfast::service
