// Task<T>: a coroutine that is started by whoever awaits it, and ended by whoever owns it.
//
// Every shell is written in Tasks over the edges of this room (Clock, Network, Disk, ...), so that
// the same code runs on the real event loop and in the simulator. They are our own, and not
// asio::awaitable, for three reasons: a file of Tasks compiles in seconds, not in half a minute;
// the simulator needs no executor behind them; and cancellation is destruction, with nothing to
// catch or to forget.
//
// Cancellation. Destroying a suspended Task destroys its frame and, through the frame's locals, all
// it awaits, down to the leaf, whose destructor withdraws the timer or readiness it waited for.
// So a Task may be abandoned at any co_await, and cleans up in destructors. A Task must not be
// destroyed from inside itself.
//
// A Task lives on one thread: the one that first resumed it. Not thread-safe.
//
// Exceptions leave through the co_await that awaits the Task, also out of race() and all(). One
// that leaves a task spawned in a TaskGroup ends the process: no business logic throws.
//
// However many tasks finish one after the other without suspending, the stack does not grow: a task
// hands over to the next by symmetric transfer. Resuming a leaf, as a timer does, is a plain call.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"

namespace holdfast::runtime {

template <class T = void>
class Task;

namespace detail {

class PromiseBase {
  public:
    std::suspend_always initial_suspend() noexcept { return {}; }

    struct Final {
        bool await_ready() noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
            return self.promise().continuation_;
        }
        void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept { exception_ = std::current_exception(); }

    void continue_with(std::coroutine_handle<> continuation) {
        HF_CHECK(!continuation_);  // Awaited twice.
        continuation_ = continuation;
    }

  protected:
    void rethrow() {
        if (exception_) std::rethrow_exception(exception_);
    }

  private:
    std::coroutine_handle<> continuation_;  // Set before the first resumption.
    std::exception_ptr exception_;
};

template <class T>
class Promise : public PromiseBase {
  public:
    Task<T> get_return_object();
    template <class U = T>  // The default is what `co_return {};` means.
        requires std::convertible_to<U&&, T>
    void return_value(U&& value) {
        value_.emplace(std::forward<U>(value));
    }
    T take() {
        rethrow();
        return std::move(*value_);
    }

  private:
    std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
  public:
    Task<void> get_return_object();
    void return_void() {}
    void take() { rethrow(); }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
  public:
    using promise_type = detail::Promise<T>;
    using Value = T;

    Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            if (frame_) frame_.destroy();
            frame_ = std::exchange(other.frame_, {});
        }
        return *this;
    }
    ~Task() {
        if (frame_) frame_.destroy();
    }

    // Starts the task and resumes the awaiting coroutine when it is done. At most once.
    auto operator co_await() && noexcept {
        struct Awaiter {
            std::coroutine_handle<promise_type> frame;
            bool await_ready() noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
                frame.promise().continue_with(awaiting);
                return frame;
            }
            T await_resume() { return frame.promise().take(); }
        };
        HF_CHECK(frame_);
        return Awaiter{frame_};
    }

  private:
    friend promise_type;
    explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

template <class T>
Task<T> detail::Promise<T>::get_return_object() {
    return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}

