// A service as its owner declares it: the parsed and validated form of one TOML file.
//
// parse_spec() (spec_parser.h) makes it, write_spec() (spec_writer.h) prints it with every default
// filled in, and all other rooms work on this form only. Every value here is within the bounds that
// docs/spec.md states for its key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "health/probe_spec.h"
#include "runtime/process.h"

namespace holdfast::service {

using namespace std::chrono_literals;

// Who opens the port that `listen` names.
enum class SocketMode {
    own,      // The one instance itself, at PORT. The default until there is a balancer to open it.
    inherit,  // The keeper; instances accept on its socket (LISTEN_FDS). PORT is set as well.
};

// PATH of an instance whose `env` names none.
inline constexpr std::string_view path_default =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

inline constexpr int instances_most = 1000;

struct ListenSpec {
    enum class Protocol { http, tcp };
    Protocol protocol = Protocol::http;
    std::uint16_t port = 0;
    std::string address = "127.0.0.1";
    SocketMode sockets = SocketMode::own;

    bool operator==(const ListenSpec&) const = default;
};

struct RestartSpec {
    Duration backoff_least = 100ms;
    Duration backoff_most = 30s;
    Duration reset_after = 60s;
    Duration hang_after = 3s;  // Live probe failing, or watchdog silent, this long: restart.

    bool operator==(const RestartSpec&) const = default;
};

struct DeploySpec {
    enum class Strategy { hot, recreate };  // rolling and canary come with the balancer.
    enum class Rollback { automatic, manual };
    Strategy strategy = Strategy::recreate;  // hot is the default where sockets = "inherit".
    Duration watch = 30s;
    Rollback rollback = Rollback::automatic;
    Duration drain = 30s;  // Between SIGTERM and SIGKILL.

    bool operator==(const DeploySpec&) const = default;
};

struct AlertSpec {
    std::vector<std::string> to;  // http(s):// URLs.

    bool operator==(const AlertSpec&) const = default;
};

struct JobSpec {
    enum class When { every, at, once };
    enum class Overlap { skip, queue, replace };
    When when = When::once;
    Duration every = 0s;
    std::string at;  // "03:30" or "03:30:00" UTC, each day.
    int tries = 1;
    Duration backoff_least = 1s;
    Duration backoff_most = 60s;
    Duration timeout = 0s;  // 0: none.
    std::optional<std::string>
        verify_command;  // Through /bin/sh -c; the run counts only if it exits 0.
    Overlap overlap = Overlap::skip;

    bool operator==(const JobSpec&) const = default;
};

struct Spec {
    std::string name;                  // [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 characters.
    std::vector<std::string> command;  // Not empty; only [1] and later may contain ${NAME}.
    int instances = 1;  // 1 to instances_most; 1 for a job, and with SocketMode::own.
    std::vector<std::pair<std::string, std::string>> env;  // In the file's order; no name twice.
    std::string user;                                      // Empty: as Holdfast runs.
    std::string directory = "/";                           // Absolute.
    std::vector<std::string> after;
    runtime::ResourceLimits limits;

    std::optional<ListenSpec> listen;
    health::HealthSpec health;
    RestartSpec restart;
    DeploySpec deploy;
    AlertSpec alert;
    std::optional<JobSpec> job;  // Then there is no `listen`, and of `deploy` only `drain` counts.

    bool operator==(const Spec&) const = default;
};

}  // namespace holdfast::service
