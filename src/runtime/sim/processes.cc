#include "runtime/sim/processes.h"

#include <algorithm>
#include <csignal>

#include "runtime/sim/process_run.h"

namespace holdfast::runtime {

namespace {

constexpr std::size_t note_bytes_max = 4096;
constexpr std::size_t status_bytes_max = 255;
constexpr Duration call_least = std::chrono::microseconds(20);  // One way, to the keeper or back.
constexpr Duration call_most = std::chrono::microseconds(500);

Error no_live_run(RunId run) {
    return {Errc::not_found, "no live run " + std::to_string(run)};
}

// Merges what was said into what is known; false if it says nothing.
bool merge(Notified& known, const std::string& line, Instant now) {
    if (line == "READY=1") {
        known.ready = true;
        known.reloading = false;
    } else if (line == "STOPPING=1") {
        known.stopping = true;
    } else if (line == "RELOADING=1") {
        known.reloading = true;
    } else if (line.starts_with("STATUS=")) {
        known.status = line.substr(7, status_bytes_max);
    } else if (line == "WATCHDOG=1") {
        known.watchdog = now;
    } else if (line == "WATCHDOG=trigger") {
        known.watchdog_trigger = true;
    } else {
        return false;
    }
    return true;
}

}  // namespace

// A listening socket of the keeper, and who shares it out among the processes that serve on it.
struct SimProcesses::Socket {
    Socket(SocketSpec opened, std::unique_ptr<Listener> listening, SimClock& clock)
        : spec(std::move(opened)), listener(std::move(listening)), served(clock) {}

