#include "runtime/process/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/bytes.h"

namespace holdfast::runtime::process {

using runtime::OutputStream;

std::string fifo_path(const std::string& data_dir, const std::string& mark, runtime::RunId run,
                      OutputStream stream) {
    return fmt::format("{}/run/{}.{}.{}", data_dir, mark, run,
                       stream == OutputStream::out ? "out" : "err");
}

std::string notify_name(const std::string& mark, runtime::RunId run) {
    return fmt::format("holdfast/{}/{}", mark, run);
}

namespace {

constexpr int pipe_bytes = 256 * 1024;

// Ends the child, telling the keeper why.
[[noreturn]] void give_up(int channel, Prepared prepared, std::string why) {
    prepared.failure = std::move(why);
    send(channel, encode_prepared(prepared));
    _exit(127);
}

// What a keeper does to its signals and descriptors, undone. Only `kept` and 0 to 2 stay open: a
// sibling that held our channel's other end would keep us waiting when the keeper is gone.
void shed(std::vector<int> kept) {
    sigset_t none;
    sigemptyset(&none);
    // Past the library, which will not touch the two signals it uses itself.
    struct {
        void* handler = nullptr;  // SIG_DFL
        unsigned long flags = 0;
        void* restorer = nullptr;
        std::uint64_t mask = 0;
    } unhandled;
    for (int signal = 1; signal < NSIG; ++signal)
        syscall(SYS_rt_sigaction, signal, &unhandled, nullptr, sizeof unhandled.mask);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    std::ranges::sort(kept);
    unsigned from = 3;
    for (int fd : kept) {
        if (static_cast<unsigned>(fd) > from) close_range(from, static_cast<unsigned>(fd) - 1, 0);
        from = static_cast<unsigned>(fd) + 1;
    }
    close_range(from, ~0U, 0);
}

// Moves each to a place where nothing below will overwrite it.
void move_up(std::vector<int>& fds) {
    for (int& fd : fds) fd = fcntl(fd, F_DUPFD_CLOEXEC, 3 + 2 * static_cast<int>(fds.size()) + 8);
}

// The program's end of its output: open for reading too, so that it never meets a pipe without
// reader, whoever dies. Without a disk for the FIFO a pipe without a name does, until the keeper
// dies.
int open_output(const ChildPlan& plan, OutputStream stream, const passwd* user,
                Prepared& prepared) {
    auto path = fifo_path(plan.data_dir, plan.mark, plan.spec.run, stream);
    int fd = -1;
    if (plan.spec.lifetime == runtime::Lifetime::lasting) {
        if (mkfifo(path.c_str(), 0600) == 0 || errno == EEXIST)
            fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
        if (fd < 0) prepared.weakened.push_back(fmt::format("no FIFO {}: {}", path, errno_text()));
    }
    if (int ends[2]; fd < 0 && pipe2(ends, O_CLOEXEC) == 0) {
        fd = open(fmt::format("/proc/self/fd/{}", ends[0]).c_str(), O_RDWR | O_CLOEXEC);
        close(ends[0]);
        close(ends[1]);
    }
    if (user && fchown(fd, user->pw_uid, user->pw_gid) != 0) {
        prepared.weakened.push_back("its output does not belong to its user: " + errno_text());
    }
    fcntl(fd, F_SETPIPE_SZ, pipe_bytes);
    return fd;
}

void set_limits(const runtime::ResourceLimits& limits, Prepared& prepared) {
    auto set = [&](auto resource, std::optional<std::uint64_t> most, const char* what) {
        if (!most) return;
        rlimit limit{*most, *most};
        if (setrlimit(resource, &limit) != 0) {
            prepared.weakened.push_back(
                fmt::format("cannot set its limit of {}: {}", what, errno_text()));
        }
    };
    set(RLIMIT_NOFILE, limits.files, "open files");
    set(RLIMIT_CORE, limits.core_bytes, "core dumps");
}

bool become(const passwd& user) {
    if (user.pw_uid == geteuid() && user.pw_uid == getuid()) return true;
    return initgroups(user.pw_name, user.pw_gid) == 0 && setgid(user.pw_gid) == 0 &&
           setuid(user.pw_uid) == 0 && getuid() == user.pw_uid && geteuid() == user.pw_uid &&
           (user.pw_uid == 0 || setuid(0) != 0);
}

std::vector<std::string> environment_of(const ChildPlan& plan) {
    auto& spec = plan.spec;
    // The mark first: run_of() looks at the beginning only.
    std::vector<std::string> env{
        fmt::format("HOLDFAST_RUN={}.{}.{}", plan.mark, spec.run, spec.slot)};
    for (auto& [name, value] : spec.env) env.push_back(name + "=" + value);
    if (spec.notify) env.push_back("NOTIFY_SOCKET=@" + notify_name(plan.mark, spec.run));
    if (!spec.sockets.empty()) {
        std::string names;
        for (auto& name : spec.sockets) names += (names.empty() ? "" : ":") + name;
        env.push_back(fmt::format("LISTEN_FDS={}", spec.sockets.size()));
        env.push_back(fmt::format("LISTEN_PID={}", getpid()));
        env.push_back("LISTEN_FDNAMES=" + names);
    }
    if (spec.watchdog) {
        env.push_back(
            fmt::format("WATCHDOG_USEC={}", *spec.watchdog / std::chrono::microseconds(1)));
        env.push_back(fmt::format("WATCHDOG_PID={}", getpid()));
    }
    return env;
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
    std::vector<char*> out;
    for (auto& word : words) out.push_back(const_cast<char*>(word.c_str()));
    out.push_back(nullptr);
    return out;
}

// Returns only if it failed, with errno: of the first candidate that is there but cannot run, else
// ENOENT.
void execute(const ChildPlan& plan) {
    auto env = environment_of(plan);
    auto& name = plan.spec.command[0];
    std::string search = "/usr/local/bin:/usr/bin:/bin";
    for (auto& [key, value] : plan.spec.env) {
        if (key == "PATH") search = value;
    }
    if (name.find('/') != std::string::npos) {
        execve(name.c_str(), pointers(plan.spec.command).data(), pointers(env).data());
        return;
    }
    int reason = ENOENT;
    for (std::size_t at = 0; at <= search.size();) {
        auto end = std::min(search.find(':', at), search.size());
        auto path = search.substr(at, end - at) + "/" + name;
        execve(path.c_str(), pointers(plan.spec.command).data(), pointers(env).data());
        if (errno != ENOENT && errno != ENOTDIR) reason = errno;
        at = end + 1;
    }
    errno = reason;
}

[[noreturn]] void child_main(const ChildPlan& plan, int channel, int keeper_pid) {
    auto& spec = plan.spec;
    auto kept = plan.sockets;
    kept.push_back(channel);
    move_up(kept);
    shed(kept);
    channel = kept.back();
    setsid();
    Prepared prepared;
    write_to("/proc/self/oom_score_adj", plan.oom_score_adj);
    auto joined = join_cgroups(plan.cgroups, cgroup_name(spec.run, spec.slot), spec.limits);
    prepared.cgroups = joined.directories;
    prepared.weakened = joined.weakened;
    prepared.ooms = oom_kills(joined.directories);
    const passwd* user = nullptr;
    if (!spec.user.empty() && !(user = getpwnam(spec.user.c_str()))) {
        give_up(channel, prepared, fmt::format("there is no user {}", spec.user));
    }
    prepared.uid = user ? user->pw_uid : getuid();
    int in = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = open_output(plan, OutputStream::out, user, prepared);
    int err = open_output(plan, OutputStream::err, user, prepared);
    if (in < 0 || out < 0 || err < 0)
        give_up(channel, prepared, "cannot open its output: " + errno_text());
    dup2(in, 0), dup2(out, 1), dup2(err, 2);
    for (std::size_t i = 0; i < plan.sockets.size(); ++i) dup2(kept[i], 3 + static_cast<int>(i));
    set_limits(spec.limits, prepared);
    send(channel, encode_prepared(prepared));
    pollfd released{channel, POLLIN, 0};
    while (poll(&released, 1, -1) < 0) {
    }
    if (char byte; recv(channel, &byte, 1, 0) != 1) _exit(127);
    if (user && !become(*user)) {
        give_up(channel, prepared,
                fmt::format("cannot become user {}: {}", spec.user, errno_text()));
    }
    std::string directory = spec.directory.empty() ? "/" : spec.directory;
    if (chdir(directory.c_str()) != 0) {
        give_up(channel, prepared, fmt::format("cannot enter {}: {}", directory, errno_text()));
    }
    if (spec.lifetime == runtime::Lifetime::ephemeral) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != keeper_pid) _exit(127);
    }
    execute(plan);
    give_up(channel, prepared, fmt::format("cannot run {}: {}", spec.command[0], errno_text()));
}

