// holdfast-keeper: options, then the loop. Written for `up` and for the node, not for people.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <climits>
#include <cstdlib>

#include "base/units.h"
#include "keeper/keeper.h"

namespace holdfast::keeper {

namespace {

constexpr const char* usage =
    "usage: holdfast-keeper --data DIR --node BINARY [--adopt PID] [--resume FD] [--no-cgroup]\n"
    "                       [--node-beat-max DURATION] [--node-start-max DURATION] -- NODE "
    "ARGUMENTS...\n";

Result<int> number(const std::string& text) {
    int value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || *end != 0) return fail(Errc::invalid, text + " is not a number");
    return value;
}

Result<KeeperOptions> parse(std::vector<std::string> words) {
    KeeperOptions options;
    std::size_t i = 1;
    for (; i < words.size() && words[i] != "--"; ++i) {
        auto& flag = words[i];
        if (flag == "--no-cgroup") {
            options.cgroups = false;
            options.own_flags.push_back(flag);
            continue;
        }
        if (i + 1 == words.size()) return fail(Errc::invalid, flag + " needs a value");
        auto& value = words[++i];
        if (flag == "--data") {
            options.data_dir = value;
        } else if (flag == "--node") {
            options.node_binary = value;
        } else if (flag == "--adopt") {
            HF_TRY(options.adopt_node, number(value));
        } else if (flag == "--resume") {
            HF_TRY(options.resume_fd, number(value));
        } else if (flag == "--node-beat-max" || flag == "--node-start-max") {
            HF_TRY(auto duration, parse_duration(value));
            (flag == "--node-beat-max" ? options.node.beat_max : options.node.start_max) = duration;
            options.own_flags.insert(options.own_flags.end(), {flag, value});
        } else {
            return fail(Errc::invalid, "unknown option " + flag);
        }
    }
    if (i < words.size())
        options.node_args.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
    char real[PATH_MAX];
    if (!realpath(options.data_dir.c_str(), real) || options.node_binary.empty()) {
        return fail(Errc::invalid, "--data needs a directory that exists, --node a program");
    }
    options.data_dir = real;
    return options;
}

int keep(std::vector<std::string> words) {
    auto options = parse(std::move(words));
    auto keeper = options ? Keeper::start(*options)
                          : Result<std::unique_ptr<Keeper>>(std::unexpected(options.error()));
    if (!keeper) {
        fmt::print(stderr, "holdfast-keeper: {}\n{}", keeper.error().message, options ? "" : usage);
        return options ? 1 : 2;
    }
    while ((*keeper)->turn()) {
    }
    return 0;
}

}  // namespace

}  // namespace holdfast::keeper

int main(int argc, char** argv) {
    return holdfast::keeper::keep({argv, argv + argc});
}
