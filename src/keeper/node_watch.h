// When the node is to be started, and when it is to be killed: the decisions, told the time.
//
// The first death is answered at once: a node that ran for a while and was killed is wanted back
// now. Deaths in quick succession wait 10 ms, doubled each time up to 5 s, of which a random part
// (full jitter); ten seconds of life forget them. It never gives up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "keeper/codec.h"

namespace holdfast::keeper {

class NodeWatch {
  public:
    struct Options {
        Duration beat_max = std::chrono::seconds(10);   // Silence after which it counts as hung.
        Duration start_max = std::chrono::seconds(60);  // The same before its first beat.
    };
    NodeWatch(Options options, Instant now, WallTime wall)
        : options_(options), since_(wall), start_at_(now) {}

    enum class Due { nothing, start, kill };
    // What is to be done now; `kill` is due again after a second, until died(). Neither allocates.
    Due due(Instant now);
    Instant next_deadline() const { return std::min(start_at_, silent_at_); }

    void started(Instant now, WallTime wall);
    void beat(Instant now);
    void excuse(Instant now);  // It could not be heard until now: its time begins anew.
    void ready(WallTime wall);
    // Remembers the reason and schedules the next start; `dice` is uniform in [0, 1).
    void died(Instant now, WallTime wall, std::string reason, double dice);
    void hold(Instant until, WallTime wall);  // No start before.
    void leave(WallTime wall);                // No start at all.
    void restore(const std::vector<NodeDeath>& deaths, std::uint64_t restarts);

    NodeState state() const { return state_; }
    WallTime since() const { return since_; }
    std::uint64_t restarts() const { return restarts_; }  // Starts after the first.
    const std::vector<NodeDeath>& deaths() const { return deaths_; }

  private:
    void become(NodeState state, WallTime wall);

    Options options_;
    NodeState state_ = NodeState::absent;
    WallTime since_;
    Instant start_at_;                    // max(): not now.
    Instant silent_at_ = Instant::max();  // When its silence becomes too long.
    Instant born_;
    int quick_deaths_ = 0;
    std::uint64_t restarts_ = 0;
    std::vector<NodeDeath> deaths_;
};

}  // namespace holdfast::keeper
