#include "runtime/sim/schedule.h"

#include <algorithm>

namespace holdfast::runtime {

namespace {

constexpr std::uint64_t steps_at_an_instant_max = 1'000'000;
constexpr std::int64_t drift_ppb_max = 500'000'000;
constexpr std::int64_t billion = 1'000'000'000;

// What a clock that gains `drift_ppb` shows after this much of the world's time.
Duration shown_after(Duration passed, std::int64_t drift_ppb) {
    auto gained = static_cast<__int128>(passed.count()) * drift_ppb / billion;
    return passed + Duration(static_cast<Duration::rep>(gained));
}

}  // namespace

void Schedule::after(Duration delay, std::function<void()> event) {
    auto id = scheduled_++;
    auto timer = std::make_unique<Timer>(events_, [this, id, event = std::move(event)] {
        spent_ = std::move(pending_.extract(id).mapped());
        event();
    });
    timer->arm(now_ + std::max(delay, Duration::zero()));
    pending_.emplace(id, std::move(timer));
}

bool Schedule::step(Instant limit) {
    Instant due = std::max(events_.next_deadline(), now_);
    SimClock* whose = nullptr;
    for (auto* clock : clocks_) {
        Instant wake = std::max(clock->next_wake(), now_);
        if (wake < due) {
            due = wake;
            whose = clock;
        }
    }
    if (due > limit || due == Instant::max()) return false;
    steps_at_this_instant_ = due == now_ ? steps_at_this_instant_ + 1 : 0;
    HF_CHECK(steps_at_this_instant_ < steps_at_an_instant_max);
    now_ = due;
    if (whose)
        whose->timers().advance(whose->now());
    else
        events_.advance(now_);
    return true;
}

void Schedule::skip_to(Instant at) {
    HF_CHECK(at >= now_);
    HF_CHECK(events_.next_deadline() >= at);
    now_ = at;
}

SimClock::SimClock(Schedule& schedule, Options options)
    : schedule_(schedule),
      shown_(options.uptime),
      shown_when_(schedule.now()),
      wall_offset_(options.wall.time_since_epoch() - options.uptime),
      drift_ppb_(options.drift_ppb) {
    HF_CHECK(std::abs(options.drift_ppb) <= drift_ppb_max);
    schedule_.clocks_.push_back(this);
}

SimClock::~SimClock() {
    std::erase(schedule_.clocks_, this);
}

Instant SimClock::now() const {
    return shown_ + shown_after(schedule_.now() - shown_when_, drift_ppb_);
}

WallTime SimClock::wall_now() const {
    return WallTime(now().time_since_epoch() + wall_offset_);
}

void SimClock::set_drift(std::int64_t drift_ppb) {
    HF_CHECK(std::abs(drift_ppb) <= drift_ppb_max);
    shown_ = now();
    shown_when_ = schedule_.now();
    drift_ppb_ = drift_ppb;
}

void SimClock::shift_wall(Duration by) {
    wall_offset_ += by;
}

void SimClock::restart() {
    HF_CHECK(timers_.next_deadline() == Instant::max());
    auto wall = wall_now();
    shown_ = Instant{};
    shown_when_ = schedule_.now();
    wall_offset_ = wall.time_since_epoch();
    paused_until_ = {};
}

void SimClock::pause(Duration duration) {
    paused_until_ = std::max(paused_until_, schedule_.now() + duration);
}

// The first instant of the world at which the clock shows `at` or more.
Instant SimClock::world_time(Instant at) const {
    if (at == Instant::max()) return at;
    Duration shown = at - shown_;
    if (shown <= Duration::zero()) return shown_when_;
    auto estimate = static_cast<__int128>(shown.count()) * billion / (billion + drift_ppb_);
    if (estimate >= (Instant::max() - shown_when_).count()) return Instant::max();
    auto passed = Duration(static_cast<Duration::rep>(estimate));
    while (shown_after(passed, drift_ppb_) < shown) passed += Duration(1);
    while (passed > Duration::zero() && shown_after(passed - Duration(1), drift_ppb_) >= shown)
        passed -= Duration(1);
    return shown_when_ + passed;
}

Instant SimClock::next_wake() const {
    Instant next = timers_.next_deadline();
    return next == Instant::max() ? next : std::max(world_time(next), paused_until_);
}

}  // namespace holdfast::runtime
