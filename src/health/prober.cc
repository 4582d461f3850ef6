#include "health/prober.h"

#include <fmt/format.h>

#include <algorithm>

#include "health/grpc_probe.h"
#include "http/client.h"

namespace holdfast::health {

using namespace std::chrono_literals;
using runtime::ProcessEvent;
using runtime::RunId;
using runtime::Task;

namespace {

constexpr std::size_t http_body_bytes_max = 64 * 1024;
constexpr std::size_t output_bytes_max = 1024;
constexpr std::size_t abandoned_max = 4096;
constexpr Duration own_limit_slack = 1s;
constexpr Duration keeper_pause = 100ms;

ProbeResult well(std::string reason) {
    return {Answer::well, std::move(reason), {}};
}
ProbeResult unwell(std::string reason) {
    return {Answer::unwell, std::move(reason), {}};
}
ProbeResult unasked(std::string reason) {
    return {Answer::unasked, std::move(reason), {}};
}

// The last line of what a command wrote, for the reason; what cannot be shown becomes '?'.
std::string last_line(std::string_view output) {
    auto end = output.find_last_not_of("\r\n ");
    if (end == std::string_view::npos) return {};
    auto line = output.substr(0, end + 1);
    auto feed = line.rfind('\n');
    if (feed != std::string_view::npos) line.remove_prefix(feed + 1);
    std::string shown(line.substr(0, 120));
    std::ranges::replace_if(shown, [](char c) { return c < ' ' || c == '\x7f'; }, '?');
    return shown;
}

std::string exit_words(const runtime::Exit& exit) {
    if (exit.code) return fmt::format("exited with code {}", *exit.code);
    if (exit.by == runtime::EndedBy::oom) return "was killed for want of memory";
    if (exit.signal) return fmt::format("was ended by signal {}", *exit.signal);
    return "ended unseen";
}

}  // namespace

// One exec probe under way. Lives in the frame of ask_exec(): if that is destroyed, what runs is
// killed.
struct MachineProber::ExecRun {
    ExecRun(MachineProber& p, RunId r) : prober(p), run(r) { prober.exec_runs_[run] = this; }
    ~ExecRun() {
        if (exit || lost) {
            prober.exec_runs_.erase(run);
        } else if (launched) {
            prober.abandon(run);
        } else {
            prober.exec_runs_.erase(run);
        }
    }
    ExecRun(const ExecRun&) = delete;
    ExecRun& operator=(const ExecRun&) = delete;

