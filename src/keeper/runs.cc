// The keeper's processes of services: start, end, output, notifications.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "keeper/keeper.h"

namespace holdfast::keeper {

using namespace std::chrono_literals;
using runtime::OutputStream;

namespace {

constexpr std::size_t runs_max = 4096;
constexpr std::size_t note_bytes_max = 4096;

}  // namespace

Keeper::Child* Keeper::find(runtime::RunId run) {
    auto found = children_.find(run);
    return found == children_.end() ? nullptr : &found->second;
}

// Whether the launch may be, and all it needs.
Result<ChildPlan> Keeper::plan(const runtime::LaunchSpec& spec) {
    if (leaving_ != Leaving::no) return fail(Errc::unavailable, "the keeper is shutting down");
    if (spec.run == 0 || spec.slot.empty() || spec.command.empty() || spec.command[0].empty()) {
        return fail(Errc::invalid, "a launch needs a run id, a slot and a command");
    }
    if (spec.note.size() > note_bytes_max)
        return fail(Errc::invalid, "the note is longer than 4 KiB");
    if (children_.size() >= runs_max)
        return fail(Errc::exhausted, fmt::format("{} runs are too many", runs_max));
    if (children_.contains(spec.run))
        return fail(Errc::conflict, fmt::format("run {} was there already", spec.run));
    for (auto& [id, child] : children_) {
        if (child.run.slot == spec.slot && child.run.alive() && id != spec.beside) {
            return fail(Errc::conflict, fmt::format("{} has the live run {} (pid {})", spec.slot,
                                                    id, child.run.pid));
        }
    }
    ChildPlan plan{spec, options_.data_dir, mark_, cgroups_, oom_score_adj_, {}};
    for (auto& name : spec.sockets) {
        auto found = sockets_.find(name);
        if (found == sockets_.end())
            return fail(Errc::invalid, fmt::format("there is no socket {}", name));
        if (!found->second.fd)
            return fail(Errc::unavailable, fmt::format("the socket {} is not back yet", name));
        plan.sockets.push_back(found->second.fd.get());
    }
    return plan;
}

void Keeper::launch(std::uint64_t connection, std::uint32_t sequence, runtime::LaunchSpec spec) {
    auto planned = plan(spec);
    auto started =
        planned ? start_child(*planned) : Result<StartedChild>(std::unexpected(planned.error()));
    if (!started) return answer(connection, sequence, std::unexpected(started.error()));
    auto now = boot_clock();
    auto& child = children_[spec.run];
    auto& run = child.run;
    run.id = spec.run, run.slot = spec.slot, run.note = spec.note, run.lifetime = spec.lifetime;
    run.pid = started->pid, run.started = wall_clock(), run.sockets = spec.sockets;
    run.start_ticks = process_stat(run.pid).value_or(ProcessStat{}).start_ticks;
    run.stop_grace = std::clamp(spec.stop_grace, Duration(0), far_away);
    if (spec.run_for) run.end_at = now + std::clamp(*spec.run_for, Duration(0), far_away);
    run.seen_end = true;
    child.process = open_process(run.pid);
    child.channel = std::move(started->channel);
    child.asked_by = connection, child.sequence = sequence;
    if (spec.notify) open_notify(child);
    poller_.watch(child.channel.get(), {Source::Kind::channel, run.id});
}

// The child is prepared, or has failed, or (its end of the channel closed by exec) runs its
// program.
void Keeper::channel_ready(Child& child) {
    Datagram datagram;
    auto received = receive(child.channel.get(), datagram);
    if (received == Received::nothing) return;
    auto prepared = decode_prepared(datagram.bytes);
    if (received == Received::end && child.prepared) return launched(child);
    if (!prepared || !prepared->failure.empty()) {  // It is ending; ended() gives the answer.
        poller_.unwatch(child.channel.get());
        child.failure = prepared ? prepared->failure : "it ended before it was prepared";
        return;
    }
    auto& run = child.run;
    run.uid = prepared->uid, run.ooms = prepared->ooms;
    run.cgroups = prepared->cgroups, run.weakened = prepared->weakened;
    child.prepared = true;
    open_outputs(child);
    if (run.lifetime == runtime::Lifetime::ephemeral) return release(child);
    record();
    child.recorded_by = record_wanted_;
    child.release_by = boot_clock() + 1s;
}

void Keeper::release(Child& child) {
    child.release_by = Instant::max();
    send(child.channel.get(), "!");
}

void Keeper::launched(Child& child) {
    poller_.unwatch(child.channel.get());
    child.channel = Fd();
    if (child.run.phase == Phase::starting) child.run.phase = Phase::live;
    answer(child.asked_by, child.sequence, encoded(child.run.report()));
    child.asked_by = 0;
    if (child.run.lifetime == runtime::Lifetime::lasting) record();
}

Result<void> Keeper::stop(runtime::RunId run, Duration grace, int signal) {
    auto* child = find(run);
    if (!child || !child->run.alive())
        return fail(Errc::not_found, fmt::format("run {} does not run", run));
    if (signal < 0 || signal > SIGRTMAX)
        return fail(Errc::invalid, fmt::format("there is no signal {}", signal));
    child->run.begin_stop(boot_clock(), grace);
    if (signal != 0 && child->run.phase <= Phase::live) send_signal(child->process, signal);
    if (child->run.lifetime == runtime::Lifetime::lasting) record();
    return {};
}

Result<void> Keeper::forget(runtime::RunId run) {
    auto* child = find(run);
    if (!child) return fail(Errc::not_found, fmt::format("run {} is not known", run));
    if (child->run.alive()) return fail(Errc::conflict, fmt::format("run {} still runs", run));
    if (child->ring_memory) unmap_ring(child->ring_memory);
    bool lasting = child->run.lifetime == runtime::Lifetime::lasting;
    for (auto stream : {OutputStream::out, OutputStream::err}) {
        if (lasting) unlink_.push_back(fifo_path(options_.data_dir, mark_, run, stream));
    }
    children_.erase(run);
    std::erase(untold_, run);
    if (lasting) record();
    return {};
}

// The main process is gone. Without a status nobody can know how: it was not our child.
void Keeper::ended(Child& child, std::optional<WaitStatus> status) {
    auto& run = child.run;
    poller_.unwatch(child.process.get());
    if (child.channel) {
        if (child.failure.empty()) channel_ready(child);  // The reason why not, or the end by exec.
        if (child.channel && child.failure.empty()) child.failure = "it was killed before it ran";
        poller_.unwatch(child.channel.get());
        child.release_by = Instant::max();
    }
    bool oom = status && oom_kills(run.cgroups) > run.ooms;
    runtime::Exit unknown{.at = wall_clock(), .code = {}, .signal = {}};
    run.main_ended(boot_clock(),
                   status ? judge_end(unknown.at, *status, run.stopping, oom) : unknown);
}

// On the way of a deadline: allocates nothing until the run is over.
void Keeper::kill_all_of(Child& child) {
    auto& run = child.run;
    if (run.phase <= Phase::live) send_signal(child.process, SIGKILL);
    kill_cgroups(run.cgroups);
    auto left = run.cgroups.empty() ? kill_strays_of(run) : count_in_cgroups(run.cgroups);
    if (run.emptied(boot_clock(), left)) over(child);
}

// Without cgroups: whatever is in its session or carries its mark, and how many that were.
std::size_t Keeper::kill_strays_of(const Run& run) {
    std::size_t left = 0;
    auto leader = process_stat(run.pid);
    // A session outlives its leader; once the leader's pid is somebody else's, the number means
    // nothing.
    bool ours = !leader || leader->start_ticks == run.start_ticks;
    Pids pids;
    while (int pid = pids.next()) {
        auto stat = process_stat(pid);
        if (!stat || stat->state == 'Z') continue;
        if (!(ours && stat->session == run.pid) && run_of(pid, mark_).run != run.id) continue;
        ::kill(pid, SIGKILL);
        ++left;
    }
    return left;
}

void Keeper::over(Child& child) {
    auto& run = child.run;
    for (auto stream : {OutputStream::out, OutputStream::err}) {
        for (int pieces = 0; pieces < 64 && read_output(child, stream);) ++pieces;
    }
    if (child.notify) read_notifications(child);
    for (Fd* fd : {&child.out, &child.err, &child.notify, &child.channel, &child.process}) {
        poller_.unwatch(fd->get());
        *fd = Fd();
    }
    remove_cgroups(run.cgroups);
    if (!child.failure.empty())
        return answer(child.asked_by, child.sequence, fail(Errc::invalid, child.failure));
    untold_.push_back(run.id);
    if (run.lifetime == runtime::Lifetime::lasting) record();
}

// By the descriptor of the program, or, for one that may have closed it, by name.
void Keeper::open_outputs(Child& child) {
    for (auto stream : {OutputStream::out, OutputStream::err}) {
        auto& end = stream == OutputStream::out ? child.out : child.err;
        auto path = child.prepared ? fmt::format("/proc/{}/fd/{}", child.run.pid,
                                                 stream == OutputStream::out ? 1 : 2)
                                   : fifo_path(options_.data_dir, mark_, child.run.id, stream);
        // For writing too: else, once the program has closed it, it would be at its end for ever.
        if (end) continue;
        end = Fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
        if (end)
            poller_.watch(end.get(),
                          {stream == OutputStream::out ? Source::Kind::out : Source::Kind::err,
                           child.run.id});
    }
}

// One piece; false if there was none.
bool Keeper::read_output(Child& child, OutputStream stream) {
    static char piece[ring_record_max];
    auto& end = stream == OutputStream::out ? child.out : child.err;
    auto count = end ? read(end.get(), piece, sizeof piece) : -1;
    if (count <= 0) return false;
    if (!child.ring_memory) {
        child.ring = Fd(memfd_create("holdfast-output", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        if (ftruncate(child.ring.get(), ring_bytes) != 0) return true;  // Out of memory: lost.
        fcntl(child.ring.get(), F_ADD_SEALS, F_SEAL_SHRINK);
        child.ring_memory = map_ring(child.ring.get()).value_or(nullptr);
        if (!child.ring_memory) return true;
    }
    Ring ring(child.ring_memory);
    if (ring.write(stream, wall_clock(), {piece, static_cast<std::size_t>(count)}))
        child.tell_output = true;
    return true;
}

void Keeper::open_notify(Child& child) {
    child.notify = Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    auto name = notify_name(mark_, child.run.id);
    name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    int on = 1;
    setsockopt(child.notify.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    if (bind(child.notify.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
        child.run.weakened.push_back("no NOTIFY_SOCKET: " + errno_text());
        child.notify = Fd();
        return;
    }
    poller_.watch(child.notify.get(), {Source::Kind::notify, child.run.id});
}

// Believed of the run's user, of root, and of the run's session: a server may have dropped its user
// itself.
void Keeper::read_notifications(Child& child) {
    Datagram datagram;
    while (receive(child.notify.get(), datagram) != Received::nothing) {
        auto& run = child.run;
        auto sender = process_stat(datagram.sender_pid);
        bool believed = datagram.sender_uid == run.uid || datagram.sender_uid == 0 ||
                        (sender && sender->session == run.pid) ||
                        run_of(datagram.sender_pid, mark_).run == run.id;
        if (believed && merge_notification(run.notified, datagram.bytes, boot_clock()))
            child.tell_notified = true;
    }
}

}  // namespace holdfast::keeper
