#include "runtime/clock.h"

namespace holdfast::runtime {

Instant TimerQueue::next_deadline() const {
    return due_.empty() ? Instant::max() : due_.begin()->at;
}

std::size_t TimerQueue::advance(Instant now) {
    auto armed_before = armed_;
    std::size_t fired = 0;
    while (!due_.empty()) {
        Due first = *due_.begin();
        if (first.at > now || (first.at == now && first.order >= armed_before)) break;
        due_.erase(due_.begin());
        first.timer->due_.reset();
        ++fired;
        first.timer->on_due_();  // May destroy the timer.
    }
    return fired;
}

void Timer::arm(Instant at) {
    disarm();
    due_ = TimerQueue::Due{.at = at, .order = queue_.armed_++, .timer = this};
    queue_.due_.insert(*due_);
}

void Timer::disarm() {
    if (!due_) return;
    queue_.due_.erase(*due_);
    due_.reset();
}

}  // namespace holdfast::runtime
