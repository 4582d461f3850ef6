#include "runtime/process/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "runtime/process/system.h"

namespace holdfast::runtime::process {

namespace {

bool lists(const std::string& words, const std::string& word, char separator) {
    return (separator + words + separator).find(separator + word + separator) != std::string::npos;
}

}  // namespace

std::string own_cgroup(const std::string& controller) {
    std::istringstream mounts(read_file("/proc/self/mountinfo").value_or(""));
    std::istringstream groups(read_file("/proc/self/cgroup").value_or(""));
    std::string line, own, word, root, point, type, source, options;
    while (own.empty() && std::getline(groups, line)) {
        auto first = line.find(':'), second = line.find(':', first + 1);
        auto names = line.substr(first + 1, second - first - 1);
        if (controller.empty() ? names.empty() : lists(names, controller, ','))
            own = line.substr(second + 1);
    }
    // Where we already are in one of ours, as after an adoption, its parent counts.
    own = own.substr(0, own.find("/holdfast-"));
    while (!own.empty() && std::getline(mounts, line)) {
        std::istringstream fields(line);
        fields >> word >> word >> word >> root >> point;
        while (fields >> word && word != "-") {
        }
        fields >> type >> source >> options;
        if (controller.empty() ? type != "cgroup2"
                               : type != "cgroup" || !lists(options, controller, ','))
            continue;
        if (root != "/" && own.starts_with(root)) own = own.substr(root.size());
        return own == "/" ? point : point + own;
    }
    return {};
}

namespace {

std::string make_base(const std::string& directory, const std::string& mark) {
    if (directory.empty()) return {};
    auto base = directory + "/holdfast-" + mark;
    if (mkdir(base.c_str(), 0755) != 0 && errno != EEXIST) return {};
    return access((base + "/cgroup.procs").c_str(), W_OK) == 0 ? base : std::string();
}

// Lets the children of v2's `directory`, and of the base below it, use a controller.
bool pass_on(const std::string& directory, const std::string& base, const std::string& controller) {
    auto words = read_file(directory + "/cgroup.controllers").value_or("\n");
    if (!lists(words.substr(0, words.size() - 1), controller, ' ')) return false;
    auto give = [&](const std::string& to) {
        return write_to((to + "/cgroup.subtree_control").c_str(), "+" + controller);
    };
    if (!give(directory)) {  // A group other than the root with processes in it may not.
        auto aside = base + "-keeper";
        mkdir(aside.c_str(), 0755);
        if (!write_to((aside + "/cgroup.procs").c_str(), "0") || !give(directory)) return false;
    }
    return give(base);
}

}  // namespace

Cgroups find_cgroups(const std::string& mark) {
    Cgroups found;
    auto unified = own_cgroup("");
    auto base = make_base(unified, mark);
    if (!base.empty()) {
        if (access((base + "/cgroup.kill").c_str(), W_OK) == 0) found.kill = base;
        if (pass_on(unified, base, "memory")) found.memory = base;
        if (pass_on(unified, base, "cpu")) found.cpu = base;
    }
    if (found.kill.empty()) found.kill = make_base(own_cgroup("freezer"), mark);
    if (found.memory.empty()) found.memory = make_base(own_cgroup("memory"), mark);
    if (found.cpu.empty()) found.cpu = make_base(own_cgroup("cpu"), mark);
    if (found.kill.empty()) {
        found.weakened.push_back(
            "no cgroup: a service's processes are found by session and environment");
    }
    if (found.memory.empty())
        found.weakened.push_back("no memory cgroup: memory is not limited, OOM kills look foreign");
    if (found.cpu.empty()) found.weakened.push_back("no cpu cgroup: processor time is not limited");
    return found;
}

Joined join_cgroups(const Cgroups& cgroups, const std::string& name,
                    const runtime::ResourceLimits& limits) {
    Joined joined;
    auto join = [&](const std::string& base) {
        if (base.empty()) return std::string();
        auto directory = base + "/" + name;
        for (auto& known : joined.directories) {
            if (known == directory) return directory;
        }
        mkdir(directory.c_str(), 0755);
        if (write_to((directory + "/cgroup.procs").c_str(), "0")) {
            joined.directories.push_back(directory);
            return directory;
        }
        joined.weakened.push_back(fmt::format("cannot join {}: {}", directory, errno_text()));
        rmdir(directory.c_str());
        return std::string();
    };
    auto limit = [&](const std::string& in, const char* v2, const char* v1,
                     const std::string& v2_value, const std::string& v1_value) {
        if (in.empty()) return false;
        return write_to((in + v2).c_str(), v2_value) || write_to((in + v1).c_str(), v1_value);
    };
    join(cgroups.kill);
    auto memory = join(cgroups.memory);
    if (auto most = limits.memory_bytes) {
        auto bytes = std::to_string(*most);
        if (!limit(memory, "/memory.max", "/memory.limit_in_bytes", bytes, bytes)) {
            joined.weakened.push_back("no memory cgroup: its memory is not limited");
        }
    }
    if (limits.cpu) {  // Microseconds of every 100 ms; the kernel takes no less than 1 ms.
        auto quota = std::to_string(std::max(1000L, static_cast<long>(*limits.cpu * 100'000)));
        if (!limit(join(cgroups.cpu), "/cpu.max", "/cpu.cfs_quota_us", quota + " 100000", quota)) {
            joined.weakened.push_back("no cpu cgroup: its processor time is not limited");
        }
    }
    return joined;
}

std::string cgroup_name(runtime::RunId run, const std::string& slot) {
    auto name = fmt::format("{}.{}", run, slot);
    std::ranges::replace(name, '/', ':');
    return name;
}

std::vector<std::string> existing_cgroups(const Cgroups& cgroups, const std::string& name) {
    std::vector<std::string> found;
    for (auto* base : {&cgroups.kill, &cgroups.memory, &cgroups.cpu}) {
        auto directory = *base + "/" + name;
        if (!base->empty() && access(directory.c_str(), F_OK) == 0) found.push_back(directory);
    }
    return found;
}

namespace {

// Calls back with each pid in the group. Does not allocate.
template <class Each>
void for_each_member(const std::string& directory, Each each) {
    char path[4096], text[4096];
    std::snprintf(path, sizeof path, "%s/cgroup.procs", directory.c_str());
    Fd file(open(path, O_RDONLY | O_CLOEXEC));
    int pid = 0;
    for (ssize_t count; file && (count = read(file.get(), text, sizeof text)) > 0;) {
        for (ssize_t i = 0; i < count; ++i) {
            if (text[i] != '\n') {
                pid = pid * 10 + (text[i] - '0');
            } else {
                each(std::exchange(pid, 0));
            }
        }
    }
}

}  // namespace

void kill_cgroups(const std::vector<std::string>& directories) {
    char path[4096];
    for (auto& directory : directories) {
        std::snprintf(path, sizeof path, "%s/cgroup.kill", directory.c_str());
        if (write_to(path, "1")) return;
        // Frozen, nothing forks between the reading and the killing.
        std::snprintf(path, sizeof path, "%s/freezer.state", directory.c_str());
        write_to(path, "FROZEN");
        for_each_member(directory, [](int pid) { ::kill(pid, SIGKILL); });
        write_to(path, "THAWED");
    }
}

std::size_t count_in_cgroups(const std::vector<std::string>& directories) {
    std::size_t count = 0;
    if (!directories.empty()) for_each_member(directories[0], [&](int) { ++count; });
    return count;
}

std::uint64_t oom_kills(const std::vector<std::string>& directories) {
    for (auto& directory : directories) {
        for (auto* file : {"/memory.events", "/memory.oom_control"}) {
            auto text = read_file(directory + file).value_or("");
            auto at = text.find("oom_kill ");
            if (at != std::string::npos) return std::strtoull(text.c_str() + at + 9, nullptr, 10);
        }
    }
    return 0;
}

void remove_cgroups(const std::vector<std::string>& directories) {
    for (auto& directory : directories) rmdir(directory.c_str());
}

}  // namespace holdfast::runtime::process
