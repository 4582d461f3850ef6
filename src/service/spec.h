// A service as its owner declares it: the parsed and validated form of one TOML file.
//
// parse_spec() (spec_parser.h) makes it, write_spec() prints it with every default filled in, and all
// other rooms work on this form only. Every value here is within its stated bounds.
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

enum class SocketMode { proxy, inherit };

struct ListenSpec {
    enum class Protocol { http, tcp };
    Protocol protocol = Protocol::http;
    std::uint16_t port = 0;
    std::string address = "127.0.0.1";
    SocketMode sockets = SocketMode::inherit;  // `proxy` is refused until the balancer is there.

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
    std::optional<std::string> verify_command;  // Through /bin/sh -c; the run counts only if it exits 0.
    Overlap overlap = Overlap::skip;

    bool operator==(const JobSpec&) const = default;
};

struct Spec {
    std::string name;  // [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 characters.
    std::vector<std::string> command;
    int instances = 1;
    std::vector<std::pair<std::string, std::string>> env;  // In the file's order.
    std::string user;       // Empty: as Holdfast runs.
    std::string directory;  // Empty: "/".
    std::vector<std::string> after;
    runtime::ResourceLimits limits;

    std::optional<ListenSpec> listen;
    health::HealthSpec health;
    RestartSpec restart;
    DeploySpec deploy;
    AlertSpec alert;
    std::optional<JobSpec> job;

    bool operator==(const Spec&) const = default;
};

}  // namespace holdfast::service
