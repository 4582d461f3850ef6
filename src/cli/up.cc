#include "cli/up.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/version.h"
#include "keeper/build_id.h"
#include "keeper/control.h"

namespace holdfast::cli {

namespace {

// Only we and root may look into it: it holds keys, and sockets that start programs.
Result<void> make_data_directory(const std::string& path) {
    std::error_code error;
    bool made = std::filesystem::create_directories(path, error);
    if (error)
        return fail(Errc::invalid, fmt::format("cannot make the data directory {}: {}; choose "
                                               "another with --data DIR",
                                               path, error.message()));
    if (made) std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
    if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0)
        return fail(Errc::denied,
                    fmt::format("cannot use the data directory {}: {}; choose another with --data "
                                "DIR, or run as its owner",
                                path, std::strerror(errno)));
    return {};
}

// What a keeper that runs already is told, and the user with it.
Result<int> renew(const MachineConfig& config, const Programs& programs,
                  const keeper::KeeperStatus& running) {
    bool same_node = running.node_build_id == keeper::own_build_id();
    bool same_keeper = running.build_id == keeper::build_id_of(programs.keeper);
    if (same_node && same_keeper) {
        fmt::print(
            "Holdfast already runs on {} (pid {}), with this very build: nothing to do.\n"
            "See it with `holdfast status`; stop it with `kill {}`.\n",
            config.data_directory, running.pid, running.pid);
        return 0;
    }
    fmt::print("Holdfast runs on {} (pid {}) with another build: handing over to {}.\n",
               config.data_directory, running.pid, version_line());
    keeper::Upgrade upgrade{.node_binary = programs.node,
                            .keeper_binary = programs.keeper,
                            .node_args = node_arguments(config, programs)};
    HF_TRY_VOID(keeper::upgrade(config.data_directory, upgrade, [](std::string_view line) {
        fmt::print("  {}\n", line);
        std::fflush(stdout);
    }));
    fmt::print("Done. Services kept running; the keeper is still pid {}.\n", running.pid);
    return 0;
}

Result<int> become_keeper(const MachineConfig& config, const Programs& programs) {
    fmt::print(
        "{}\n"
        "  machine   {} (one machine: no redundancy)\n"
        "  data      {}\n"
        "  REST      http://{}   status: holdfast status\n"
        "  stop      Ctrl-C stops the services and then Holdfast; a second one at once\n",
        version_line(), config.name, config.data_directory, runtime::format_endpoint(config.rest));
    std::fflush(stdout);
    auto command = keeper::keeper_command(programs.keeper, config.data_directory, programs.node,
                                          node_arguments(config, programs));
    std::vector<char*> arguments;
    for (auto& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    ::execv(programs.keeper.c_str(), arguments.data());
    return fail(Errc::invalid, fmt::format("cannot run {}: {}; install holdfast-keeper beside "
                                           "holdfast",
                                           programs.keeper, std::strerror(errno)));
}

}  // namespace

Result<Programs> find_programs() {
    std::error_code error;
    auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) return fail(Errc::invalid, "cannot read /proc/self/exe: is /proc mounted?");
    auto keeper = self.parent_path() / "holdfast-keeper";
    if (::access(keeper.c_str(), X_OK) != 0)
        return fail(Errc::invalid, fmt::format("{}: {}; install holdfast-keeper beside holdfast",
                                               keeper.string(), std::strerror(errno)));
    return Programs{.node = self.string(), .keeper = keeper.string()};
}

std::vector<std::string> node_arguments(const MachineConfig& config, const Programs& programs) {
    return {"node",
            "--name",
            config.name,
            "--data",
            config.data_directory,
            "--rest",
            runtime::format_endpoint(config.rest),
            "--keeper",
            programs.keeper};
}

Result<int> run_up(const MachineConfig& config) {
    HF_TRY(auto programs, find_programs());
    HF_TRY_VOID(make_data_directory(config.data_directory));
    auto running = keeper::keeper_status(config.data_directory);
    if (running) return renew(config, programs, *running);
    if (running.error().code != Errc::not_found) return std::unexpected(running.error());
    return become_keeper(config, programs);
}

}  // namespace holdfast::cli
