// Control groups, whichever this machine has: v2, v1, or both side by side; or none.
//
// Found through /proc/self/mountinfo, because where they are mounted differs between machines. Each
// run gets a directory of its own, holdfast-MARK/NAME, in every hierarchy that is of use: the one
// that can kill all of it at once (v2's cgroup.kill, else v1's freezer), and those that limit
// memory and processor time. What is missing is put in words, and nothing depends on having any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/process.h"

namespace holdfast::runtime::process {

struct Cgroups {
    std::string kill;  // Directory holdfast-MARK of the hierarchy; empty: none.
    std::string memory;
    std::string cpu;
    std::vector<std::string> weakened;
};

// The directory of our own group in the hierarchy of v1's `controller`, or of v2 if that is empty;
// empty: there is none.
std::string own_cgroup(const std::string& controller);

// Makes the directories; moves this process into one of its own where v2 demands it to pass
// controllers on.
Cgroups find_cgroups(const std::string& mark);

// A new run's own directories, with its limits, and the calling process in them.
struct Joined {
    std::vector<std::string> directories;
    std::vector<std::string> weakened;
};
Joined join_cgroups(const Cgroups& cgroups, const std::string& name,
                    const runtime::ResourceLimits& limits);

std::string cgroup_name(runtime::RunId run, const std::string& slot);
std::vector<std::string> existing_cgroups(const Cgroups& cgroups, const std::string& name);

// SIGKILL to everything in them; how many processes are still in them. Neither allocates.
void kill_cgroups(const std::vector<std::string>& directories);
std::size_t count_in_cgroups(const std::vector<std::string>& directories);
std::uint64_t oom_kills(const std::vector<std::string>& directories);
void remove_cgroups(const std::vector<std::string>& directories);

}  // namespace holdfast::runtime::process
