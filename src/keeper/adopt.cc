// How a keeper takes over: from one that died, by its table and by what /proc shows; and from the
// one this process was before the exec of an upgrade, by what that left in a memfd.
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/units.h"
#include "keeper/keeper.h"

namespace holdfast::keeper {

using runtime::OutputStream;

Result<Table> Keeper::load() {
    if (options_.resume_fd >= 0) {
        HF_TRY(auto bytes, read_file(fmt::format("/proc/self/fd/{}", options_.resume_fd)));
        close(options_.resume_fd);
        return decode_table(bytes);
    }
    HF_TRY_VOID(take_lock());
    auto path = options_.data_dir + "/keeper.table";
    auto bytes = read_file(path);
    if (!bytes && bytes.error().code == Errc::not_found) return Table{};
    auto table = bytes ? decode_table(*bytes) : Result<Table>(std::unexpected(bytes.error()));
    if (table) return table;
    auto aside = fmt::format("{}.damaged-{}", path,
                             wall_clock().time_since_epoch() / std::chrono::seconds(1));
    rename(path.c_str(), aside.c_str());
    damaged_table_ = fmt::format("{} ({})", aside, table.error().message);
    complain("the table was damaged and is set aside as " + damaged_table_);
    return Table{};
}

void Keeper::adopt(Table before) {
    bool same_boot = before.boot_id == boot_id_, resumed = options_.resume_fd >= 0;
    watch_.restore(before.node_deaths, before.node_restarts);
    upgrade_outcome_ = before.upgrade;
    for (auto& run : before.runs) children_[run.id].run = std::move(run);
    for (auto& spec : before.sockets) {
        if (same_boot) sockets_[spec.name].spec = spec;
    }
    inherit(before.inherited);
    for (auto& [id, child] : children_) adopt_run(child, same_boot);
    adopt_strays();
    for (auto& [name, socket] : sockets_) {
        if (!socket.fd) recover(socket);
    }
    auto node = same_boot ? open_process(before.node) : Fd();
    if (!node && options_.adopt_node > 0) {
        before.node = {options_.adopt_node,
                       process_stat(options_.adopt_node).value_or(ProcessStat{}).start_ticks};
        node = open_process(before.node);
    }
    if (same_boot) send_signal(open_process(before.candidate), SIGKILL);
    if (node) {
        node_.id = before.node, node_.process = std::move(node),
        node_.build_id = before.node_build_id;
        watch_.started(boot_clock(), wall_clock());
        watch_.beat(boot_clock());
        if (resumed) watch_.ready(wall_clock());
        if (process_stat(node_.id.pid).value_or(ProcessStat{}).parent != getpid()) {
            poller_.watch(node_.process.get(), {Source::Kind::node});
        }
    }
    if (resumed) tell_all_again();
    auto live =
        std::ranges::count_if(children_, [](auto& each) { return each.second.run.alive(); });
    if (!resumed && (live > 0 || node_.process)) {
        took_over_ =
            fmt::format("{}: the keeper before it had died; adopted {} runs{}",
                        format_wall_time(started_), live, node_.process ? " and the node" : "");
    }
}

void Keeper::adopt_run(Child& child, bool same_boot) {
    auto& run = child.run;
    auto now = boot_clock();
    if (!same_boot && run.alive()) {
        run.exit.emplace().at = wall_clock();
        run.phase = Phase::over;
    }
    if (!run.alive()) return untold_.push_back(run.id);
    child.process = open_process({run.pid, run.start_ticks});
    auto stat = process_stat(run.pid);
    run.seen_end = child.process && stat && stat->parent == getpid();
    if (!child.process && run.phase <= Phase::live) {
        run.main_ended(now, {.at = wall_clock(), .code = {}, .signal = {}});
    }
    if (run.phase == Phase::starting) run.phase = Phase::live;
    if (child.process && !run.seen_end)
        poller_.watch(child.process.get(), {Source::Kind::process, run.id});
    open_outputs(child);
    if (!child.notify) open_notify(child);
}

// Processes that carry our mark but are of no run in the table, as when it was damaged. The leader
// of a session is a run; other remains of what is over, or of what nobody can name, are killed, so
// that nothing runs twice.
void Keeper::adopt_strays() {
    for (bool adopting : {true, false}) {
        Pids pids;
        while (int pid = pids.next()) {
            auto marked = run_of(pid, mark_);
            auto stat = process_stat(pid);
            auto* known = find(marked.run);
            if (marked.run == 0 || !stat || stat->state == 'Z' || (known && known->run.alive()))
                continue;
            if (!adopting) ::kill(pid, SIGKILL);
            if (!adopting || known || stat->session != pid || marked.slot[0] == 0) continue;
            auto& child = children_[marked.run];
            auto& run = child.run;
            run.id = marked.run, run.slot = marked.slot, run.pid = pid,
            run.start_ticks = stat->start_ticks;
            run.started = started_at(stat->start_ticks);
            run.stop_grace = std::chrono::seconds(10);
            struct stat owner{};
            if (::stat(fmt::format("/proc/{}", pid).c_str(), &owner) == 0) run.uid = owner.st_uid;
            run.cgroups = existing_cgroups(cgroups_, cgroup_name(run.id, run.slot));
            run.weakened.push_back(
                "found without a record of it: its end of run_for and its limits are not known");
            adopt_run(child, true);
        }
    }
}

// A listening socket whose keeper and node are dead may live on in a service it was handed to.
void Keeper::recover(Socket& socket) {
    for (auto& [id, child] : children_) {
        if (std::ranges::find(child.run.sockets, socket.spec.name) == child.run.sockets.end())
            continue;
        for (int fd = 3; fd < 256 && !socket.fd; ++fd) {
            auto got = take_descriptor(child.process, fd);
            sockaddr_in6 address{};
            socklen_t length = sizeof address;
            int listens = 0;
            socklen_t size = sizeof listens;
            if (!got || getsockopt(got.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 ||
                !listens)
                continue;
            getsockname(got.get(), reinterpret_cast<sockaddr*>(&address), &length);
            if (ntohs(address.sin6_port) == socket.spec.port) socket.fd = std::move(got);
        }
    }
}

namespace {

void keep_over_exec(int fd, bool kept) {
    fcntl(fd, F_SETFD, kept ? 0 : FD_CLOEXEC);
}

}  // namespace

void Keeper::inherit(std::vector<Inherited>& inherited) {
    using Role = Inherited::Role;
    for (auto& each : inherited) {
        Fd fd(each.fd);
        keep_over_exec(each.fd, false);
        auto* child = find(each.number);
        auto take = [&](Fd& to, Source::Kind kind) {
            to = std::move(fd);
            poller_.watch(to.get(), {kind, each.number});
        };
        switch (each.role) {
            case Role::lock:
                lock_ = std::move(fd);
                break;
            case Role::listener:
                listener_ = std::move(fd);
                break;
            case Role::node:
                node_.connection = connect(std::move(fd), 0);
                break;
            case Role::command:
                upgrade_outcome_ = "done " + format_wall_time(wall_clock());
                answer(connect(std::move(fd), 0), static_cast<std::uint32_t>(each.number), {});
                break;
            case Role::socket:
                sockets_[each.name].fd = std::move(fd);
                break;
            case Role::ring:
                child->ring_memory = map_ring(fd.get()).value_or(nullptr);
                if (child->ring_memory) child->ring = std::move(fd);
                break;
            case Role::out:
                take(child->out, Source::Kind::out);
                break;
            case Role::err:
                take(child->err, Source::Kind::err);
                break;
            case Role::notify:
                take(child->notify, Source::Kind::notify);
                break;
        }
    }
}

// Returns only if the exec failed, and why; everything is then as it was.
Error Keeper::become(const Upgrading& next) {
    using Role = Inherited::Role;
    auto left = table(Which::all);
    auto leave = [&](Role role, const Fd& fd, std::uint64_t number = 0,
                     const std::string& name = {}) {
        if (fd) left.inherited.push_back({role, name, number, fd.get()});
    };
    leave(Role::lock, lock_);
    leave(Role::listener, listener_);
    for (auto& [id, connection] : connections_) {
        if (id == node_.connection) leave(Role::node, connection.fd);
        if (id == next.connection) leave(Role::command, connection.fd, next.sequence);
    }
    for (auto& [name, socket] : sockets_) leave(Role::socket, socket.fd, 0, name);
    for (auto& [id, child] : children_) {
        leave(Role::ring, child.ring, id);
        leave(Role::out, child.out, id);
        leave(Role::err, child.err, id);
        leave(Role::notify, child.notify, id);
    }
    Fd memory(memfd_create("holdfast-keeper", 0));
    auto bytes = encode_table(left);
    if (!memory ||
        write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
        return {Errc::exhausted, "no memory to leave its state in: " + errno_text()};
    }
    std::vector<std::string> words{
        next.keeper_binary,   "--data",   options_.data_dir,           "--node",
        options_.node_binary, "--resume", std::to_string(memory.get())};
    words.insert(words.end(), options_.own_flags.begin(), options_.own_flags.end());
    words.push_back("--");
    words.insert(words.end(), options_.node_args.begin(), options_.node_args.end());
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    for (auto& each : left.inherited) keep_over_exec(each.fd, true);
    execv(next.keeper_binary.c_str(), argv.data());
    Error failure{Errc::unavailable,
                  fmt::format("cannot run {}: {}", next.keeper_binary, errno_text())};
    for (auto& each : left.inherited) keep_over_exec(each.fd, false);
    return failure;
}

}  // namespace holdfast::keeper
