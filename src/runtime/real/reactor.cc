#include "runtime/real/reactor.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>
#include <ctime>

namespace holdfast::runtime {

namespace {

constexpr int batch_max = 64;  // Events taken at once; the rest waits for the next round.
constexpr std::uint64_t timer_mark = ~std::uint64_t{0};

std::uint32_t event_of(Reactor::Direction direction) {
    return direction == Reactor::Direction::in ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
}

std::chrono::nanoseconds read_clock(clockid_t clock) {
    timespec time{};
    HF_CHECK(clock_gettime(clock, &time) == 0);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

Instant Reactor::BootClock::now() const {
    return Instant(read_clock(CLOCK_BOOTTIME));
}
WallTime Reactor::BootClock::wall_now() const {
    return WallTime(read_clock(CLOCK_REALTIME));
}

Reactor::Reactor()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {
    HF_CHECK(epoll_.valid());
    HF_CHECK(timer_.valid());
    epoll_event event{.events = EPOLLIN, .data = {.u64 = timer_mark}};
    HF_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event) == 0);
}

Reactor::~Reactor() = default;

void Reactor::dispatch() {
    std::array<epoll_event, batch_max> events;
    int count = epoll_wait(epoll_.get(), events.data(), batch_max, 0);
    HF_CHECK(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; ++i) {
        auto& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 == timer_mark) {
            std::uint64_t expirations;
            (void)!read(timer_.get(), &expirations, sizeof expirations);
            timer_set_ = Instant::max();
        } else {
            happened(static_cast<int>(event.data.u64), event.events);
        }
    }
    clock_.timers().advance(clock_.now());
}

// A timer that was disarmed, or put off, costs a wakeup for nothing instead of a system call now.
void Reactor::settle() {
    Instant next = clock_.timers().next_deadline();
    if (next >= timer_set_) return;
    timer_set_ = next;
    auto since_boot = std::max(next.time_since_epoch(), Duration(1));  // Zero would disarm it.
    auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
    itimerspec due{};
    due.it_value.tv_sec = seconds.count();
    due.it_value.tv_nsec = (since_boot - seconds).count();
    HF_CHECK(timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &due, nullptr) == 0);
}

bool Reactor::Ready::await_suspend(std::coroutine_handle<> self) {
    waiting_ = self;
    if (reactor_.add(*this)) return true;
    waiting_ = {};
    return false;
}

Reactor::Ready::~Ready() {
    if (waiting_) reactor_.remove(*this);
}

Reactor::Watch::Watch(Reactor& reactor, int fd) : reactor_(reactor), fd_(fd) {
    ++reactor_.entries_[fd].watches;
}

Reactor::Watch::~Watch() {
    --reactor_.entries_.at(fd_).watches;
    reactor_.release(fd_);
}

std::uint32_t Reactor::wanted_by(const Entry& entry) {
    std::uint32_t wanted = 0;
    for (auto* ready = entry.first; ready; ready = ready->next_)
        wanted |= event_of(ready->direction_);
    return wanted;
}

// False if the descriptor cannot be waited for, because it is always ready.
bool Reactor::add(Ready& ready) {
    auto& entry = entries_[ready.fd_];
    if (!update(ready.fd_, entry, entry.registered | event_of(ready.direction_))) {
        release(ready.fd_);
        return false;
    }
    ready.next_ = entry.first;
    entry.first = &ready;
    return true;
}

void Reactor::remove(Ready& ready) {
    auto& entry = entries_.at(ready.fd_);
    auto** link = &entry.first;
    while (*link != &ready) link = &(*link)->next_;
    *link = ready.next_;
    ready.waiting_ = {};
    release(ready.fd_);
}

// With nothing wanted the kernel is not asked at all: it would go on to report hangups.
bool Reactor::update(int fd, Entry& entry, std::uint32_t wanted) {
    if (entry.registered == wanted) return true;
    epoll_event event{.events = wanted, .data = {.u64 = static_cast<std::uint64_t>(fd)}};
    int operation =
        wanted == 0 ? EPOLL_CTL_DEL : (entry.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
    if (epoll_ctl(epoll_.get(), operation, fd, &event) != 0) {
        // A regular file is always ready. Anything else, such as a closed descriptor, is a bug.
        HF_CHECK(errno == EPERM);
        return false;
    }
    entry.registered = wanted;
    return true;
}

// Forgets an entry nobody needs; narrows one that others still wait for.
void Reactor::release(int fd) {
    auto at = entries_.find(fd);
    auto& entry = at->second;
    if (entry.watches > 0) return;  // Narrowed when an event comes that nobody wants.
    update(fd, entry, wanted_by(entry));
    if (!entry.first) entries_.erase(at);
}

void Reactor::happened(int fd, std::uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) events |= EPOLLIN | EPOLLOUT;
    // At most one for each direction: if that one leaves something, the next round wakes the next.
    // Looked up anew each time: whoever is resumed may end the others or close the descriptor. Its
    // number may then be another's, who is woken for nothing.
    bool anybody = false;
    for (;;) {
        auto at = entries_.find(fd);
        if (at == entries_.end()) return;
        Ready* ready = at->second.first;
        while (ready && !(event_of(ready->direction_) & events)) ready = ready->next_;
        if (!ready) break;
        anybody = true;
        auto waiting = ready->waiting_;
        auto direction = event_of(ready->direction_);
        remove(*ready);
        events &= ~direction;
        waiting.resume();
    }
    if (anybody) return;
    auto& entry = entries_.at(fd);
    update(fd, entry, wanted_by(entry));
}

}  // namespace holdfast::runtime
