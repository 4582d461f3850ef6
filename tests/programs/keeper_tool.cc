// What the tests ask of a running keeper that no user would: hold the node down, upgrade to a
// broken build.
//     keeper_tool hold DATA MILLISECONDS
//     keeper_tool upgrade DATA NODE_BINARY      the keeper beside it
//     keeper_tool status DATA                   prints a few lines "name value"
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "keeper/control.h"

namespace {

using holdfast::Error;

int refused(const Error& error) {
    fmt::print(stderr, "{}\n", error.message);
    return 1;
}

int hold(const std::string& data, const char* milliseconds) {
    auto held =
        holdfast::keeper::hold_node(data, std::chrono::milliseconds(std::atol(milliseconds)));
    return held ? 0 : refused(held.error());
}

int upgrade(const std::string& data, const std::string& node) {
    holdfast::keeper::Upgrade wanted{
        .node_binary = node,
        .keeper_binary = std::filesystem::path(node).parent_path() / "holdfast-keeper",
        .node_args = {"node"}};
    auto done = holdfast::keeper::upgrade(data, wanted,
                                          [](std::string_view line) { fmt::print("{}\n", line); });
    return done ? 0 : refused(done.error());
}

int status(const std::string& data) {
    auto seen = holdfast::keeper::keeper_status(data);
    if (!seen) return refused(seen.error());
    fmt::print("pid {}\nnode_pid {}\nnode_state {}\nruns_live {}\nruns_over {}\n", seen->pid,
               seen->node_pid, node_state_name(seen->node_state), seen->runs_live, seen->runs_over);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "hold" && argc == 4) return hold(argv[2], argv[3]);
    if (what == "upgrade" && argc == 4) return upgrade(argv[2], argv[3]);
    if (what == "status" && argc == 3) return status(argv[2]);
    fmt::print(stderr, "usage: {} hold DATA MS | upgrade DATA NODE_BINARY | status DATA\n",
               argv[0]);
    return 2;
}
