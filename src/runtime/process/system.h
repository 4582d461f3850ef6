// The few calls of Linux that whoever keeps processes is made of. Those marked so do not allocate:
// they are on the path from a deadline to a SIGKILL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::runtime::process {

// Owns a descriptor.
class Fd {
  public:
    explicit Fd(int fd = -1) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd();
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_;
};

// A process that may be gone, told from a later one of the same pid by its start time.
struct ProcessId {
    std::int32_t pid = 0;
    std::uint64_t start_ticks = 0;
    auto fields() { return std::tie(pid, start_ticks); }
    bool operator==(const ProcessId&) const = default;
};

Instant boot_clock();  // CLOCK_BOOTTIME. Does not allocate.
WallTime wall_clock();
WallTime started_at(std::uint64_t start_ticks);  // Of a process of this boot.
std::string boot_id();
std::string errno_text();              // Of errno.
void complain(std::string_view what);  // A line to standard error, unless that would block.

Result<std::string> read_file(const std::string& path);
// Writes the whole of it to a new name beside, then renames.
Result<void> replace_file(const std::string& path, std::string_view bytes);
// One write() to an existing file, as of /proc and cgroups. Does not allocate.
bool write_to(const char* path, std::string_view text);

struct ProcessStat {
    char state;
    int parent;
    int session;
    std::uint64_t start_ticks;
};
std::optional<ProcessStat> process_stat(int pid);  // Nothing: no such process. Does not allocate.
Fd open_process(int pid);                          // pidfd
// The process if it is still the same one, and not a zombie of somebody else's.
Fd open_process(const ProcessId& id);
Fd take_descriptor(const Fd& process, int fd);    // A duplicate of one it has open.
bool send_signal(const Fd& process, int signal);  // Does not allocate.

// Calls back with the pid of every process. Does not allocate.
class Pids {
  public:
    Pids();
    int next();  // 0: no more.

  private:
    Fd directory_;
    alignas(8) char buffer_[4096];  // Of linux_dirent64.
    int length_ = 0;
    int at_ = 0;
};

// A SEQPACKET datagram with, perhaps, a descriptor. Never blocks.
// Of one datagram: below the kernel's send buffer.
inline constexpr std::size_t datagram_bytes_max = 160 * 1024;

struct Datagram {
    std::string bytes;
    Fd fd;
    int sender_pid = 0;  // With SO_PASSCRED.
    std::uint32_t sender_uid = 0;
};
enum class Received { datagram, nothing, end };
Received receive(int fd, Datagram& into);
enum class Sent { done, full, broken };
Sent send(int fd, std::string_view bytes, int passed = -1);

// DATA/keeper.sock, however long DATA is: bound or connected through /proc/self/fd.
Result<Fd> listen_at(const std::string& directory, const std::string& name);
Result<Fd> connect_to(const std::string& directory, const std::string& name);

}  // namespace holdfast::runtime::process
