// Virtual time, and who runs next in it.
//
// One thread. Time stands still while code runs, and jumps to the next instant at which anything is
// due. Things due at one instant run in a fixed order: the world's events first, then the clocks in
// the order they were made, each timer in the order it was armed. So a run depends on the seed
// only.
//
// A SimClock is one machine's idea of the time: skewed, drifting, and perhaps paused, when its
// timers wait although its time goes on, as for a stopped process. Everything a simulated edge has
// to say to a machine's tasks it says through a timer of the machine's clock (see Wakeup), so that
// a paused machine hears of nothing, and no task runs inside another.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "runtime/clock.h"

namespace holdfast::runtime {

class SimClock;

class Schedule {
  public:
    Schedule() = default;
    Schedule(const Schedule&) = delete;
    Schedule& operator=(const Schedule&) = delete;

    Instant now() const { return now_; }      // The world's time: from zero.
    TimerQueue& events() { return events_; }  // In the world's time.
    void after(Duration delay, std::function<void()> event);

    // Goes on to the next instant at which something is due and runs a part of that. False, and
    // nothing done, if nothing is due up to `limit`. A million steps without time passing are a
    // bug.
    bool step(Instant limit);
    void skip_to(Instant at);  // Nothing may be due before it.

  private:
    friend class SimClock;
    Instant now_{};
    TimerQueue events_;
    std::vector<SimClock*> clocks_;
    std::map<std::uint64_t, std::unique_ptr<Timer>> pending_;
    std::unique_ptr<Timer> spent_;  // The event that ran last: it must not destroy itself.
    std::uint64_t scheduled_ = 0;
    std::uint64_t steps_at_this_instant_ = 0;
};

class SimClock final : public Clock {
  public:
    struct Options {
        Duration uptime{};           // What it shows now.
        WallTime wall{};             // What the calendar shows now.
        std::int64_t drift_ppb = 0;  // Nanoseconds it gains in a second; at most half a second.
    };
    SimClock(Schedule& schedule, Options options);
    ~SimClock() override;
    SimClock(const SimClock&) = delete;
    SimClock& operator=(const SimClock&) = delete;

    Instant now() const override;
    WallTime wall_now() const override;
    TimerQueue& timers() override { return timers_; }

    void set_drift(std::int64_t drift_ppb);
    void shift_wall(Duration by);  // As ntpdate does; now() never jumps.
    void restart();  // The machine boots: its time starts again. No timer may be armed.

    // Its timers wait this long; pauses do not add up, the longest counts.
    void pause(Duration duration);
    void resume() { paused_until_ = {}; }
    bool paused() const { return schedule_.now() < paused_until_; }

    // When, in the world's time, this clock will show `at`, or next has a timer to run.
    Instant world_time(Instant at) const;
    Instant next_wake() const;

  private:
    Schedule& schedule_;
    TimerQueue timers_;
    Instant shown_;       // What it showed ...
    Instant shown_when_;  // ... at this instant of the world.
    Duration wall_offset_;
    std::int64_t drift_ppb_;
    Instant paused_until_{};
};

// How the world wakes one task of a machine: at once in virtual time, but later in order, and not
// while the machine is paused. Wakes are not counted, and one that nobody waits for is forgotten:
// the waiter looks at what it waits for, before and after.
class Wakeup {
  public:
    explicit Wakeup(SimClock& clock)
        : clock_(clock), timer_(clock.timers(), [this] {
              if (waiting_) std::exchange(waiting_, {}).resume();
          }) {}

    void wake() {
        if (waiting_ && !timer_.armed()) timer_.arm(clock_.now());
    }

    class Wait {
      public:
        explicit Wait(Wakeup& wakeup) : wakeup_(wakeup) {}
        ~Wait() {
            if (!suspended_) return;
            wakeup_.waiting_ = {};
            wakeup_.timer_.disarm();
        }
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> self) {
            HF_CHECK(!wakeup_.waiting_);
            suspended_ = true;
            wakeup_.waiting_ = self;
        }
        void await_resume() noexcept { suspended_ = false; }

      private:
        Wakeup& wakeup_;
        bool suspended_ = false;
    };
    Wait wait() { return Wait(*this); }  // One waiter at a time.

  private:
    SimClock& clock_;
    std::coroutine_handle<> waiting_;
    Timer timer_;
};

}  // namespace holdfast::runtime
