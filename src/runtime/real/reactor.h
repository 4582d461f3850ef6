// Readiness of descriptors and timers of one thread, by epoll and a timerfd.
//
// It waits for nobody: its own descriptor becomes readable when there is something to dispatch, so
// that it can live inside any other loop. Registrations are level-triggered and made while somebody
// waits; one that a Watch keeps stays in the kernel between waits, which spares a busy stream two
// system calls per wait.
//
// Not thread-safe.
#pragma once

#include <coroutine>
#include <cstdint>
#include <unordered_map>

#include "runtime/clock.h"
#include "runtime/real/fd.h"

namespace holdfast::runtime {

class Reactor {
  public:
    enum class Direction { in, out };

    Reactor();
    ~Reactor();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;

    // Readable when dispatch() has something to do.
    int fd() const { return epoll_.get(); }

    // Resumes those whose descriptors are ready and fires the timers that are due. Never waits.
    void dispatch();

    // Tells the kernel of the next timer. To be called before the thread waits, whatever ran.
    void settle();

    Clock& clock() { return clock_; }

    // Done when the descriptor is ready in that direction, has failed or was hung up; perhaps
    // sooner. The descriptor must stay open until then.
    class Ready {
      public:
        Ready(Reactor& reactor, int fd, Direction direction)
            : reactor_(reactor), fd_(fd), direction_(direction) {}
        ~Ready();
        Ready(const Ready&) = delete;
        Ready& operator=(const Ready&) = delete;
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<> self);  // False: always ready.
        void await_resume() const noexcept {}

      private:
        friend class Reactor;
        Reactor& reactor_;
        int fd_;
        Direction direction_;
        std::coroutine_handle<> waiting_;
        Ready* next_ = nullptr;
    };
    Ready ready(int fd, Direction direction) { return Ready(*this, fd, direction); }

    // Keeps a descriptor's registration between waits. Destroyed before the descriptor is closed.
    class Watch {
      public:
        Watch(Reactor& reactor, int fd);
        ~Watch();
        Watch(const Watch&) = delete;
        Watch& operator=(const Watch&) = delete;

      private:
        Reactor& reactor_;
        int fd_;
    };

  private:
    class BootClock final : public Clock {
      public:
        Instant now() const override;
        WallTime wall_now() const override;
        TimerQueue& timers() override { return timers_; }

      private:
        TimerQueue timers_;
    };

    struct Entry {
        std::uint32_t registered = 0;  // What the kernel watches for; 0: it does not know of it.
        int watches = 0;
        Ready* first = nullptr;
    };

    bool add(Ready& ready);
    void remove(Ready& ready);
    bool update(int fd, Entry& entry, std::uint32_t wanted);
    void release(int fd);
    void happened(int fd, std::uint32_t events);
    static std::uint32_t wanted_by(const Entry& entry);

    UniqueFd epoll_;
    UniqueFd timer_;
    BootClock clock_;
    Instant timer_set_ = Instant::max();
    std::unordered_map<int, Entry> entries_;  // Never iterated.
};

}  // namespace holdfast::runtime
