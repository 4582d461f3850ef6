// Tasks for the tests of tasks: leaves that are done when the test says so, frames that note their
// end.
#pragma once

#include <coroutine>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runtime/task.h"

namespace holdfast::runtime {

using Log = std::vector<std::string>;

// Notes its own end, as a timer that withdraws itself would.
class Note {
  public:
    Note(Log& log, std::string what) : log_(&log), what_(std::move(what)) {}
    Note(Note&& other) noexcept
        : log_(std::exchange(other.log_, nullptr)), what_(std::move(other.what_)) {}
    Note& operator=(Note&&) = delete;
    ~Note() {
        if (log_) log_->push_back(what_);
    }

  private:
    Log* log_;
    std::string what_;
};

// A leaf that is done when the test says so. Waiting that is abandoned is withdrawn.
class Gate {
  public:
    class Wait {
      public:
        explicit Wait(Gate& gate) : gate_(gate) {}
        ~Wait() { gate_.waiting_ = {}; }
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        bool await_ready() const noexcept { return gate_.open_; }
        void await_suspend(std::coroutine_handle<> self) noexcept { gate_.waiting_ = self; }
        void await_resume() const noexcept {}

      private:
        Gate& gate_;
    };
    Wait passed() { return Wait(*this); }
    bool awaited() const { return waiting_ != nullptr; }
    void open() {
        open_ = true;
        if (waiting_) std::exchange(waiting_, {}).resume();
    }

  private:
    bool open_ = false;
    std::coroutine_handle<> waiting_;
};

inline Task<int> at_once(int value) {
    co_return value;
}
inline Task<int> through(Gate& gate, int value) {
    co_await gate.passed();
    co_return value;
}
inline Task<int> throwing(Gate& gate) {
    co_await gate.passed();
    throw std::runtime_error("broken");
}
inline Task<void> passing(Gate& gate) {
    co_await gate.passed();
}

// Waits at the gate with a note in its frame.
inline Task<int> noted(Gate& gate, Note note) {
    Note inside = std::move(note);
    co_await gate.passed();
    co_return 1;
}

inline Task<void> keep_result(Task<int> task, std::vector<int>& into) {
    into.push_back(co_await std::move(task));
}

}  // namespace holdfast::runtime