    MachineProber& prober;
    RunId run;
    bool launched = false;  // Or may be: the keeper has been asked to.
    bool lost = false;      // The keeper went away, and the run with it.
    std::optional<runtime::Exit> exit;
    std::string output;  // Its end.
    runtime::Signal ended;
};

MachineProber::MachineProber(Edges edges) : edges_(std::move(edges)) {}
MachineProber::~MachineProber() = default;

void MachineProber::abandon(RunId run) {
    if (exec_runs_.size() > abandoned_max) {
        exec_runs_.erase(run);
        return;
    }
    exec_runs_[run] = nullptr;
    cleaning_.spawn([](runtime::Processes& processes, RunId target) -> Task<void> {
        (void)co_await processes.kill(target);  // If it has ended already, all the better.
    }(edges_.processes, run));
}

void MachineProber::forget(RunId run) {
    cleaning_.spawn([](runtime::Processes& processes, RunId target) -> Task<void> {
        (void)co_await processes.forget(target);  // An ephemeral run is not remembered for long.
    }(edges_.processes, run));
}

bool MachineProber::take(const ProcessEvent& event) {
    auto run = std::visit([](const auto& e) { return e.run; }, event);
    auto found = exec_runs_.find(run);
    if (found == exec_runs_.end()) return false;
    auto* exec = found->second;
    if (auto* output = std::get_if<runtime::RunOutput>(&event); output && exec) {
        exec->output += output->bytes;
        if (exec->output.size() > output_bytes_max) {
            exec->output.erase(0, exec->output.size() - output_bytes_max);
        }
    }
    if (auto* exited = std::get_if<runtime::RunExited>(&event)) {
        forget(run);
        if (exec) {
            exec->exit = exited->exit;
            exec->ended.wake();
        } else {
            exec_runs_.erase(found);
        }
    }
    return true;
}

Task<void> MachineProber::run() {
    for (;;) {
        auto event = co_await edges_.processes.next_event();
        if (event) {
            take(*event);
            continue;
        }
        // The keeper is away, and its ephemeral runs have gone with it.
        std::erase_if(exec_runs_, [](const auto& entry) { return !entry.second; });
        std::vector<ExecRun*> lost;
        for (const auto& [run, exec] : exec_runs_) lost.push_back(exec);
        for (auto* exec : lost) {
            exec->lost = true;
            exec->ended.wake();
        }
        co_await edges_.clock.sleep_for(keeper_pause);
    }
}

Task<ProbeResult> MachineProber::probe(ProbeSpec spec, ProbeTarget target, Duration timeout) {
    auto began = edges_.clock.now();
    auto name = probe_name(spec);
    auto answer = co_await runtime::within(edges_.clock, timeout + own_limit_slack, name,
                                           ask(std::move(spec), std::move(target), timeout));
    auto result = answer ? *std::move(answer) : unwell(answer.error().message);
    result.took = edges_.clock.now() - began;
    co_return result;
}

Task<Result<ProbeResult>> MachineProber::ask(ProbeSpec spec, ProbeTarget target, Duration timeout) {
    switch (spec.kind) {
        case ProbeSpec::Kind::tcp:
            co_return co_await ask_tcp(std::move(target));
        case ProbeSpec::Kind::http:
            co_return co_await ask_http(std::move(spec.path), std::move(target),
                                        timeout + own_limit_slack);
        case ProbeSpec::Kind::grpc:
            co_return co_await probe_grpc(edges_.network, {target.address, target.port});
        case ProbeSpec::Kind::exec:
            co_return co_await ask_exec(std::move(spec), std::move(target), timeout);
    }
    co_return unasked("no such kind of probe");
}

Task<ProbeResult> MachineProber::ask_tcp(ProbeTarget target) {
    auto stream = co_await edges_.network.connect({target.address, target.port});
    if (!stream) co_return unwell("tcp: " + stream.error().message);
    co_return well(fmt::format("tcp: port {} accepts connections", target.port));
}

Task<ProbeResult> MachineProber::ask_http(std::string path, ProbeTarget target, Duration limit) {
    http::Client client({.clock = edges_.clock, .network = edges_.network});
    http::Url url{.host = target.address, .port = target.port, .target = path};
    int status = 0;
    std::size_t body_bytes = 0;
    http::BodySink sink{.on_head = [&](const http::ResponseHead& head) { status = head.status; },
                        // Read, so that the service sees an orderly end, but not for ever.
                        .on_body =
                            [&](std::string_view piece) {
                                return (body_bytes += piece.size()) < http_body_bytes_max;
                            }};
    auto outcome = co_await client.stream(std::move(url), {}, limit, std::move(sink));
    if (status == 0) co_return unwell(fmt::format("http:{}: {}", path, outcome.error().message));
    auto reason = fmt::format("http:{} answered {}", path, status);
    co_return status >= 200 && status < 400 ? well(std::move(reason)) : unwell(std::move(reason));
}

Task<ProbeResult> MachineProber::ask_exec(ProbeSpec spec, ProbeTarget target, Duration timeout) {
    RunId id = std::max<RunId>(edges_.random.next(), 1);
    auto name = probe_name(spec);
    runtime::LaunchSpec launch;
    launch.run = id;
    launch.slot = fmt::format("{}?{}.{:x}", target.slot, target.role, id);
    launch.command = {"/bin/sh", "-c", spec.command};
    launch.env = std::move(target.env);
    launch.directory = std::move(target.directory);
    launch.user = std::move(target.user);
    launch.notify = false;
    launch.run_for = timeout + own_limit_slack;
    launch.stop_grace = Duration::zero();
    launch.lifetime = runtime::Lifetime::ephemeral;

    ExecRun exec(*this, id);
    exec.launched = true;
    auto launched = co_await edges_.processes.launch(std::move(launch));
    if (!launched) {
        exec.launched = false;
        auto reason = fmt::format("{}: {}", name, launched.error().message);
        co_return launched.error().code == Errc::invalid ? unwell(reason) : unasked(reason);
    }
    if (launched->exit) exec.exit = launched->exit;
    while (!exec.exit && !exec.lost) co_await exec.ended.wait();
    if (!exec.exit) co_return unasked(name + ": the keeper went away meanwhile");
    if (exec.exit->code == 0) co_return well(name + " exited with code 0");
    if (exec.exit->by == runtime::EndedBy::unknown) co_return unasked(name + " ended unseen");
    auto said = last_line(exec.output);
    co_return unwell(
        fmt::format("{} {}{}{}", name, exit_words(*exec.exit), said.empty() ? "" : ": ", said));
}

Task<void> keep_probing(runtime::Clock& clock, Prober& prober, Probing& core, ProbeSpec spec,
                        ProbeTarget target, Duration timeout,
                        std::function<void(const VerdictChange&)> on_change) {
    for (;;) {
        co_await clock.sleep_until(core.next_deadline());
        auto step = core.advance(clock.now());
        if (step.change) on_change(*step.change);
        if (!step.start) continue;
        auto outcome = co_await runtime::race(prober.probe(spec, target, timeout),
                                              [](runtime::Clock& c, Instant at) -> Task<void> {
                                                  co_await c.sleep_until(at);
                                              }(clock, core.next_deadline()));
        if (outcome.index() == 1) continue;  // The core says what that means.
        if (auto change = core.answer(*step.start, std::get<0>(outcome), clock.now())) {
            on_change(*change);
        }
    }
}

}  // namespace holdfast::health
