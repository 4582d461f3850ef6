#include "runtime/real/loop.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <list>
#include <set>

#include "runtime/completion.h"
#include "runtime/real/pool.h"
#include "runtime/real/reactor.h"

namespace holdfast::runtime {

namespace asio = boost::asio;
using boost::system::error_code;

// Signals the loop has taken over, those that came while nobody waited, and who waits.
class SignalDesk {
  public:
    explicit SignalDesk(asio::io_context& context) : signals_(context) {}

    Task<int> next(std::vector<int> wanted) {
        for (int signal : wanted) take_over(signal);
        for (int signal : wanted)
            if (pending_.erase(signal) > 0) co_return signal;
        Waiter waiter(*this, std::move(wanted));
        co_return co_await waiter.came.wait();
    }

  private:
    struct Waiter {
        Waiter(SignalDesk& at, std::vector<int> names) : desk(at), wanted(std::move(names)) {
            desk.waiters_.push_back(this);
        }
        ~Waiter() { std::erase(desk.waiters_, this); }
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;

        SignalDesk& desk;
        std::vector<int> wanted;
        Completion<int> came;
    };

    void take_over(int signal) {
        if (!taken_.insert(signal).second) return;
        signals_.add(signal);
        if (taken_.size() == 1) listen();
    }

    void listen() {
        signals_.async_wait([this](error_code error, int signal) {
            if (error) return;
            listen();
            deliver(signal);
        });
    }

    void deliver(int signal) {
        auto at = std::ranges::find_if(waiters_, [&](Waiter* waiter) {
            return std::ranges::find(waiter->wanted, signal) != waiter->wanted.end();
        });
        if (at == waiters_.end()) {
            pending_.insert(signal);
            return;
        }
        auto came = (*at)->came;
        waiters_.erase(at);
        came.complete(signal);
    }

    asio::signal_set signals_;
    std::set<int> taken_;
    std::set<int> pending_;
    std::vector<Waiter*> waiters_;
};

struct EventLoop::State {
    explicit State(Options options) : pool(options.pool_threads) { watch_reactor(); }
    ~State() { reactor_ready.release(); }  // The descriptor is the reactor's.
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    void watch_reactor() {
        reactor_ready.async_wait(asio::posix::stream_descriptor::wait_read,
                                 [this](error_code error) {
                                     if (error) return;
                                     reactor.dispatch();
                                     watch_reactor();
                                 });
    }

    // Runs one handler, waiting for it; any may have armed a timer.
    void turn() {
        reactor.settle();
        context.run_one();
    }

    asio::io_context context{1};
    asio::executor_work_guard<asio::io_context::executor_type> busy{context.get_executor()};
    Reactor reactor;
    asio::posix::stream_descriptor reactor_ready{context, reactor.fd()};
    SignalDesk signals{context};
    Pool pool;  // Last, so that its jobs end while there is a loop to post to.
};

EventLoop::EventLoop() : EventLoop(Options{}) {}
EventLoop::EventLoop(Options options) : state_(std::make_unique<State>(options)) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
    while (!state_->context.stopped()) state_->turn();
    state_->context.restart();
}

void EventLoop::run_while(const bool& wanted) {
    while (wanted) {
        HF_CHECK(!state_->context.stopped());
        state_->turn();
    }
}

void EventLoop::stop() {
    state_->context.stop();
}

void EventLoop::post(std::move_only_function<void()> work) {
    asio::post(state_->context, std::move(work));
}

Clock& EventLoop::clock() {
    return state_->reactor.clock();
}
asio::io_context& EventLoop::context() {
    return state_->context;
}
Reactor& EventLoop::reactor() {
    return state_->reactor;
}

Task<void> EventLoop::readable(int fd) {
    co_await state_->reactor.ready(fd, Reactor::Direction::in);
}
Task<void> EventLoop::writable(int fd) {
    co_await state_->reactor.ready(fd, Reactor::Direction::out);
}

Task<int> EventLoop::next_signal(std::vector<int> signals) {
    return state_->signals.next(std::move(signals));
}

Task<void> EventLoop::run_on_pool(std::move_only_function<void()> job) {
    Completion<std::monostate> done;
    state_->pool.submit([this, done, job = std::move(job)]() mutable {
        job();
        // The job goes back with the answer: what it owns is destroyed where it was made.
        post([done = std::move(done), job = std::move(job)] { done.complete({}); });
    });
    co_await done.wait();
}

}  // namespace holdfast::runtime
