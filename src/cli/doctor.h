// `holdfast doctor`: whether this machine gives Holdfast what it needs, and what to do where not.
//
// gather() looks, judge() decides; the second is pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "cli/machine_config.h"

namespace holdfast::cli {

// What was found. Nothing where it could not be found out; then `..._error` says why.
struct MachineFacts {
    std::string kernel;  // "6.1.0-25-amd64"
    bool is_root = false;
    std::vector<std::string>
        cgroup_controllers;  // Writable: memory, cpu, pids; "kill" for cgroup.kill.
    std::string data_directory;
    std::string data_error;  // Empty: it can be written.
    std::optional<Duration>
        sync_time;  // Median of a few small synced writes in the data directory.
    std::uint64_t free_bytes = 0;
    std::uint64_t total_bytes = 0;
    std::uint64_t files_max = 0;  // RLIMIT_NOFILE, hard.
    std::string rest;             // "127.0.0.1:7400"
    std::string rest_error;       // Empty: nobody listens there.
    bool holdfast_runs = false;   // A keeper answers in the data directory.
    std::string keeper_error;     // Empty: the keeper's program stands beside this one.
    std::uint64_t memory_bytes = 0;
};

struct Check {
    enum class Verdict { ok, warning, failure };
    std::string name;
    Verdict verdict = Verdict::ok;
    std::string found;
    std::string next;  // What to do; empty when ok.
};

// "ok", "warning", "failure"
std::string_view verdict_name(Check::Verdict verdict);

std::vector<Check> judge(const MachineFacts& facts);

// Writes a few kilobytes into the data directory and removes them; makes the directory if need be.
MachineFacts gather(const MachineConfig& config);

}  // namespace holdfast::cli
