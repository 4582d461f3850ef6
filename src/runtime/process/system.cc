#include "runtime/process/system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {  // Which glibc 2.36 forgot.
#include <sys/pidfd.h>
}

namespace holdfast::runtime::process {

Fd::~Fd() {
    if (fd_ >= 0) close(fd_);
}

namespace {

std::chrono::nanoseconds read_clock(clockid_t id) {
    timespec time{};
    clock_gettime(id, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

Instant boot_clock() {
    return Instant(read_clock(CLOCK_BOOTTIME));
}
WallTime wall_clock() {
    return WallTime(read_clock(CLOCK_REALTIME));
}
WallTime started_at(std::uint64_t start_ticks) {
    auto hertz = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
    auto after_boot = std::chrono::milliseconds(start_ticks * 1000 / hertz);
    return wall_clock() - (boot_clock().time_since_epoch() - after_boot);
}

void complain(std::string_view what) {
    pollfd error{STDERR_FILENO, POLLOUT, 0};
    if (poll(&error, 1, 0) != 1) return;
    fmt::print(stderr, "holdfast-keeper: {}\n", what.substr(0, 1000));
}

std::string errno_text() {
    return strerror(errno);
}

std::string boot_id() {
    auto id = read_file("/proc/sys/kernel/random/boot_id").value_or("");
    return id.substr(0, id.find('\n'));
}

Result<std::string> read_file(const std::string& path) {
    Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string bytes;
    char piece[16384];
    ssize_t count = file ? 1 : -1;
    while (count > 0) {
        count = read(file.get(), piece, sizeof piece);
        if (count > 0) bytes.append(piece, static_cast<std::size_t>(count));
    }
    if (count == 0) return bytes;
    return fail(errno == ENOENT ? Errc::not_found : Errc::unavailable,
                fmt::format("cannot read {}: {}", path, errno_text()));
}

Result<void> replace_file(const std::string& path, std::string_view bytes) {
    auto beside = path + ".new";
    Fd file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    while (file && !bytes.empty()) {
        auto count = write(file.get(), bytes.data(), bytes.size());
        if (count <= 0) break;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    if (file && bytes.empty() && rename(beside.c_str(), path.c_str()) == 0) return {};
    return fail(Errc::unavailable, fmt::format("cannot write {}: {}", path, errno_text()));
}

bool write_to(const char* path, std::string_view text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    bool done = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    int kept = errno;
    close(file);
    errno = kept;
    return done;
}

std::optional<ProcessStat> process_stat(int pid) {
    char text[1024];
    std::snprintf(text, sizeof text, "/proc/%d/stat", pid);
    Fd file(open(text, O_RDONLY | O_CLOEXEC));
    auto count = file ? read(file.get(), text, sizeof text - 1) : -1;
    if (count <= 0) return std::nullopt;
    text[count] = 0;
    // The name, in parentheses, may hold anything; what follows its last one is numbers.
    const char* rest = strrchr(text, ')');
    ProcessStat stat{};
    unsigned long long ticks = 0;
    if (!rest ||
        std::sscanf(
            rest + 1,
            " %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
            &stat.state, &stat.parent, &stat.session, &ticks) != 4) {
        return std::nullopt;
    }
    stat.start_ticks = ticks;
    return stat;
}

Fd open_process(int pid) {
    return Fd(pid > 0 ? pidfd_open(pid, 0) : -1);
}

Fd open_process(const ProcessId& id) {
    auto process = open_process(id.pid);
    auto stat = process ? process_stat(id.pid) : std::nullopt;
    bool same = stat && stat->start_ticks == id.start_ticks;
    if (same && stat->state == 'Z' && stat->parent != getpid()) same = false;
    return same ? std::move(process) : Fd();
}

Fd take_descriptor(const Fd& process, int fd) {
    return Fd(process ? pidfd_getfd(process.get(), fd, 0) : -1);
}

bool send_signal(const Fd& process, int signal) {
    return process && pidfd_send_signal(process.get(), signal, nullptr, 0) == 0;
}

Pids::Pids() : directory_(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

int Pids::next() {
    struct Entry {  // As getdents64() gives them.
        std::uint64_t inode, offset;
        std::uint16_t size;
        std::uint8_t type;
        char name[1];
    };
    for (;;) {
        if (at_ >= length_) {
            at_ = 0;
            length_ = static_cast<int>(
                syscall(SYS_getdents64, directory_.get(), buffer_, sizeof buffer_));
            if (length_ <= 0) return 0;
        }
        auto* entry = reinterpret_cast<Entry*>(buffer_ + at_);
        at_ += entry->size;
        if (int pid = std::atoi(entry->name); pid > 0) return pid;
    }
}

Received receive(int fd, Datagram& into) {
    static char buffer[datagram_bytes_max];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
    iovec piece{buffer, sizeof buffer};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    auto count = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? Received::nothing : Received::end;
    for (auto* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET) continue;
        if (part->cmsg_type == SCM_RIGHTS) {
            int passed = -1;
            std::memcpy(&passed, CMSG_DATA(part), sizeof passed);
            into.fd = Fd(passed);
        } else if (part->cmsg_type == SCM_CREDENTIALS) {
            ucred sender{};
            std::memcpy(&sender, CMSG_DATA(part), sizeof sender);
            into.sender_pid = sender.pid;
            into.sender_uid = sender.uid;
        }
    }
    if (count == 0) return Received::end;
    into.bytes.assign(buffer, static_cast<std::size_t>(count));
    if (message.msg_flags & MSG_TRUNC) into.bytes.clear();  // Longer than allowed: malformed.
    return Received::datagram;
}

Sent send(int fd, std::string_view bytes, int passed) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (passed >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        auto* part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof passed);
        std::memcpy(CMSG_DATA(part), &passed, sizeof passed);
    }
    if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return Sent::done;
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? Sent::full : Sent::broken;
}

namespace {

// Calls bind() or connect() with a short name for the socket in `directory`.
template <class Call>
Result<Fd> at_short_name(const std::string& directory, const std::string& name, Call call) {
    Fd parent(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    Fd socket_fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", parent.get(),
                  name.c_str());
    if (parent && socket_fd &&
        call(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
        return socket_fd;
    }
    auto code = errno == ENOENT || errno == ECONNREFUSED ? Errc::not_found
                : errno == EACCES || errno == EPERM      ? Errc::denied
                                                         : Errc::unavailable;
    return fail(code, fmt::format("{}/{}: {}", directory, name, errno_text()));
}

}  // namespace

Result<Fd> listen_at(const std::string& directory, const std::string& name) {
    unlink((directory + "/" + name).c_str());
    auto mask = umask(0177);
    auto made = at_short_name(directory, name, bind);
    umask(mask);
    if (made && listen(made->get(), 64) != 0)
        return fail(Errc::unavailable, "listen: " + errno_text());
    return made;
}

Result<Fd> connect_to(const std::string& directory, const std::string& name) {
    return at_short_name(directory, name, connect);
}

}  // namespace holdfast::runtime::process
