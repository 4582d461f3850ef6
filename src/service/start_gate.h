// How many instances of one machine may be in the middle of a start at once.
//
// Starting is when programs read the most and compute the most; a machine that starts everything at
// once after a reboot is slower to have the first service ready than one that takes turns.
//
// Turns are given in the order of request, those of a last candidate (its service has no ready
// instance) before others. At most three urgent turns in a row while others wait, so that a service
// that keeps failing cannot hold the others back. A turn ends with release(), or after hold_max: a
// program that takes long to become ready is mostly waiting by then. Pure: told the time.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"

namespace holdfast::service {

// Which start: an instance has at most one under way.
struct StartKey {
    std::string service;
    int index = 0;

    auto operator<=>(const StartKey&) const = default;
};

enum class Urgency { ordinary, last_candidate };

class StartGate {
  public:
    // starting_max >= 1.
    StartGate(int starting_max, Duration hold_max);

    // Queues at the end. One that waits already keeps its place, and takes the new urgency. Not for
    // one that holds a turn.
    void request(const StartKey& key, Urgency urgency);

    // Gives the turn back, or leaves the queue. Fine if neither.
    void release(const StartKey& key);

    // The next one whose turn it is; call until it answers nothing.
    std::optional<StartKey> grant(Instant now);

    // When a turn ends by itself; Instant::max() while nobody waits.
    Instant next_deadline() const;

    bool waits(const StartKey& key) const { return places_.contains(key); }
    bool holds(const StartKey& key) const { return held_.contains(key); }
    int waiting() const { return static_cast<int>(places_.size()); }
    int starting() const { return static_cast<int>(held_.size()); }
    int starting_max() const { return starting_max_; }

  private:
    struct Place {
        std::uint64_t order;
        Urgency urgency;
    };
    using Queue = std::map<std::uint64_t, StartKey>;  // By order of request.

    Queue& queue_of(Urgency urgency);

    int starting_max_;
    Duration hold_max_;
    std::uint64_t order_ = 0;
    int urgent_in_a_row_ = 0;
    Queue urgent_;
    Queue ordinary_;
    std::map<StartKey, Place> places_;
    std::map<StartKey, Instant> held_;  // Until when.
};

}  // namespace holdfast::service
