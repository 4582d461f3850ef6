#include "cli/doctor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

#include "base/units.h"

namespace holdfast::cli {

namespace {

using namespace std::chrono_literals;
using Verdict = Check::Verdict;

std::string gibibytes(std::uint64_t bytes) {
    return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1ULL << 30));
}

Check kernel_check(const MachineFacts& facts) {
    int major = 0;
    int minor = 0;
    bool known = std::sscanf(facts.kernel.c_str(), "%d.%d", &major, &minor) == 2;
    bool new_enough = known && (major > 5 || (major == 5 && minor >= 10));
    if (new_enough) return {"kernel", Verdict::ok, "Linux " + facts.kernel, ""};
    return {"kernel", Verdict::failure, "Linux " + facts.kernel,
            "Holdfast needs Linux 5.10 or newer, for pidfds: upgrade the kernel"};
}

Check cgroup_check(const MachineFacts& facts) {
    std::vector<std::string_view> missing;
    for (std::string_view wanted : {"memory", "cpu"})
        if (std::ranges::find(facts.cgroup_controllers, wanted) == facts.cgroup_controllers.end())
            missing.push_back(wanted);
    std::string found = facts.cgroup_controllers.empty()
                            ? "none writable"
                            : fmt::format("{}", fmt::join(facts.cgroup_controllers, ", "));
    if (missing.empty()) return {"cgroups", Verdict::ok, found, ""};
    return {"cgroups", Verdict::warning, found,
            fmt::format("limits on {} cannot be enforced: run as root, or delegate the controllers "
                        "to this user (systemd: Delegate=yes)",
                        fmt::join(missing, " and "))};
}

Check data_check(const MachineFacts& facts) {
    if (facts.data_error.empty()) return {"data directory", Verdict::ok, facts.data_directory, ""};
    return {"data directory", Verdict::failure,
            fmt::format("{}: {}", facts.data_directory, facts.data_error),
            "make it writable for this user, or choose another with --data DIR"};
}

Check space_check(const MachineFacts& facts) {
    constexpr std::uint64_t free_bytes_min = 1ULL << 30;
    double free_ratio = facts.total_bytes == 0 ? 1.0
                                               : static_cast<double>(facts.free_bytes) /
                                                     static_cast<double>(facts.total_bytes);
    auto found =
        fmt::format("{} of {} free", format_size(facts.free_bytes), format_size(facts.total_bytes));
    if (facts.free_bytes >= free_bytes_min && free_ratio >= 0.05)
        return {"disk space", Verdict::ok, found, ""};
    return {"disk space", Verdict::warning, found,
            "free some space, or choose another disk with --data DIR"};
}

Check sync_check(const MachineFacts& facts) {
    if (!facts.sync_time)
        return {"disk sync", Verdict::warning, "not measured",
                "mend the data directory, then run this again"};
    auto found = fmt::format("{} for a synced write", format_duration_rough(*facts.sync_time));
    if (*facts.sync_time < 50ms) return {"disk sync", Verdict::ok, found, ""};
    return {"disk sync", Verdict::warning, found,
            "every change waits for the disk this long: use a faster disk, best one with a "
            "write cache that survives power loss"};
}

Check files_check(const MachineFacts& facts) {
    auto found = fmt::format("{} per process", facts.files_max);
    if (facts.files_max >= 4096) return {"open files", Verdict::ok, found, ""};
    return {"open files", Verdict::warning, found,
            "raise the hard limit: ulimit -Hn 65536, or LimitNOFILE= in the unit"};
}

Check port_check(const MachineFacts& facts) {
    if (facts.holdfast_runs)
        return {"REST port", Verdict::ok, facts.rest + ", Holdfast runs here", ""};
    if (facts.rest_error.empty()) return {"REST port", Verdict::ok, facts.rest + " is free", ""};
    return {"REST port", Verdict::failure, fmt::format("{}: {}", facts.rest, facts.rest_error),
            "stop whoever has it, or choose other ports with --port-base N"};
}

Check keeper_check(const MachineFacts& facts) {
    if (facts.keeper_error.empty())
        return {"keeper", Verdict::ok, "holdfast-keeper is installed", ""};
    return {"keeper", Verdict::failure, facts.keeper_error,
            "install holdfast-keeper in the same directory as holdfast"};
}

Check memory_check(const MachineFacts& facts) {
    constexpr std::uint64_t memory_bytes_min = 256ULL << 20;
    auto found = gibibytes(facts.memory_bytes);
    if (facts.memory_bytes >= memory_bytes_min) return {"memory", Verdict::ok, found, ""};
    return {"memory", Verdict::warning, found, "give the machine at least 256 MiB"};
}

Check user_check(const MachineFacts& facts) {
    if (facts.is_root)
        return {"user", Verdict::ok, "root: services without `user` run as root too", ""};
    return {"user", Verdict::ok, "not root: services run as this user, `user =` cannot be used",
            ""};
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::ok:
            return "ok";
        case Verdict::warning:
            return "warning";
        case Verdict::failure:
            return "failure";
    }
    return "unknown";
}

std::vector<Check> judge(const MachineFacts& facts) {
    return {kernel_check(facts), user_check(facts),   cgroup_check(facts), memory_check(facts),
            files_check(facts),  keeper_check(facts), data_check(facts),   space_check(facts),
            sync_check(facts),   port_check(facts)};
}

}  // namespace holdfast::cli
