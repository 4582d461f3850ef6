// Stepper: how the conformance tests of storage and of coordinators drive what they test, whether
// its time is virtual or its answers come from threads. For tests.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/task.h"

namespace holdfast::runtime {

// A task under way. Destroying it destroys the task.
template <class T>
class Started {
  public:
    explicit Started(Task<T> task) : state_(std::make_unique<State>()) {
        state_->tasks.spawn(keep(std::move(task), state_.get()));
    }
    bool done() const { return state_->value.has_value(); }
    detail::Kept<T>& value() {
        HF_CHECK(done());
        return *state_->value;
    }

  private:
    struct State {
        std::optional<detail::Kept<T>> value;
        TaskGroup tasks;
    };
    static Task<void> keep(Task<T> task, State* state) {
        state->value.emplace(co_await detail::keep(std::move(task)));
    }
    std::unique_ptr<State> state_;
};

class Stepper {
  public:
    virtual ~Stepper() = default;
    virtual Clock& clock() = 0;
    // Lets the next thing happen; false if nothing can any more, or does within a minute.
    virtual bool step() = 0;
    // Lets time pass, and whatever happens in it.
    virtual void pass(Duration duration) = 0;

    template <class T>
    Started<T> start(Task<T> task) {
        return Started<T>(std::move(task));
    }

    template <class T>
    detail::Kept<T> finish(Started<T>& started) {
        while (!started.done()) HF_CHECK(step());
        return std::move(started.value());
    }

    template <class T>
    detail::Kept<T> finish(Task<T> task) {
        auto started = start(std::move(task));
        return finish(started);
    }
};

// Time that moves when told.
class ManualClock final : public Clock {
  public:
    Instant now() const override { return now_; }
    WallTime wall_now() const override { return WallTime(now_.time_since_epoch()); }
    TimerQueue& timers() override { return timers_; }
    void move_to(Instant at) {
        now_ = std::max(now_, at);
        timers_.advance(now_);
    }

  private:
    Instant now_{std::chrono::hours(1)};
    TimerQueue timers_;
};

// Everything in virtual time.
class VirtualStepper final : public Stepper {
  public:
    Clock& clock() override { return clock_; }
    bool step() override {
        const auto next = clock_.timers().next_deadline();
        if (next == Instant::max()) return false;
        clock_.move_to(next);
        return true;
    }
    void pass(Duration duration) override {
        const auto end = clock_.now() + duration;
        while (clock_.timers().next_deadline() <= end) step();
        clock_.move_to(end);
    }

  private:
    ManualClock clock_;
};

// Time is virtual and moves only by pass(); answers are posted by threads.
class PostedStepper final : public Stepper {
  public:
    Clock& clock() override { return clock_; }

    // Thread-safe.
    void post(std::move_only_function<void()> work) {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
        arrived_.notify_one();
    }

    bool step() override {
        std::move_only_function<void()> work;
        {
            std::unique_lock lock(mutex_);
            if (!arrived_.wait_for(lock, std::chrono::minutes(1),
                                   [this] { return !posted_.empty(); })) {
                return false;
            }
            work = std::move(posted_.front());
            posted_.pop_front();
        }
        work();
        return true;
    }

    void pass(Duration duration) override {
        const auto end = clock_.now() + duration;
        while (clock_.timers().next_deadline() <= end) {
            clock_.move_to(clock_.timers().next_deadline());
        }
        clock_.move_to(end);
    }

  private:
    ManualClock clock_;
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<std::move_only_function<void()>> posted_;
};

}  // namespace holdfast::runtime
