// At most so many restarts of one service in any second: the only brake on restarts that are
// otherwise made at once. Counts over a sliding window, so that the first ones are not delayed.
#pragma once

#include <cstddef>
#include <deque>

#include "base/time.h"

namespace holdfast::service {

class StartWindow {
  public:
    explicit StartWindow(std::size_t starts_max = 10, Duration span = std::chrono::seconds(1))
        : starts_max_(starts_max), span_(span) {}

    // When the next start is within the limit: `now` or later.
    Instant next(Instant now) const {
        if (starts_.size() < starts_max_) return now;
        return std::max(now, starts_.front() + span_);
    }

    void started(Instant now) {
        if (starts_.size() == starts_max_) starts_.pop_front();
        starts_.push_back(now);
    }

  private:
    std::size_t starts_max_;
    Duration span_;
    std::deque<Instant> starts_;  // The latest starts_max_.
};

}  // namespace holdfast::service
