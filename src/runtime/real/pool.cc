#include "runtime/real/pool.h"

#include <csignal>

#include "base/check.h"

namespace holdfast::runtime {

Pool::~Pool() {
    {
        std::lock_guard lock(mutex_);
        closing_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
    HF_CHECK(queue_.empty());
}

void Pool::submit(std::move_only_function<void()> job) {
    {
        std::lock_guard lock(mutex_);
        queue_.push_back(std::move(job));
        if (queue_.size() > idle_ && threads_.size() < threads_max_) {
            // The new thread inherits a mask with every signal blocked: those are the loop's.
            sigset_t all, before;
            sigfillset(&all);
            pthread_sigmask(SIG_SETMASK, &all, &before);
            threads_.emplace_back([this] { work(); });
            pthread_sigmask(SIG_SETMASK, &before, nullptr);
        }
    }
    changed_.notify_one();
}

void Pool::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
        --idle_;
        if (queue_.empty()) return;
        auto job = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        job();
        job = nullptr;
        lock.lock();
    }
}

}  // namespace holdfast::runtime
