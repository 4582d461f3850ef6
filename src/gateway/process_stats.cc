#include "gateway/process_stats.h"

#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace holdfast::gateway {
namespace {

std::uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t pages = 0;
    std::uint64_t resident_pages = 0;
    file >> pages >> resident_pages;
    return resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t open_files() {
    DIR* directory = opendir("/proc/self/fd");
    if (directory == nullptr) return 0;
    std::uint64_t count = 0;
    while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1;  // Without the directory's own.
}

void add_times(ProcessStats& stats) {
    std::ifstream file("/proc/self/stat");
    std::string line;
    std::getline(file, line);
    auto name_end = line.rfind(')');  // The name may hold anything.
    if (name_end == line.npos) return;
    constexpr int utime = 12;  // Fields after the name, from 1; the state is the first.
    constexpr int stime = 13;
    constexpr int threads = 18;
    std::size_t at = name_end + 1;
    double ticks = 0;
    for (int field = 1; field <= threads; ++field) {
        at = line.find_first_not_of(' ', at);
        if (at == line.npos) return;
        auto end = line.find(' ', at);
        auto value = field == 1 ? 0 : std::strtoull(line.c_str() + at, nullptr, 10);
        if (field == utime || field == stime) ticks += static_cast<double>(value);
        if (field == threads) stats.threads = value;
        at = end;
    }
    stats.cpu_seconds = ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

ProcessStats own_process_stats() {
    ProcessStats stats;
    stats.resident_bytes = resident_bytes();
    stats.open_files = open_files();
    add_times(stats);
    return stats;
}

void measure_process(MetricRegistry& metrics) {
    auto& resident = metrics.gauge("holdfast_process_resident_memory_bytes",
                                   "Memory of the node that is in RAM.");
    auto& cpu = metrics.gauge("holdfast_process_cpu_seconds",
                              "Processor time the node has used since its start.");
    auto& files = metrics.gauge("holdfast_process_open_fds", "Descriptors the node has open.");
    auto& threads = metrics.gauge("holdfast_process_threads", "Threads of the node.");
    metrics.on_collect([&resident, &cpu, &files, &threads] {
        auto stats = own_process_stats();
        resident.set(static_cast<double>(stats.resident_bytes));
        cpu.set(stats.cpu_seconds);
        files.set(static_cast<double>(stats.open_files));
        threads.set(static_cast<double>(stats.threads));
    });
}

}  // namespace holdfast::gateway