// Forks; in the child calls `main` with its end of a channel, which must not return.
template <class Main>
Result<StartedChild> fork_with_channel(Main main) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail(Errc::exhausted, "cannot make a channel to a new process: " + errno_text());
    }
    Fd ours(ends[0]), theirs(ends[1]);
    int pid = fork();
    if (pid == 0) main(theirs.get());
    if (pid < 0) return fail(Errc::exhausted, "cannot start another process: " + errno_text());
    return StartedChild{pid, std::move(ours)};
}

}  // namespace

std::string encode_prepared(const Prepared& prepared) {
    std::string out;
    append_sized(out, prepared.failure);
    append_le(out, prepared.uid);
    append_le(out, prepared.ooms);
    for (const auto* words : {&prepared.cgroups, &prepared.weakened}) {
        append_le(out, static_cast<std::uint32_t>(words->size()));
        for (const auto& word : *words) append_sized(out, word);
    }
    return out;
}

std::optional<Prepared> decode_prepared(std::string_view bytes) {
    ByteReader in(bytes);
    Prepared prepared;
    prepared.failure = in.sized();
    prepared.uid = in.le<std::uint32_t>();
    prepared.ooms = in.le<std::uint64_t>();
    for (auto* words : {&prepared.cgroups, &prepared.weakened}) {
        for (auto count = in.le<std::uint32_t>(); in.ok() && count > 0; --count)
            words->emplace_back(in.sized());
    }
    if (!in.done()) return std::nullopt;
    return prepared;
}

