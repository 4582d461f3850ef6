// From a decision to launch to what the keeper is asked for: command, environment, note.
//
// The environment is whole, nothing is inherited from Holdfast's own: PATH, HOME, USER, LOGNAME and
// LANG with sane values, PORT where the spec listens, HOLDFAST_SERVICE, HOLDFAST_INSTANCE,
// HOLDFAST_NODE, HOLDFAST_EPOCH, and then the spec's `env`, which may replace the first five. The
// keeper adds NOTIFY_SOCKET, LISTEN_FDS and their like. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runtime/process.h"
#include "service/instance_action.h"

namespace holdfast::service {

struct Surroundings {
    std::string node = "node";
    std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    std::string home;  // Of services without `user`; empty: "/".
    std::string user;  // The same.
    // The home directory of a user; none: "/".
    std::function<std::optional<std::string>(const std::string& user)> home_of;
};

// Errc::invalid for a ${NAME} that does not exist, which the parser should have refused.
Result<runtime::LaunchSpec> launch_spec(const LaunchRun& launch, const Surroundings& around);

using Environment = std::vector<std::pair<std::string, std::string>>;
Result<Environment> instance_environment(const InstanceId& id, const Spec& spec,
                                         const Surroundings& around);

// What the keeper keeps for us beside a run, so that a later node knows what it is.
struct RunNote {
    VersionNumber version = 0;
    VersionNumber content = 0;
    std::uint64_t serial = 0;

    bool operator==(const RunNote&) const = default;
};
std::string encode_note(const RunNote& note);
std::optional<RunNote> decode_note(std::string_view text);  // None: not one of ours.

}  // namespace holdfast::service