inline Task<void> detail::Promise<void>::get_return_object() {
    return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// Owns tasks that run beside their starter, such as one per connection. They end by finishing, or
// all at once by stop(), which every destructor of a group implies.
class TaskGroup {
  public:
    TaskGroup() = default;
    ~TaskGroup() { stop(); }
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    // Runs the task until its first suspension, before returning.
    void spawn(Task<void> task);

    // Ends all tasks; after it returns nothing of them runs. Not from inside one of them.
    void stop();

    std::size_t size() const { return size_; }

  private:
    struct Root;
    struct Link {
        Link* previous = nullptr;
        Link* next = nullptr;
        std::coroutine_handle<> frame;
        TaskGroup* group = nullptr;
    };
    static Root run(TaskGroup* group, Task<void> task);
    void add(Link& link);
    void remove(Link& link);

    Link* first_ = nullptr;
    std::size_t size_ = 0;
};

struct TaskGroup::Root {
    struct promise_type : Link {
        Root get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() { group->remove(*this); }
        void unhandled_exception() noexcept { std::terminate(); }
    };
    std::coroutine_handle<promise_type> frame;
};

inline TaskGroup::Root TaskGroup::run(TaskGroup*, Task<void> task) {
    co_await std::move(task);
}

inline void TaskGroup::spawn(Task<void> task) {
    auto frame = run(this, std::move(task)).frame;
    auto& link = frame.promise();
    link.frame = frame;
    link.group = this;
    add(link);
    frame.resume();
}

inline void TaskGroup::add(Link& link) {
    link.next = first_;
    if (first_) first_->previous = &link;
    first_ = &link;
    ++size_;
}

inline void TaskGroup::remove(Link& link) {
    if (link.previous) link.previous->next = link.next;
    if (link.next) link.next->previous = link.previous;
    if (first_ == &link) first_ = link.next;
    --size_;
}

inline void TaskGroup::stop() {
    while (first_) {
        Link& link = *first_;
        remove(link);
        link.frame.destroy();
    }
}

namespace detail {

// What a void task leaves behind in a race or a join.
template <class T>
using Kept = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
Task<Kept<T>> keep(Task<T> task) {
    if constexpr (std::is_void_v<T>) {
        co_await std::move(task);
        co_return std::monostate{};
    } else {
        co_return co_await std::move(task);
    }
}

// A coroutine that stores its task's outcome and then resumes whoever `arrive` names.
struct Arm {
    struct promise_type {
        std::coroutine_handle<> next = std::noop_coroutine();
        Arm get_return_object() {
            return Arm(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        struct Final {
            bool await_ready() noexcept { return false; }
            std::coroutine_handle<> await_suspend(
                std::coroutine_handle<promise_type> self) noexcept {
                return self.promise().next;
            }
            void await_resume() noexcept {}
        };
        Final final_suspend() noexcept { return {}; }
        void return_value(std::coroutine_handle<> handle) { next = handle; }
        void unhandled_exception() noexcept { std::terminate(); }
    };
    explicit Arm(std::coroutine_handle<promise_type> f) : frame(f) {}
    Arm(Arm&& other) noexcept : frame(std::exchange(other.frame, {})) {}
    Arm& operator=(Arm&&) = delete;
    ~Arm() {
        if (frame) frame.destroy();
    }
    std::coroutine_handle<promise_type> frame;
};

struct Meeting {
    std::coroutine_handle<> waiting;  // Null until the awaiting coroutine has suspended.
    std::size_t missing = 0;

    std::coroutine_handle<> arrive() {
        if (missing == 0) return std::noop_coroutine();
        if (--missing > 0 || !waiting) return std::noop_coroutine();
        return std::exchange(waiting, {});
    }
};

// How a task of a race or a join ended.
template <class T>
class Landing {
  public:
    bool landed() const { return value_ || exception_; }
    Kept<T> take() {
        if (exception_) std::rethrow_exception(exception_);
        return std::move(*value_);
    }

    static Arm arm(Meeting* meeting, Landing* landing, Task<T> task) {
        try {
            landing->value_.emplace(co_await keep(std::move(task)));
        } catch (...) {
            landing->exception_ = std::current_exception();
        }
        co_return meeting->arrive();
    }

  private:
    std::optional<Kept<T>> value_;
    std::exception_ptr exception_;
};

// Where the coroutine that awaits a race or a join waits for the tasks it has started.
struct Rendezvous {
    Meeting& meeting;
    bool await_ready() noexcept { return meeting.missing == 0; }
    void await_suspend(std::coroutine_handle<> self) noexcept { meeting.waiting = self; }
    void await_resume() noexcept {}
};

}  // namespace detail

// Both at once: done when both are. Each value in a tuple, std::monostate for void. If both threw,
// the exception is the first one's.
template <class A, class B>
Task<std::tuple<detail::Kept<A>, detail::Kept<B>>> all(Task<A> a, Task<B> b) {
    detail::Landing<A> from_a;
    detail::Landing<B> from_b;
    detail::Meeting meeting{.waiting = {}, .missing = 2};
    auto first = from_a.arm(&meeting, &from_a, std::move(a));
    auto second = from_b.arm(&meeting, &from_b, std::move(b));
    first.frame.resume();
    second.frame.resume();
    co_await detail::Rendezvous{meeting};
    auto value_a = from_a.take();
    co_return std::tuple(std::move(value_a), from_b.take());
}

// Both at once: done when the first is; the other is then destroyed. If the first finishes without
// suspending, the second is never started. If both are done by the time the race looks, the first
// wins.
//
// Race readiness, never reads: a loser that has already consumed something takes it along.
template <class A, class B>
Task<std::variant<detail::Kept<A>, detail::Kept<B>>> race(Task<A> a, Task<B> b) {
    using Outcome = std::variant<detail::Kept<A>, detail::Kept<B>>;
    detail::Landing<A> from_a;
    detail::Landing<B> from_b;
    detail::Meeting meeting{.waiting = {}, .missing = 1};
    auto first = from_a.arm(&meeting, &from_a, std::move(a));
    auto second = from_b.arm(&meeting, &from_b, std::move(b));
    first.frame.resume();
    if (!from_a.landed()) second.frame.resume();
    co_await detail::Rendezvous{meeting};
    if (from_a.landed()) co_return Outcome(std::in_place_index<0>, from_a.take());
    co_return Outcome(std::in_place_index<1>, from_b.take());
}

}  // namespace holdfast::runtime
