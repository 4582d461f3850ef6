#include "runtime/sim/process_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <csignal>

namespace holdfast::runtime {

namespace {

constexpr std::size_t request_bytes_max = 64 * 1024;

// A signal the program sends itself when it fails.
bool of_its_own_making(int signal) {
    switch (signal) {
        case SIGSEGV:
        case SIGABRT:
        case SIGBUS:
        case SIGFPE:
        case SIGILL:
            return true;
        default:
            return false;
    }
}

std::optional<std::uint16_t> port_of(const LaunchSpec& spec) {
    for (const auto& [name, value] : spec.env) {
        std::uint16_t port = 0;
        if (name != "PORT") continue;
        auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), port);
        if (error == std::errc{} && end == value.data() + value.size()) return port;
    }
    return std::nullopt;
}

}  // namespace

SimProcesses::Run::Run(Edges edges, Random random, LaunchSpec launch, Behaviour behaviour, int pid,
                       Listener listener)
    : spec(std::move(launch)),
      deadline(edges.host.timers(), [this] { listener_.overdue(*this); }),
      edges_(edges),
      random_(std::move(random)),
      behaviour_(std::move(behaviour)),
      listener_(std::move(listener)),
      death_(edges.host.timers(), [this] { end(*std::exchange(dying_, {})); }),
      next_beat_(edges.host.timers(), [this] { beat(); }) {
    report.run = spec.run;
    report.slot = spec.slot;
    report.note = spec.note;
    report.pid = pid;
    report.started = edges_.host.wall_now();
    report.lifetime = spec.lifetime;
}

void SimProcesses::Run::begin() {
    const auto& script = behaviour_;
    if (script.ready_after)
        at(*script.ready_after, [this] { listener_.notified(*this, "READY=1"); });
    for (const auto& says : script.says)
        at(says.after, [this, &says] { listener_.notified(*this, says.line); });
    for (const auto& prints : script.prints)
        at(prints.after,
           [this, &prints] { listener_.printed(*this, prints.stream, prints.bytes); });
    if (script.serves_status)
        at(script.ready_after.value_or(Duration::zero()), [this] { serve(); });
    if (script.beats_every) next_beat_.arm(edges_.host.now() + *script.beats_every);
    if (script.beats_until) at(*script.beats_until, [this] { hung_ = true; });
    if (script.exits_after)
        at(*script.exits_after, [this] {
            Exit exit{.by = EndedBy::itself, .signal = behaviour_.exit_signal};
            if (!exit.signal) exit.code = behaviour_.exit_code;
            if (exit.signal && !of_its_own_making(*exit.signal)) exit.by = EndedBy::outside;
            if (behaviour_.out_of_memory) exit = {.by = EndedBy::oom, .signal = SIGKILL};
            end(exit);
        });
    if (script.crashes_every) {
        auto share = -std::log(1.0 - random_.unit());
        auto mean = static_cast<double>(script.crashes_every->count());
        at(Duration(static_cast<Duration::rep>(mean * share)),
           [this] { end({.by = EndedBy::itself, .signal = SIGSEGV}); });
    }
}

void SimProcesses::Run::at(Duration after, std::function<void()> act) {
    // A process that is gone does nothing more; one that hangs neither.
    script_.push_back(std::make_unique<Timer>(edges_.host.timers(), [this, act = std::move(act)] {
        if (alive_ && !hung_) act();
    }));
    script_.back()->arm(edges_.host.now() + after);
}

void SimProcesses::Run::beat() {
    if (!alive_ || hung_) return;
    next_beat_.arm(edges_.host.now() + *behaviour_.beats_every);
    listener_.notified(*this, "WATCHDOG=1");
}

void SimProcesses::Run::deliver(int signal, EndedBy sender) {
    if (!alive_) return;
    if (signal == SIGSTOP || signal == SIGCONT) {
        hung_ = signal == SIGSTOP;
        return;
    }
    bool deadly = signal == SIGKILL;
    if (!deadly && (hung_ || dying_ || (signal == SIGTERM && behaviour_.ignores_sigterm))) return;

    Exit exit{.by = sender, .signal = signal};
    if (!deadly && behaviour_.stop_code) {
        exit.by = sender == EndedBy::holdfast ? EndedBy::holdfast : EndedBy::itself;
        exit.code = behaviour_.stop_code;
        exit.signal.reset();
    }
    dying_ = exit;
    auto most = deadly ? Duration(std::chrono::milliseconds(2)) : behaviour_.stops_within;
    death_.arm(edges_.host.now() + random_.between(Duration::zero(), most));
}

void SimProcesses::Run::end(Exit exit) {
    vanish();
    exit.at = edges_.host.wall_now();
    exit.core_dumped = false;
    listener_.ended(*this, exit);
}

// The timers of the script stay: one of them may be the caller. They do nothing any more.
void SimProcesses::Run::vanish() {
    alive_ = false;
    serving_ = false;
    death_.disarm();
    next_beat_.disarm();
    deadline.disarm();
    for (auto& timer : script_) timer->disarm();
    tasks_.stop();
}

bool SimProcesses::Run::serves(const std::string& socket) const {
    return alive_ && serving_ && !spec.sockets.empty() && spec.sockets.front() == socket;
}

void SimProcesses::Run::serve() {
    serving_ = true;
    if (!spec.sockets.empty()) {
        listener_.serving(*this);
        return;
    }
    auto port = port_of(spec);
    if (!port) return;
    auto listener = edges_.network.listen({"127.0.0.1", *port});
    if (listener)
        tasks_.spawn(accept_all(*std::move(listener)));
    else
        end({.by = EndedBy::itself, .code = 1});  // As a server does whose port is taken.
}

Task<void> SimProcesses::Run::accept_all(std::unique_ptr<runtime::Listener> listener) {
    for (;;) {
        auto stream = co_await listener->accept();
        if (!stream) co_return;
        converse(*std::move(stream));
    }
}

void SimProcesses::Run::converse(std::unique_ptr<Stream> stream) {
    tasks_.spawn(answer(std::move(stream)));
}

Task<void> SimProcesses::Run::answer(std::unique_ptr<Stream> stream) {
    std::string request;
    std::array<char, 4096> buffer;
    while (request.find("\r\n\r\n") == std::string::npos) {
        auto got = co_await stream->read_some(buffer);
        if (!got || *got == 0 || request.size() > request_bytes_max) co_return;
        request.append(buffer.data(), *got);
    }
    // One that hangs keeps the connection and says nothing, for good.
    if (hung_) co_await edges_.host.sleep_until(Instant::max());
    auto text = fmt::format("HTTP/1.1 {} -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                            *behaviour_.serves_status);
    co_await stream->write_all(text);
}

}  // namespace holdfast::runtime
