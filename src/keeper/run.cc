#include "keeper/run.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

namespace holdfast::keeper {

using namespace std::chrono_literals;
using runtime::EndedBy;

Instant Run::next_deadline() const {
    if (phase == Phase::over) return Instant::max();
    if (end_at && !stopping && phase != Phase::emptying) return std::min(kill_at, *end_at);
    return kill_at;
}

Run::Due Run::due(Instant now) {
    if (now < next_deadline()) return Due::nothing;
    if (now >= kill_at) {
        kill_at = now + (phase == Phase::emptying ? 2ms : 100ms);
        return Due::kill;
    }
    begin_stop(now, stop_grace);
    return Due::terminate;
}

void Run::begin_stop(Instant now, Duration grace) {
    stopping = true;
    kill_at = std::min(kill_at, now + std::clamp(grace, Duration(0), far_away));
}

void Run::main_ended(Instant now, const runtime::Exit& how) {
    exit = how;
    phase = Phase::emptying;
    kill_at = now;
    empty_by = now + remains_max;
}

bool Run::emptied(Instant now, std::size_t left) {
    if (phase != Phase::emptying) return false;
    if (left > 0 && now < empty_by.value_or(now)) return false;
    if (left > 0) {
        weakened.push_back(fmt::format("{} processes of it could not be killed within {} s", left,
                                       remains_max / 1s));
    }
    phase = Phase::over;
    return true;
}

runtime::RunReport Run::report() const {
    runtime::RunReport report{id,       slot,     note,     pid, started,
                              lifetime, notified, stopping, {},  weakened};
    if (phase == Phase::over) report.exit = exit;
    return report;
}

namespace {

// Those a program earns: by a fault, a limit of its own, or a write to a closed pipe.
bool self_inflicted(int signal) {
    constexpr int own[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGABRT,   SIGTRAP, SIGSYS,
                           SIGPIPE, SIGXCPU, SIGXFSZ, SIGALRM, SIGVTALRM, SIGPROF};
    return std::ranges::find(own, signal) != std::end(own);
}

}  // namespace

runtime::Exit judge_end(WallTime at, WaitStatus status, bool stopping, bool oom) {
    runtime::Exit exit{
        .at = at, .by = EndedBy::itself, .code = {}, .signal = {}, .core_dumped = false};
    if (status.code == CLD_EXITED) {
        exit.code = status.status;
    } else {
        exit.signal = status.status;
        exit.core_dumped = status.code == CLD_DUMPED;
    }
    if (stopping) {
        exit.by = EndedBy::holdfast;
    } else if (oom && exit.signal == SIGKILL) {
        exit.by = EndedBy::oom;
    } else if (exit.signal && !self_inflicted(*exit.signal)) {
        exit.by = EndedBy::outside;
    }
    return exit;
}

std::string describe_end(const runtime::Exit& exit) {
    if (exit.code) return fmt::format("exited with {}", *exit.code);
    if (!exit.signal) return "ended, nobody saw how";
    const char* name = sigabbrev_np(*exit.signal);
    return name ? fmt::format("killed by SIG{}", name)
                : fmt::format("killed by signal {}", *exit.signal);
}

bool merge_notification(runtime::Notified& known, std::string_view datagram, Instant now) {
    auto before = known;
    while (!datagram.empty()) {
        auto line = datagram.substr(0, datagram.find('\n'));
        datagram.remove_prefix(std::min(line.size() + 1, datagram.size()));
        if (line == "READY=1") known.ready = true, known.reloading = false;
        if (line == "STOPPING=1") known.stopping = true;
        if (line == "RELOADING=1") known.reloading = true;
        if (line == "WATCHDOG=1") known.watchdog = now;
        if (line == "WATCHDOG=trigger") known.watchdog_trigger = true;
        if (line.starts_with("STATUS=")) known.status = line.substr(7, 255);
    }
    return known != before;
}

}  // namespace holdfast::keeper
