// EventLoop: one thread on which everything of a node runs, over epoll.
//
// It gives the edges of this room what they need: time, readiness of descriptors, signals, and a
// few threads for calls that block. The REST server brings its own Asio handlers, so Asio's
// io_context is the outer loop; our own readiness and timers are one descriptor in it
// (real/reactor.h). That keeps Boost out of every header and out of all but two files of this room.
//
// Thread-safe: post() and stop(). All else on the thread that calls run(). Every Task made here
// must be destroyed before the loop.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/clock.h"
#include "runtime/task.h"

namespace boost::asio {
class io_context;
}

namespace holdfast::runtime {

class Reactor;

class EventLoop {
  public:
    struct Options {
        std::size_t pool_threads = 4;  // Each is started when first needed.
    };
    EventLoop();
    explicit EventLoop(Options options);
    ~EventLoop();  // Waits for the jobs of the pool, queued ones included.
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Serves until stop(), also if that came first. May be called again.
    void run();
    void stop();

    // Runs `work` on the loop's thread, later, in the order posted. What was posted but not run is
    // destroyed with the loop.
    void post(std::move_only_function<void()> work);

    // CLOCK_BOOTTIME: a suspended machine sees the time it slept.
    Clock& clock();

    // Done when the descriptor has something to read (or an end, or an error), or room to write.
    // May be done too early, so try again after it. Regular files are always ready. The descriptor
    // stays open until the Task is done or destroyed. Any number may wait for one descriptor.
    Task<void> readable(int fd);
    Task<void> writable(int fd);

    // The next of these signals to come. From the first call on that names it, a signal is taken by
    // the loop for good: it no longer ends the process, and waits, merged with its like, for the
    // next call that names it.
    Task<int> next_signal(std::vector<int> signals);

    // Calls `job` on a thread of the pool and hands its value back here; for calls that block. The
    // job must own all it touches: once the Task has been awaited the job runs to its end, even if
    // the Task is destroyed meanwhile. What it owned and returned is destroyed on the loop's
    // thread.
    template <class F>
    Task<std::invoke_result_t<F&>> on_pool(F job);

    // Runs the loop until the task is done; for main() and for tests. stop() ends the process here,
    // since there would be no value to return.
    template <class T>
    T complete(Task<T> task);

    boost::asio::io_context& context();
    Reactor& reactor();

  private:
    struct State;

    Task<void> run_on_pool(std::move_only_function<void()> job);
    void run_while(const bool& wanted);

    std::unique_ptr<State> state_;
};

template <class F>
Task<std::invoke_result_t<F&>> EventLoop::on_pool(F job) {
    using Value = std::invoke_result_t<F&>;
    struct Call {
        F job;
        std::optional<detail::Kept<Value>> value;
        std::exception_ptr exception;
    };
    // Shared, because the Task and the pool's thread let go of it in any order.
    auto call = std::make_shared<Call>(std::move(job), std::nullopt, nullptr);
    co_await run_on_pool([call] {
        try {
            if constexpr (std::is_void_v<Value>) {
                call->job();
                call->value.emplace();
            } else {
                call->value.emplace(call->job());
            }
        } catch (...) {
            call->exception = std::current_exception();
        }
    });
    if (call->exception) std::rethrow_exception(call->exception);
    if constexpr (!std::is_void_v<Value>) co_return std::move(*call->value);
}

template <class T>
T EventLoop::complete(Task<T> task) {
    bool wanted = true;
    std::optional<detail::Kept<T>> value;
    std::exception_ptr exception;
    TaskGroup group;
    group.spawn([](bool& wants, auto& result, auto& thrown, Task<T> inner) -> Task<void> {
        try {
            result.emplace(co_await detail::keep(std::move(inner)));
        } catch (...) {
            thrown = std::current_exception();
        }
        wants = false;
    }(wanted, value, exception, std::move(task)));
    run_while(wanted);
    if (exception) std::rethrow_exception(exception);
    if constexpr (!std::is_void_v<T>) return std::move(*value);
}

}  // namespace holdfast::runtime
