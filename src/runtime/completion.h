// Completion<T>: one answer that somebody else will give later, such as a disk pool or a timer.
//
// The asking coroutine and the answering party end in any order, so the answer lives in a state
// both share: the task may be destroyed before the answer comes, and the answer may come before
// anybody waits. One loop: complete() is called on the thread of the waiting task.
#pragma once

#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "runtime/task.h"

namespace holdfast::runtime {

template <class T>
class Completion {
    struct State {
        std::optional<T> value;
        std::coroutine_handle<> waiting;
        bool completed = false;
    };

  public:
    // shared_ptr: either end may go first.
    Completion() : state_(std::make_shared<State>()) {}

    // Once. Resumes the waiter, if there is one, before it returns.
    void complete(T value) const {
        HF_CHECK(!state_->completed);
        auto state = state_;
        state->completed = true;
        state->value.emplace(std::move(value));
        if (state->waiting) std::exchange(state->waiting, {}).resume();
    }

    bool completed() const { return state_->completed; }

    class Wait {
      public:
        explicit Wait(std::shared_ptr<State> state) : state_(std::move(state)) {}
        ~Wait() {
            if (suspended_) state_->waiting = {};
        }
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        bool await_ready() const noexcept { return state_->value.has_value(); }
        void await_suspend(std::coroutine_handle<> self) {
            HF_CHECK(!state_->waiting);
            suspended_ = true;
            state_->waiting = self;
        }
        T await_resume() {
            suspended_ = false;
            return *std::exchange(state_->value, {});
        }

      private:
        std::shared_ptr<State> state_;
        bool suspended_ = false;
    };

    // One waiter, once: it takes the value.
    Wait wait() const { return Wait(state_); }
    static Task<T> answer(Completion self) { co_return co_await self.wait(); }

  private:
    std::shared_ptr<State> state_;
};

}  // namespace holdfast::runtime
