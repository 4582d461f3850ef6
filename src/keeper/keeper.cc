#include "keeper/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace holdfast::keeper {

using namespace std::chrono_literals;

Keeper::Keeper(KeeperOptions options)
    : options_(std::move(options)),
      boot_id_(boot_id()),
      started_(started_at(process_stat(getpid()).value_or(ProcessStat{}).start_ticks)),
      watch_(options_.node, boot_clock(), wall_clock()) {}

Keeper::~Keeper() {
    for (auto& [id, child] : children_) {
        if (child.ring_memory) unmap_ring(child.ring_memory);
    }
    remove_cgroups({cgroups_.kill, cgroups_.memory, cgroups_.cpu});  // If nothing is in them.
}

Result<std::unique_ptr<Keeper>> Keeper::start(KeeperOptions options) {
    std::unique_ptr<Keeper> keeper(new Keeper(std::move(options)));
    HF_TRY_VOID(keeper->open());
    return keeper;
}

Result<void> Keeper::open() {
    auto& directory = options_.data_dir;
    mkdir((directory + "/run").c_str(), 0711);
    struct stat status{};
    if (stat((directory + "/run").c_str(), &status) != 0) {
        return fail(Errc::unavailable, fmt::format("{}/run: {}", directory, errno_text()));
    }
    mark_ = fmt::format("{:x}-{:x}", status.st_dev, status.st_ino);
    sigset_t handled;
    sigemptyset(&handled);
    for (int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&handled, signal);
    struct sigaction hangup{};
    sigaction(SIGHUP, nullptr, &hangup);
    if (hangup.sa_handler == SIG_IGN) sigdelset(&handled, SIGHUP);  // As nohup wants it.
    sigprocmask(SIG_BLOCK, &handled, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signals_ = Fd(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
    poller_.watch(signals_.get(), {Source::Kind::signals});
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    // Last to be sacrificed; children get back what the keeper was started with.
    oom_score_adj_ = read_file("/proc/self/oom_score_adj").value_or("0\n");
    if (oom_score_adj_ == "-900\n") oom_score_adj_ = "0\n";
    write_to("/proc/self/oom_score_adj", "-900");
    HF_TRY(auto before, load());
    if (options_.cgroups) {
        cgroups_ = find_cgroups(mark_);
    } else {
        cgroups_.weakened = {"no cgroups: switched off"};
    }
    adopt(std::move(before));
    if (!listener_) {
        HF_TRY(auto listener, listen_at(directory, "keeper.sock"));
        listener_ = std::move(listener);
    }
    poller_.watch(listener_.get(), {Source::Kind::listener});
    reap();
    record();
    return {};
}

// A POSIX lock: of this process alone, so that no child keeps it, and kept by an exec.
Result<void> Keeper::take_lock() {
    lock_ = Fd(
        ::open((options_.data_dir + "/keeper.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_)
        return fail(Errc::unavailable,
                    fmt::format("{}/keeper.lock: {}", options_.data_dir, errno_text()));
    struct flock whole{};
    whole.l_type = F_WRLCK;
    if (fcntl(lock_.get(), F_SETLK, &whole) == 0) return {};
    whole.l_type = F_WRLCK;
    fcntl(lock_.get(), F_GETLK, &whole);
    return fail(Errc::conflict,
                fmt::format("a keeper (pid {}) already has {}", whole.l_pid, options_.data_dir));
}

Instant Keeper::next_deadline() const {
    auto next = watch_.next_deadline();
    for (auto& [id, child] : children_)
        next = std::min({next, child.run.next_deadline(), child.release_by});
    return upgrading_ ? std::min(next, upgrading_->deadline) : next;
}

bool Keeper::turn() {
    auto deadline = next_deadline();
    poller_.wait(deadline, [this](Source source) { handle(source); });
    auto now = boot_clock();
    // If we could not run either, the node's silence says nothing: the machine slept, or was
    // stopped.
    if (now > deadline && now - deadline > 1s) watch_.excuse(now);
    do_what_is_due(now);
    tell_node();
    if (leaving_ == Leaving::node_first && !node_.process) stop_everything();
    bool idle = !writer_ && !node_.process && !candidate_.process &&
                std::ranges::none_of(children_, [](auto& each) { return each.second.run.alive(); });
    return !(leaving_ == Leaving::everything && idle);
}

void Keeper::do_what_is_due(Instant now) {
    for (auto& [id, child] : children_) {
        auto due = child.run.due(now);
        if (due == Run::Due::terminate) send_signal(child.process, SIGTERM);
        if (due == Run::Due::kill) kill_all_of(child);
        if (now >= child.release_by) {
            child.run.weakened.push_back("the table could not be written before it was started");
            release(child);
        }
    }
    std::erase_if(children_, [](auto& each) {
        return !each.second.run.alive() && !each.second.failure.empty();
    });
    switch (watch_.due(now)) {
        case NodeWatch::Due::kill:
            send_signal(node_.process, SIGKILL);
            break;
        case NodeWatch::Due::start:
            start_the_node();
            break;
        case NodeWatch::Due::nothing:
            break;
    }
    if (upgrading_) upgrade_step(now);
}

void Keeper::handle(Source source) {
    using Kind = Source::Kind;
    auto* child = find(source.id);
    switch (source.kind) {
        case Kind::signals:
            return handle_signals();
        case Kind::listener:
            return accept_all();
        case Kind::connection:
            return read_from(source.id);
        case Kind::node:
            return node_ended("ended, nobody saw how");
        case Kind::candidate:
            return candidate_ended("ended, nobody saw how");
        case Kind::channel:
            return channel_ready(*child);
        case Kind::process:
            return ended(*child, std::nullopt);
        case Kind::out:
            read_output(*child, runtime::OutputStream::out);
            return;
        case Kind::err:
            read_output(*child, runtime::OutputStream::err);
            return;
        case Kind::notify:
            return read_notifications(*child);
    }
}

void Keeper::handle_signals() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGCHLD) shut_down(leaving_ != Leaving::no);
    }
    reap();
}

void Keeper::reap() {
    for (;;) {
        siginfo_t info{};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
        WaitStatus status{info.si_code, info.si_status};
        auto how = describe_end(judge_end({}, status, false, false));
        if (info.si_pid == writer_) recorded(info.si_code == CLD_EXITED ? info.si_status : EIO);
        if (info.si_pid == node_.id.pid) node_ended(how);
        if (info.si_pid == candidate_.id.pid) candidate_ended(how);
        for (auto& [id, child] : children_) {
            bool main = child.run.pid == info.si_pid && child.run.phase <= Phase::live;
            if (main) ended(child, status);
        }
    }
}

Table Keeper::table(Which which) const {
    Table table{
        boot_id_, node_.id, candidate_.id,   node_.build_id, watch_.restarts(), watch_.deaths(), {},
        {},       {},       upgrade_outcome_};
    for (auto& [name, socket] : sockets_) table.sockets.push_back(socket.spec);
    for (auto& [id, child] : children_) {
        bool wanted = which == Which::all || child.run.lifetime == runtime::Lifetime::lasting;
        if (wanted && child.failure.empty()) table.runs.push_back(child.run);
    }
    return table;
}

// Written by a child, so that a disk that hangs holds up nobody but those who wait for the record.
// Without fsync: what the table tells is true of this boot only, and a reset ends both.
void Keeper::record() {
    ++record_wanted_;
    if (writer_) return;
    record_writing_ = record_wanted_;
    auto bytes = encode_table(table(Which::lasting));
    int keeper = getpid();
    writer_ = fork();
    if (writer_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // Never over the table of our successor.
        if (getppid() != keeper) _exit(1);
        for (auto& path : unlink_) unlink(path.c_str());
        auto written = replace_file(options_.data_dir + "/keeper.table", bytes);
        if (!written) fmt::print(stderr, "holdfast-keeper: {}\n", written.error().message);
        _exit(written ? 0 : 1);
    }
    if (writer_ < 0) writer_ = 0;  // Out of processes; the next change tries again.
    unlink_.clear();
}

void Keeper::recorded(int status) {
    writer_ = 0;
    record_done_ = record_writing_;
    for (auto& [id, child] : children_) {
        if (child.release_by == Instant::max() || child.recorded_by > record_done_) continue;
        if (status != 0) child.run.weakened.push_back("the table could not be written");
        release(child);
    }
    if (record_wanted_ > record_done_) {
        --record_wanted_;
        record();
    }
}

void Keeper::shut_down(bool at_once) {
    watch_.leave(wall_clock());
    if (leaving_ == Leaving::no) leaving_ = Leaving::node_first;
    send_signal(candidate_.process, SIGKILL);
    if (at_once) {
        send_signal(node_.process, SIGKILL);
        for (auto& [id, child] : children_) {
            if (child.run.alive()) child.run.begin_stop(boot_clock(), Duration(0));
        }
    } else if (node_.connection) {
        ask(node_, Wish::shutdown);
    } else {
        send_signal(node_.process, SIGTERM);
    }
}

// What the node has left, or all if there is no node.
void Keeper::stop_everything() {
    leaving_ = Leaving::everything;
    for (auto& [id, child] : children_) {
        if (child.run.alive() && !child.run.stopping) stop(id, child.run.stop_grace, SIGTERM);
    }
}

}  // namespace holdfast::keeper
