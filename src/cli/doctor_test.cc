#include "cli/doctor.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

MachineFacts healthy() {
    return {.kernel = "6.1.0-25-amd64",
            .is_root = true,
            .cgroup_controllers = {"memory", "cpu", "pids", "kill"},
            .data_directory = "/var/lib/holdfast",
            .data_error = {},
            .sync_time = 2ms,
            .free_bytes = 50ULL << 30,
            .total_bytes = 100ULL << 30,
            .files_max = 65536,
            .rest = "127.0.0.1:7400",
            .rest_error = {},
            .holdfast_runs = false,
            .keeper_error = {},
            .memory_bytes = 4ULL << 30};
}

Check check_named(const MachineFacts& facts, std::string_view name) {
    for (auto& check : judge(facts))
        if (check.name == name) return check;
    ADD_FAILURE() << "no check named " << name;
    return {};
}

TEST(Doctor, FindsNothingWrongWithAHealthyMachine) {
    for (const auto& check : judge(healthy())) {
        EXPECT_EQ(check.verdict, Check::Verdict::ok) << check.name;
        EXPECT_TRUE(check.next.empty()) << check.name;
        EXPECT_FALSE(check.found.empty()) << check.name;
    }
}

TEST(Doctor, SaysWhatToDoAboutEachFault) {
    using Verdict = Check::Verdict;
    struct Case {
        const char* check;
        Verdict verdict;
        void (*spoil)(MachineFacts&);
    };
    for (auto [name, verdict, spoil] :
         {Case{"kernel", Verdict::failure, [](MachineFacts& f) { f.kernel = "4.19.0"; }},
          Case{"kernel", Verdict::failure, [](MachineFacts& f) { f.kernel = "5.9.1"; }},
          Case{"cgroups", Verdict::warning, [](MachineFacts& f) { f.cgroup_controllers = {}; }},
          Case{"memory", Verdict::warning, [](MachineFacts& f) { f.memory_bytes = 1 << 20; }},
          Case{"open files", Verdict::warning, [](MachineFacts& f) { f.files_max = 1024; }},
          Case{"keeper", Verdict::failure, [](MachineFacts& f) { f.keeper_error = "missing"; }},
          Case{"data directory", Verdict::failure,
               [](MachineFacts& f) { f.data_error = "Permission denied"; }},
          Case{"disk space", Verdict::warning, [](MachineFacts& f) { f.free_bytes = 1 << 20; }},
          Case{"disk sync", Verdict::warning, [](MachineFacts& f) { f.sync_time = 80ms; }},
          Case{"disk sync", Verdict::warning, [](MachineFacts& f) { f.sync_time = {}; }},
          Case{"REST port", Verdict::failure,
               [](MachineFacts& f) { f.rest_error = "Address already in use"; }}}) {
        auto facts = healthy();
        spoil(facts);
        auto check = check_named(facts, name);
        EXPECT_EQ(check.verdict, verdict) << name;
        EXPECT_FALSE(check.next.empty()) << name;
    }
}

TEST(Doctor, DoesNotCallItsOwnPortTaken) {
    auto facts = healthy();
    facts.rest_error = "Address already in use";
    facts.holdfast_runs = true;
    EXPECT_EQ(check_named(facts, "REST port").verdict, Check::Verdict::ok);
}

}  // namespace
}  // namespace holdfast::cli