    SocketSpec spec;
    std::unique_ptr<Listener> listener;
    Wakeup served;
    TaskGroup sharing;
};

SimProcesses::SimProcesses(Edges edges, Random random)
    : edges_(edges),
      random_(std::move(random)),
      told_(edges.node),
      keeper_back_(edges.host.timers(), [this] { adopt(); }) {}

SimProcesses::~SimProcesses() = default;

void SimProcesses::install(std::string command, Program program) {
    programs_.insert_or_assign(std::move(command), std::move(program));
}

void SimProcesses::install(std::string command, Behaviour behaviour) {
    install(std::move(command),
            [behaviour = std::move(behaviour)](const LaunchSpec&) { return behaviour; });
}

// ---- The node's calls. One that is abandoned on the way has not happened, or has unheard.

Task<void> SimProcesses::reach_keeper() {
    co_await edges_.node.sleep_for(random_.between(call_least, call_most));
    class Waiting {
      public:
        Waiting(std::vector<Wakeup*>& all, SimClock& clock) : wakeup(clock), all_(all) {
            all_.push_back(&wakeup);
        }
        ~Waiting() { std::erase(all_, &wakeup); }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        Wakeup wakeup;

      private:
        std::vector<Wakeup*>& all_;
    };
    while (!keeper_here()) {
        Waiting waiting(awaiting_keeper_, edges_.node);
        co_await waiting.wakeup.wait();
    }
}

Task<void> SimProcesses::answer() {
    co_await edges_.node.sleep_for(random_.between(call_least, call_most));
}

Task<Result<RunReport>> SimProcesses::launch(LaunchSpec spec) {
    co_await reach_keeper();
    auto outcome = start(std::move(spec));
    co_await answer();
    co_return outcome;
}

Task<Result<void>> SimProcesses::stop(RunId id, Duration grace, int signal) {
    co_await reach_keeper();
    auto* run = live_run(id);
    if (run) {
        run->report.stopping = true;
        run->deliver(signal, EndedBy::holdfast);
        Instant at = edges_.host.now() + grace;
        run->kill_at = std::min(run->kill_at.value_or(at), at);
        arm_deadline(*run);
    }
    co_await answer();
    if (!run) co_return std::unexpected(no_live_run(id));
    co_return {};
}

Task<Result<void>> SimProcesses::kill(RunId id) {
    co_await reach_keeper();
    auto* run = live_run(id);
    if (run) {
        run->report.stopping = true;
        run->deliver(SIGKILL, EndedBy::holdfast);
    }
    co_await answer();
    if (!run) co_return std::unexpected(no_live_run(id));
    co_return {};
}

Task<Result<void>> SimProcesses::forget(RunId id) {
    co_await reach_keeper();
    auto at = runs_.find(id);
    Result<void> outcome;
    if (at == runs_.end())
        outcome = fail(Errc::not_found, "no run " + std::to_string(id));
    else if (!at->second->report.exit)
        outcome = fail(Errc::conflict, "run " + std::to_string(id) + " is live");
    else
        runs_.erase(at);
    co_await answer();
    co_return outcome;
}

Task<Result<std::vector<RunReport>>> SimProcesses::list() {
    co_await reach_keeper();
    std::vector<RunReport> reports;
    for (const auto& [id, run] : runs_) reports.push_back(run->report);
    co_await answer();
    co_return reports;
}

Task<Result<std::uint16_t>> SimProcesses::open_socket(SocketSpec spec) {
    co_await reach_keeper();
    Result<std::uint16_t> outcome;
    if (auto at = sockets_.find(spec.name); at != sockets_.end()) {
        const auto& there = at->second->spec;
        bool same = there.address == spec.address && (spec.port == 0 || spec.port == there.port);
        outcome = there.port;
        if (!same)
            outcome = fail(Errc::conflict, "socket " + spec.name + " is open at " +
                                               format_endpoint({there.address, there.port}));
    } else if (auto listener = edges_.network.listen({spec.address, spec.port}); !listener) {
        outcome = std::unexpected(listener.error());
    } else {
        spec.port = (*listener)->local().port;
        outcome = spec.port;
        auto name = spec.name;
        auto socket = std::make_unique<Socket>(std::move(spec), *std::move(listener), edges_.host);
        socket->sharing.spawn(share(*socket));
        sockets_.emplace(std::move(name), std::move(socket));
    }
    co_await answer();
    co_return outcome;
}

Task<Result<void>> SimProcesses::close_socket(std::string name) {
    co_await reach_keeper();
    bool there = sockets_.erase(name) > 0;
    co_await answer();
    if (!there) co_return fail(Errc::not_found, "no socket " + name);
    co_return {};
}

Task<Result<std::vector<SocketSpec>>> SimProcesses::sockets() {
    co_await reach_keeper();
    std::vector<SocketSpec> specs;
    for (const auto& [name, socket] : sockets_) specs.push_back(socket->spec);
    co_await answer();
    co_return specs;
}

Task<Result<ProcessEvent>> SimProcesses::next_event() {
    while (events_.empty() || !keeper_here()) co_await told_.wait();
    auto event = std::move(events_.front());
    events_.pop_front();
    co_return event;
}

// ---- The keeper.

Result<void> SimProcesses::may_start(const LaunchSpec& spec) const {
    if (spec.run == 0) return fail(Errc::invalid, "0 is no run");
    if (spec.command.empty()) return fail(Errc::invalid, "the command is empty");
    if (spec.note.size() > note_bytes_max) return fail(Errc::invalid, "the note is too long");
    if (used_.contains(spec.run))
        return fail(Errc::conflict, "run " + std::to_string(spec.run) + " was used before");
    if (!programs_.contains(spec.command.front()))
        return fail(Errc::invalid, spec.command.front() + ": no such program");
    for (const auto& name : spec.sockets)
        if (!sockets_.contains(name)) return fail(Errc::invalid, "no socket " + name);
    for (const auto& [id, run] : runs_)
        if (!run->report.exit && run->spec.slot == spec.slot && spec.beside != id)
            return fail(Errc::conflict, "slot " + spec.slot + " has run " + std::to_string(id));
    return {};
}

Result<RunReport> SimProcesses::start(LaunchSpec spec) {
    HF_TRY_VOID(may_start(spec));
    used_.insert(spec.run);
    ++starts_[spec.slot];
    auto behaviour = programs_.find(spec.command.front())->second(spec);
    Run::Listener listener{
        .notified =
            [this](Run& run, const std::string& line) {
                if (!keeper_here() || !run.spec.notify) return;
                if (merge(run.report.notified, line, edges_.host.now()))
                    tell(RunNotified{run.spec.run, run.report.notified});
            },
        .printed =
            [this](Run& run, OutputStream stream, const std::string& bytes) {
                tell(RunOutput{run.spec.run, stream, edges_.host.wall_now(), bytes});
            },
        .ended = [this](Run& run, Exit exit) { ended(run, exit); },
        .serving =
            [this](Run& run) {
                auto at = sockets_.find(run.spec.sockets.front());
                if (at != sockets_.end()) at->second->served.wake();
            },
        .overdue = [this](Run& run) { overdue(run); }};
    auto id = spec.run;
    auto made = std::make_unique<Run>(edges_, random_.fork(), std::move(spec), std::move(behaviour),
                                      ++last_pid_, std::move(listener));
    auto& run = *runs_.emplace(id, std::move(made)).first->second;
    if (run.spec.run_for) {
        run.limit_at = edges_.host.now() + *run.spec.run_for;
        arm_deadline(run);
    }
    run.begin();
    return run.report;
}

// The keeper's timer for a run: its time limit first, then the end of its grace.
void SimProcesses::overdue(Run& run) {
    if (!keeper_here() || !run.alive()) return;
    Instant now = edges_.host.now();
    if (run.kill_at && *run.kill_at <= now) {
        run.deliver(SIGKILL, EndedBy::holdfast);
        return;
    }
    if (run.limit_at && *run.limit_at <= now) {
        run.limit_at.reset();
        run.report.stopping = true;
        run.deliver(SIGTERM, EndedBy::holdfast);
        Instant at = now + run.spec.stop_grace;
        run.kill_at = std::min(run.kill_at.value_or(at), at);
    }
    arm_deadline(run);
}

void SimProcesses::arm_deadline(Run& run) {
    run.deadline.arm(
        std::min(run.kill_at.value_or(Instant::max()), run.limit_at.value_or(Instant::max())));
}

void SimProcesses::ended(Run& run, Exit exit) {
    if (!keeper_here()) return;  // Nobody saw it; the next keeper will find it gone.
    run.report.exit = exit;
    tell(RunExited{run.spec.run, exit});
}

void SimProcesses::tell(ProcessEvent event) {
    events_.push_back(std::move(event));
    told_.wake();
}

SimProcesses::Run* SimProcesses::live_run(RunId id) const {
    auto at = runs_.find(id);
    return at == runs_.end() || !at->second->alive() ? nullptr : at->second.get();
}

// At most two serve on one socket: the old one and the one beside it.
SimProcesses::Run* SimProcesses::serving_run(const std::string& socket) {
    std::vector<Run*> serving;
    for (const auto& [id, run] : runs_)
        if (run->serves(socket)) serving.push_back(run.get());
    return serving.empty() ? nullptr : serving[random_.below(serving.size())];
}

Task<void> SimProcesses::share(Socket& socket) {
    for (;;) {
        while (!serving_run(socket.spec.name)) co_await socket.served.wait();
        auto stream = co_await socket.listener->accept();
        if (!stream) co_return;
        Run* run = nullptr;
        while (!(run = serving_run(socket.spec.name))) co_await socket.served.wait();
        run->converse(*std::move(stream));
    }
}

// ---- What happens to it.

void SimProcesses::strike(RunId run, int signal) {
    if (auto* struck = live_run(run)) struck->deliver(signal, EndedBy::outside);
}

void SimProcesses::node_died() {
    events_.clear();
}

void SimProcesses::kill_keeper(Duration down) {
    std::erase_if(runs_, [](auto& entry) {
        bool ephemeral = entry.second->spec.lifetime == Lifetime::ephemeral;
        if (ephemeral) entry.second->vanish();
        return ephemeral;
    });
    keeper_back_.arm(edges_.host.now() + down);
}

void SimProcesses::adopt() {
    for (auto& [id, run] : runs_) {
        if (run->alive()) {
            overdue(*run);
        } else if (!run->report.exit) {
            ended(*run, {.at = edges_.host.wall_now(), .by = EndedBy::unknown});
        }
    }
    for (auto* waiting : awaiting_keeper_) waiting->wake();
    told_.wake();
}

void SimProcesses::power_off() {
    keeper_back_.disarm();
    sockets_.clear();
    events_.clear();
    for (auto& [id, run] : runs_) run->vanish();
    bool table_survives = random_.chance(0.5);
    if (!table_survives) {
        runs_.clear();
        used_.clear();
        return;
    }
    std::erase_if(runs_,
                  [](auto& entry) { return entry.second->spec.lifetime == Lifetime::ephemeral; });
    for (auto& [id, run] : runs_)
        if (!run->report.exit)
            run->report.exit = Exit{.at = edges_.host.wall_now(), .by = EndedBy::unknown};
}

std::size_t SimProcesses::starts(const std::string& slot) const {
    auto at = starts_.find(slot);
    return at == starts_.end() ? 0 : at->second;
}

std::size_t SimProcesses::live(const std::string& slot) const {
    return static_cast<std::size_t>(std::ranges::count_if(runs_, [&](const auto& entry) {
        return entry.second->alive() && entry.second->spec.slot == slot;
    }));
}

RunId SimProcesses::newest(const std::string& slot) const {
    RunId last = 0;
    for (const auto& [id, run] : runs_)
        if (run->alive() && run->spec.slot == slot) last = id;
    return last;
}

}  // namespace holdfast::runtime
