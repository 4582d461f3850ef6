#include "keeper/poller.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>

#include "base/check.h"

namespace holdfast::keeper {

Poller::Poller()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = timer_.get()}};
    HF_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event) == 0);
}

void Poller::watch(int fd, Source source) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    HF_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
    sources_[fd] = source;
}

void Poller::unwatch(int fd) {
    if (sources_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Poller::want_writable(int fd, bool wanted) {
    epoll_event event{.events = wanted ? EPOLLOUT : EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

int Poller::wait_for(Instant deadline, int (&fds)[64]) {
    itimerspec due{};
    if (deadline != Instant::max()) {
        auto at = std::max(deadline.time_since_epoch(), Duration(1));  // 0 would disarm it.
        due.it_value.tv_sec = static_cast<time_t>(at / std::chrono::seconds(1));
        due.it_value.tv_nsec = static_cast<long>(at % std::chrono::seconds(1) / Duration(1));
    }
    timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &due, nullptr);
    epoll_event events[64];
    int count = epoll_wait(epoll_.get(), events, 64, -1);
    for (int i = 0; i < count; ++i) fds[i] = events[i].data.fd;
    return count;
}

}  // namespace holdfast::keeper
