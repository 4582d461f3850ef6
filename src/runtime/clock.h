// The one place where time enters: shells read it here and pass it on to their cores.
#pragma once

#include <coroutine>
#include <functional>
#include <optional>
#include <set>
#include <variant>

#include "base/result.h"
#include "base/time.h"
#include "runtime/task.h"

namespace holdfast::runtime {

class Timer;

// Timers in the order they are due; equal instants in the order they were armed. Pure: told the
// time.
class TimerQueue {
  public:
    // When the next timer is due; Instant::max() if there is none.
    Instant next_deadline() const;

    // Fires, one after the other, every timer due at `now`, also those armed meanwhile by the
    // timers themselves, except for `now` itself, which waits for the next call. Returns how many.
    std::size_t advance(Instant now);

  private:
    friend class Timer;
    struct Due {
        Instant at;
        std::uint64_t order;
        Timer* timer;
        bool operator<(const Due& other) const {
            return at != other.at ? at < other.at : order < other.order;
        }
    };
    std::set<Due> due_;
    std::uint64_t armed_ = 0;
};

// Calls back once per arm(). Neither copied nor moved; disarms itself when it goes.
class Timer {
  public:
    Timer(TimerQueue& queue, std::function<void()> on_due)
        : queue_(queue), on_due_(std::move(on_due)) {}
    ~Timer() { disarm(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    void arm(Instant at);  // Replaces an earlier arm().
    void disarm();
    bool armed() const { return due_.has_value(); }

  private:
    friend class TimerQueue;
    TimerQueue& queue_;
    std::function<void()> on_due_;
    std::optional<TimerQueue::Due> due_;
};

// Real: CLOCK_BOOTTIME, so that a suspended machine sees the time it slept. Simulated: virtual
// time, possibly skewed and drifting.
class Clock {
  public:
    virtual ~Clock() = default;

    virtual Instant now() const = 0;
    virtual WallTime wall_now() const = 0;
    virtual TimerQueue& timers() = 0;

    class Sleep {
      public:
        Sleep(TimerQueue& queue, Instant at, bool due)
            : due_(due), at_(at), timer_(queue, [this] { std::exchange(waiting_, {}).resume(); }) {}
        bool await_ready() const noexcept { return due_; }
        void await_suspend(std::coroutine_handle<> self) {
            waiting_ = self;
            timer_.arm(at_);
        }
        void await_resume() const noexcept {}

      private:
        bool due_;
        Instant at_;
        std::coroutine_handle<> waiting_;
        Timer timer_;
    };

    // co_await clock.sleep_until(t); does not suspend if t has passed. Instant::max() never comes.
    Sleep sleep_until(Instant at) { return Sleep(timers(), at, at <= now()); }
    // A duration that leads past the end of time never ends.
    Task<void> sleep_for(Duration duration) {
        Instant start = now();
        bool endless = duration > Instant::max() - start;
        co_await sleep_until(endless ? Instant::max() : start + duration);
    }
};

// The task's value, or Errc::unavailable "WHAT took longer than 1.5s" after the time limit, when
// the task has been destroyed.
template <class T>
Task<Result<T>> within(Clock& clock, Duration limit, std::string what, Task<Result<T>> task);

std::string took_longer(const std::string& what, Duration limit);

template <class T>
Task<Result<T>> within(Clock& clock, Duration limit, std::string what, Task<Result<T>> task) {
    auto outcome = co_await race(std::move(task), clock.sleep_for(limit));
    if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
    co_return fail(Errc::unavailable, took_longer(what, limit));
}

// Waits for a wake(): how one task tells another that there is something to look at. Wakes are not
// counted: any number before the wait make one. One waiter at a time.
class Signal {
  public:
    void wake() {
        set_ = true;
        if (waiting_) std::exchange(waiting_, {}).resume();
    }

    class Wait {
      public:
        explicit Wait(Signal& signal) : signal_(signal) {}
        ~Wait() {
            if (suspended_) signal_.waiting_ = {};
        }
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        bool await_ready() const noexcept { return signal_.set_; }
        void await_suspend(std::coroutine_handle<> self) {
            HF_CHECK(!signal_.waiting_);
            suspended_ = true;
            signal_.waiting_ = self;
        }
        void await_resume() noexcept {
            suspended_ = false;
            signal_.set_ = false;
        }

      private:
        Signal& signal_;
        bool suspended_ = false;
    };
    Wait wait() { return Wait(*this); }

    // For race(): done at the next wake, or when the time comes.
    Task<void> waited() { co_await wait(); }

  private:
    bool set_ = false;
    std::coroutine_handle<> waiting_;
};

}  // namespace holdfast::runtime
