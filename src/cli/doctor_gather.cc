#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/doctor.h"
#include "cli/up.h"
#include "keeper/cgroup_survey.h"
#include "keeper/control.h"
#include "runtime/real/loop.h"
#include "runtime/real/network.h"

namespace holdfast::cli {

namespace {

constexpr int sync_tries = 5;

// The data directory, or the nearest directory above it that is there.
std::filesystem::path nearest_existing(std::filesystem::path path) {
    std::error_code error;
    while (!std::filesystem::exists(path, error) && path.has_relative_path())
        path = path.parent_path();
    return path;
}

// Writes and syncs a small file a few times. Takes nothing for granted: the disk may be full or
// read-only, which is what we are here to find out.
std::string measure_sync(const std::string& directory, runtime::Clock& clock,
                         std::optional<Duration>& median) {
    std::string path = directory + "/doctor.tmp";
    int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) return std::strerror(errno);
    std::array<Duration, sync_tries> took{};
    std::array<char, 4096> block{};
    bool failed = false;
    int reason = 0;
    for (auto& each : took) {
        Instant begin = clock.now();
        failed = failed || ::pwrite(fd, block.data(), block.size(), 0) != block.size() ||
                 ::fdatasync(fd) != 0;
        if (failed && reason == 0) reason = errno;
        each = clock.now() - begin;
    }
    ::close(fd);
    ::unlink(path.c_str());
    if (failed) return std::strerror(reason);
    std::ranges::sort(took);
    median = took[sync_tries / 2];
    return {};
}

void look_at_disk(MachineFacts& facts, runtime::Clock& clock) {
    auto existing = nearest_existing(facts.data_directory).string();
    facts.data_error = measure_sync(existing, clock, facts.sync_time);
    struct statvfs space{};
    if (::statvfs(existing.c_str(), &space) != 0) return;
    facts.free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
    facts.total_bytes = std::uint64_t{space.f_blocks} * space.f_frsize;
}

void look_at_machine(MachineFacts& facts) {
    utsname system{};
    if (::uname(&system) == 0) facts.kernel = system.release;
    facts.is_root = ::geteuid() == 0;
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) facts.files_max = files.rlim_max;
    struct sysinfo memory{};
    if (::sysinfo(&memory) == 0)
        facts.memory_bytes = std::uint64_t{memory.totalram} * memory.mem_unit;
}

}  // namespace

MachineFacts gather(const MachineConfig& config) {
    runtime::EventLoop loop;
    MachineFacts facts;
    facts.data_directory = config.data_directory;
    facts.rest = runtime::format_endpoint(config.rest);
    look_at_machine(facts);
    look_at_disk(facts, loop.clock());
    facts.cgroup_controllers = keeper::writable_controllers();
    facts.holdfast_runs = keeper::keeper_status(config.data_directory).has_value();
    auto listener = runtime::RealNetwork(loop).listen(config.rest);
    if (!listener) facts.rest_error = listener.error().message;
    auto programs = find_programs();
    if (!programs) facts.keeper_error = programs.error().message;
    return facts;
}

}  // namespace holdfast::cli
