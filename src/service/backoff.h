// How long to wait before the next start of something that keeps failing.
//
// Full jitter ("Exponential Backoff And Jitter", Brooker 2015): uniform between nothing and a bound
// that doubles with each failure in a row. Full, because what matters here is that instances which
// failed together do not start together again; a floor under the wait would keep them in step.
//
// Failures are forgotten by forget(), which the caller calls after healthy time or on an operator's
// word, and never because a start was made.
#pragma once

#include "base/time.h"
#include "runtime/random.h"

namespace holdfast::service {

class Backoff {
  public:
    // 0 < least <= most. A change keeps the failures counted so far.
    void set_bounds(Duration least, Duration most);

    // One more failure in a row. Returns the wait before the next start.
    Duration failed(runtime::Random& random);
    void forget() { failures_ = 0; }

    int failures() const { return failures_; }
    Duration bound() const;  // Of the wait after the latest failure; zero without one.

  private:
    Duration least_ = std::chrono::milliseconds(100);
    Duration most_ = std::chrono::seconds(30);
    int failures_ = 0;
};

}  // namespace holdfast::service
