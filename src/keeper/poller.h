// Waits for descriptors and for one point in time: the keeper's only place of rest.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "runtime/process/system.h"

namespace holdfast::keeper {

using namespace runtime::process;

// What a descriptor is to the keeper, and whose: a run's or a connection's number.
struct Source {
    enum class Kind {
        signals,
        listener,
        connection,
        channel,
        process,
        out,
        err,
        notify,
        node,
        candidate
    };
    Kind kind = Kind::signals;
    std::uint64_t id = 0;
};

class Poller {
  public:
    Poller();

    void watch(int fd, Source source);  // For reading, ends and errors.
    void unwatch(int fd);               // Before closing it; nothing if it is not watched.
    void want_writable(int fd, bool wanted);

    // Until something is ready or CLOCK_BOOTTIME reaches the deadline, suspended time included.
    // Calls `ready` with the source of each; one that is unwatched meanwhile is left out. Allocates
    // nothing.
    template <class Ready>
    void wait(Instant deadline, Ready ready) {
        int fds[64];
        for (int i = 0, count = wait_for(deadline, fds); i < count; ++i) {
            auto found = sources_.find(fds[i]);
            if (found != sources_.end()) ready(Source(found->second));
        }
    }

  private:
    int wait_for(Instant deadline, int (&fds)[64]);

    Fd epoll_;
    Fd timer_;
    std::map<int, Source> sources_;
};

}  // namespace holdfast::keeper
