// A few threads for calls that block. Each is started when a job finds no other idle.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::runtime {

class Pool {
  public:
    explicit Pool(std::size_t threads_max) : threads_max_(threads_max) {}
    ~Pool();  // Runs what is queued, then waits for the threads.
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    // Jobs start in the order submitted. They must not throw.
    void submit(std::move_only_function<void()> job);

  private:
    void work();

    const std::size_t threads_max_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::move_only_function<void()>> queue_;
    std::vector<std::thread> threads_;
    std::size_t idle_ = 0;
    bool closing_ = false;
};

}  // namespace holdfast::runtime
