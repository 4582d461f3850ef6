#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/units.h"
#include "service/spec_parser_rules.h"

namespace holdfast::service {

namespace {

constexpr std::array<std::string_view, 4> instance_variables = {
    "HOLDFAST_SERVICE", "HOLDFAST_INSTANCE", "HOLDFAST_NODE", "HOLDFAST_EPOCH"};

// Collects what does not fit together, each at the place of the key that has to change.
class Checker {
  public:
    explicit Checker(Draft& draft) : draft_(draft), spec_(draft.spec) {}

    Diagnostics run() {
        check_required();
        check_listen();
        check_health();
        check_deploy();
        check_job();
        check_after();
        check_env();
        check_expansion();
        return std::move(found_);
    }

  private:
    void complain(std::string_view key, std::string reason) {
        auto place = draft_.places.find(key);
        Place at = place == draft_.places.end() ? Place{} : place->second;
        found_.push_back({at.line, at.column, std::string(key), std::move(reason)});
    }

    void check_required() {
        if (!draft_.names("name"))
            complain("name", "\"name\" is missing; for example name = \"shop\"");
        if (!draft_.names("command"))
            complain("command",
                     "\"command\" is missing; for example command = [\"/opt/shop/bin/shop\"]");
    }

    void check_listen() {
        bool http = draft_.names("listen.http");
        bool tcp = draft_.names("listen.tcp");
        if (http && tcp)
            complain("listen.tcp", "a service has one port: give \"http\" or \"tcp\", not both");
        if (draft_.names("listen") && !http && !tcp)
            complain("listen", "\"listen\" needs a port; for example listen = { http = 8080 }");
        if (spec_.job) return;
        if (auto fits = check_instances(spec_, spec_.instances); !fits)
            complain("instances", fits.error().message);
    }

    void check_health() {
        auto& health = spec_.health;
        health.timeout =
            draft_.probe_timeout.value_or(std::min<Duration>(health.timeout, health.every));
        if (health.timeout > health.every)
            complain("health.timeout",
                     fmt::format("a probe may take {} and the next is due after {}; make "
                                 "health.timeout at most health.every",
                                 format_duration(health.timeout), format_duration(health.every)));
        if (draft_.names("listen")) return;
        auto needs_port = [&](std::string_view key, const std::optional<health::ProbeSpec>& probe) {
            if (probe && probe->kind != health::ProbeSpec::Kind::exec)
                complain(key,
                         "this probe needs a port, and the service has no \"listen\"; "
                         "\"exec:COMMAND\" needs none");
        };
        needs_port("health.ready", health.ready);
        needs_port("health.live", health.live);
    }

    void check_deploy() {
        using Strategy = DeploySpec::Strategy;
        bool inherits = spec_.listen && spec_.listen->sockets == SocketMode::inherit;
        spec_.deploy.strategy =
            draft_.strategy.value_or(inherits ? Strategy::hot : Strategy::recreate);
        if (spec_.deploy.strategy == Strategy::hot && !inherits)
            complain("deploy.strategy",
                     "\"hot\" needs a socket that old and new instance share: listen.sockets = "
                     "\"inherit\"");
    }

    void check_job() {
        if (!draft_.names("job")) return;
        int times = 0;
        for (std::string_view key : {"job.every", "job.at", "job.once"}) times += draft_.names(key);
        if (times != 1)
            complain("job", times == 0 ? "\"job\" needs one of \"every\", \"at\", \"once\"; for "
                                         "example every = \"1h\""
                                       : "\"job\" takes only one of \"every\", \"at\", \"once\"");
        for (std::string_view key :
             {"listen", "health", "restart", "deploy.strategy", "deploy.watch", "deploy.rollback"})
            if (draft_.names(key))
                complain(key, fmt::format("a job has no \"{}\": it runs and ends", key));
        if (spec_.instances > 1) complain("instances", "a job has one instance");
    }

    void check_after() {
        if (std::ranges::find(spec_.after, spec_.name) != spec_.after.end())
            complain("after", fmt::format("\"{}\" cannot come after itself", spec_.name));
    }

    void check_env() {
        for (const auto& [name, value] : spec_.env) {
            bool ours = name.starts_with("HOLDFAST_") || name.starts_with("LISTEN_") ||
                        name == "NOTIFY_SOCKET" || name.starts_with("WATCHDOG_") ||
                        (name == "PORT" && draft_.names("listen"));
            if (ours) complain("env." + name, fmt::format("{} is set by Holdfast", name));
        }
    }

    // That every name is known is seen here, not when the service is about to start.
    void check_expansion() {
        Variables variables;
        for (auto name : instance_variables) variables.emplace_back(name, "");
        if (draft_.names("listen")) variables.emplace_back("PORT", "");
        auto with_env = variables;
        for (const auto& [name, value] : spec_.env) {
            with_env.emplace_back(name, "");
            if (auto expanded = expand(value, variables); !expanded)
                complain("env." + name, expanded.error().message);
        }
        for (std::size_t i = 0; i < spec_.command.size(); ++i) {
            const auto& argument = spec_.command[i];
            if (i == 0 && argument.contains("${")) {
                complain("command",
                         "the program is the same for every instance: no \"${NAME}\" in "
                         "the first element");
            } else if (auto expanded = expand(argument, with_env); i > 0 && !expanded) {
                complain("command", expanded.error().message);
            }
        }
    }

    Draft& draft_;
    Spec& spec_;
    Diagnostics found_;
};

}  // namespace

Result<void> check_instances(const Spec& spec, int instances) {
    if (instances < 1 || instances > instances_most)
        return fail(Errc::invalid,
                    fmt::format("{} instances: expected 1 to {}; `holdfast stop {}` ends them all",
                                instances, instances_most, spec.name));
    if (instances == 1) return {};
    if (spec.job) return fail(Errc::invalid, "a job has one instance");
    if (spec.listen && spec.listen->sockets == SocketMode::own)
        return fail(Errc::invalid,
                    fmt::format("{} instances cannot all open port {}: let them accept on one "
                                "socket with listen.sockets = \"inherit\"",
                                instances, spec.listen->port));
    return {};
}

Diagnostics check_draft(Draft& draft) {
    return Checker(draft).run();
}

}  // namespace holdfast::service