Result<StartedChild> start_child(const ChildPlan& plan) {
    int keeper_pid = getpid();
    return fork_with_channel([&](int channel) { child_main(plan, channel, keeper_pid); });
}

Result<StartedChild> start_node(const std::string& binary, const std::vector<std::string>& args,
                                const std::string& oom_score_adj) {
    return fork_with_channel([&](int channel) {
        std::vector<int> kept{channel};
        move_up(kept);
        shed(kept);
        setsid();
        write_to("/proc/self/oom_score_adj", oom_score_adj);
        std::vector<std::string> words{binary};
        words.insert(words.end(), args.begin(), args.end());
        setenv("HOLDFAST_KEEPER_FD", std::to_string(kept[0]).c_str(), 1);
        fcntl(kept[0], F_SETFD, 0);
        execv(binary.c_str(), pointers(words).data());
        fmt::print(stderr, "holdfast-keeper: cannot run {}: {}\n", binary, errno_text());
        _exit(127);
    });
}

namespace {

// Finds MARK followed by a run's number, and perhaps ".SLOT", in the text. Does not allocate.
Marked parse_mark(std::string_view text, const char* before, const std::string& mark, char after) {
    char needle[128];
    auto length = std::snprintf(needle, sizeof needle, "%s%s%c", before, mark.c_str(), after);
    auto at = text.find(std::string_view(needle, static_cast<std::size_t>(length)));
    Marked found;
    if (at == std::string_view::npos) return found;
    text.remove_prefix(at + static_cast<std::size_t>(length));
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
        found.run = found.run * 10 + static_cast<runtime::RunId>(text[0] - '0');
        text.remove_prefix(1);
    }
    for (std::size_t i = 1;
         i < text.size() && i < sizeof found.slot && text[i] != '\0' && text[i] != '\n'; ++i) {
        found.slot[i - 1] = text[i] == ':' ? '/' : text[i];
    }
    return found;
}

}  // namespace

Marked run_of(int pid, const std::string& mark) {
    char path[64], text[4096];
    auto look_in = [&](const char* file, const char* before, char after) {
        std::snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
        Fd opened(open(path, O_RDONLY | O_CLOEXEC));
        auto count = opened ? read(opened.get(), text, sizeof text) : 0;
        return parse_mark({text, static_cast<std::size_t>(std::max<ssize_t>(count, 0))}, before,
                          mark, after);
    };
    auto found = look_in("environ", "HOLDFAST_RUN=", '.');
    if (!found.run) found = look_in("cgroup", "/holdfast-", '/');
    if (found.run) return found;
    std::snprintf(path, sizeof path, "/proc/%d/fd/1", pid);
    auto count = readlink(path, text, sizeof text);
    found = parse_mark({text, static_cast<std::size_t>(std::max<ssize_t>(count, 0))}, "/run/", mark,
                       '.');
    found.slot[0] = 0;
    return found;
}

}  // namespace holdfast::runtime::process
