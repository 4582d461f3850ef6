// Runs a store_victim and listens to what it says is durable. For tests.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/check.h"
#include "runtime/real/rocks.h"
#include "runtime/storage_stepper.h"
#include "runtime/store_workload.h"

namespace holdfast::runtime {

class Victim {
  public:
    // The program is the path of store_victim.
    Victim(const char* program, const std::string& directory) {
        int ends[2];
        HF_CHECK(::pipe2(ends, O_CLOEXEC) == 0);
        process_ = ::fork();
        HF_CHECK(process_ >= 0);
        if (process_ == 0) {
            ::dup2(ends[1], STDOUT_FILENO);
            ::execl(program, "store_victim", directory.c_str(), nullptr);
            ::_exit(127);
        }
        ::close(ends[1]);
        from_ = ends[0];
    }
    ~Victim() {
        end();
        ::close(from_);
    }
    Victim(const Victim&) = delete;
    Victim& operator=(const Victim&) = delete;

    // Waits until so many more batches are said to be durable; false if it ended, or was silent for
    // half a minute, before that.
    bool acknowledges(std::uint64_t count) {
        for (; count > 0; --count) {
            if (!read_one()) return false;
        }
        return true;
    }

    // The last batch it has been heard to say was durable.
    std::uint64_t heard() const { return last_; }

    // The last batch it ever said was durable. It is dead when this returns.
    std::uint64_t end() {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            while (read_one()) {
            }
            ::waitpid(process_, nullptr, 0);
            process_ = 0;
        }
        return last_;
    }

  private:
    bool read_one() {
        while (true) {
            if (const auto newline = buffer_.find('\n'); newline != buffer_.npos) {
                last_ = std::strtoull(buffer_.c_str(), nullptr, 10);
                buffer_.erase(0, newline + 1);
                return true;
            }
            pollfd readable{.fd = from_, .events = POLLIN, .revents = 0};
            if (::poll(&readable, 1, 30'000) <= 0) return false;
            char bytes[4096];
            const auto got = ::read(from_, bytes, sizeof bytes);
            if (got <= 0) return false;
            buffer_.append(bytes, static_cast<std::size_t>(got));
        }
    }

    pid_t process_ = 0;
    int from_ = -1;
    std::string buffer_;
    std::uint64_t last_ = 0;
};

// Opens what a victim has left: the prefix of the workload that is there.
inline Result<std::uint64_t> prefix_left_in(const std::string& directory) {
    PostedStepper stepper;
    HF_TRY(const auto store, RocksStore::open({.directory = directory}, [&stepper](auto work) {
               stepper.post(std::move(work));
           }));
    return workload_prefix(*store);
}

}  // namespace holdfast::runtime
