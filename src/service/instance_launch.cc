#include "service/instance_launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "service/spec_parser.h"

namespace holdfast::service {

namespace json = boost::json;

namespace {

Variables variables_of(const InstanceId& id, const Spec& spec, const Surroundings& around) {
    Variables variables;
    if (spec.listen) variables.emplace_back("PORT", fmt::format("{}", spec.listen->port));
    variables.emplace_back("HOLDFAST_SERVICE", id.service);
    variables.emplace_back("HOLDFAST_INSTANCE", fmt::format("{}", id.index));
    variables.emplace_back("HOLDFAST_NODE", around.node);
    // Rises when a single writer's lease goes to another owner; there are no leases yet.
    variables.emplace_back("HOLDFAST_EPOCH", "0");
    return variables;
}

Environment basics(const Spec& spec, const Surroundings& around) {
    auto user = spec.user.empty() ? around.user : spec.user;
    std::string home = around.home;
    if (!spec.user.empty()) {
        home = around.home_of ? around.home_of(spec.user).value_or("") : std::string();
    }
    if (home.empty()) home = "/";
    Environment env = {{"PATH", around.path}, {"HOME", home}, {"LANG", "C.UTF-8"}};
    if (!user.empty()) {
        env.emplace_back("USER", user);
        env.emplace_back("LOGNAME", user);
    }
    return env;
}

Environment merged(Environment env, const Variables& variables, const Environment& own) {
    auto set = [&env](const std::pair<std::string, std::string>& entry) {
        auto known = std::ranges::find(env, entry.first, &Environment::value_type::first);
        if (known != env.end()) {
            known->second = entry.second;
        } else {
            env.push_back(entry);
        }
    };
    for (const auto& entry : own) set(entry);
    for (const auto& entry : variables) set(entry);
    return env;
}

}  // namespace

Result<Environment> instance_environment(const InstanceId& id, const Spec& spec,
                                         const Surroundings& around) {
    auto variables = variables_of(id, spec, around);
    HF_TRY(auto expanded, expand(spec, variables));
    return merged(basics(spec, around), variables, expanded.env);
}

Result<runtime::LaunchSpec> launch_spec(const LaunchRun& launch, const Surroundings& around) {
    const Spec& spec = launch.release->spec;
    auto variables = variables_of(launch.instance, spec, around);
    HF_TRY(auto expanded, expand(spec, variables));
    runtime::LaunchSpec wanted;
    wanted.run = launch.run;
    wanted.slot = instance_slot(launch.instance);
    wanted.beside = launch.beside;
    wanted.command = std::move(expanded.command);
    wanted.env = merged(basics(spec, around), variables, expanded.env);
    wanted.directory = spec.directory;
    wanted.user = spec.user;
    wanted.limits = spec.limits;
    if (inherits_socket(spec)) wanted.sockets = {socket_name(spec)};
    wanted.notify = true;
    wanted.stop_grace = spec.deploy.drain;
    wanted.watchdog = spec.restart.hang_after;
    wanted.note =
        encode_note({launch.release->version, launch.release->content, launch.release->serial});
    return wanted;
}

std::string encode_note(const RunNote& note) {
    return json::serialize(json::object{{"service_run", 1},
                                        {"version", note.version},
                                        {"content", note.content},
                                        {"serial", note.serial}});
}

std::optional<RunNote> decode_note(std::string_view text) {
    boost::system::error_code error;
    auto parsed = json::parse(text, error);
    if (error || !parsed.is_object()) return std::nullopt;
    const auto& fields = parsed.get_object();
    auto number = [&fields](std::string_view key) -> std::optional<std::uint64_t> {
        const auto* value = fields.if_contains(key);
        if (!value) return std::nullopt;
        boost::system::error_code wrong;
        auto read = value->to_number<std::uint64_t>(wrong);
        if (wrong) return std::nullopt;
        return read;
    };
    auto version = number("version");
    auto content = number("content");
    auto serial = number("serial");
    if (!fields.contains("service_run") || !version || !content || !serial) return std::nullopt;
    return RunNote{static_cast<VersionNumber>(*version), static_cast<VersionNumber>(*content),
                   *serial};
}

}  // namespace holdfast::service
