#include "service/spec_parser_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace holdfast::service {

using namespace std::chrono_literals;

namespace {

constexpr DurationRange brief{10ms, 1h};
constexpr DurationRange pause{1ms, 24h};
constexpr DurationRange patience{100ms, 24h};
constexpr DurationRange up_to_a_day{0s, 24h};
constexpr DurationRange period{1s, 24h * 366};
constexpr IntegerRange ports{1, 65535};

template <class T, class Into>
Problem keep(Read<T> read, Into& into) {
    if (!read) return std::move(read).error();
    into = static_cast<Into>(*std::move(read));
    return std::nullopt;
}

template <class T, class Into>
Problem keep_or_none(const TomlValue& value, Read<T> (*read)(const TomlValue&), Into& into) {
    if (is_none(value)) {
        into.reset();
        return std::nullopt;
    }
    return keep(read(value), into);
}

template <class Enum>
struct Word {
    std::string_view word;
    Enum means;
};

// `later` words are right and refused; canary is one that carries a number of its own.
template <class Enum, std::size_t N>
Problem keep_word(const TomlValue& value, const Word<Enum> (&known)[N],
                  std::initializer_list<std::string_view> later, std::string_view key,
                  std::optional<Enum>& into) {
    std::vector<std::string_view> words;
    for (const auto& word : known) words.push_back(word.word);
    words.insert(words.end(), later);
    auto text = read_word(value, words);
    if (!text) return text.error();
    for (const auto& word : known) {
        if (word.word != *text) continue;
        into = word.means;
        return std::nullopt;
    }
    return not_available(fmt::format("{} = {}", key, toml_quoted(*text))).error();
}

Problem read_instances(const TomlValue& value, Draft& draft) {
    constexpr IntegerRange range{1, instances_most};
    const auto* text = value.as<std::string>();
    if (!text) return keep(read_integer(value, range), draft.spec.instances);
    auto middle = text->find("..");
    std::string_view least = std::string_view(*text).substr(0, middle);
    std::string_view most =
        middle == std::string::npos ? "" : std::string_view(*text).substr(middle + 2);
    auto number = [](std::string_view part) {
        bool valid = !part.empty() && part.size() <= 4 &&
                     part.find_first_not_of("0123456789") == std::string_view::npos;
        return valid ? std::stoi(std::string(part)) : 0;
    };
    if (number(least) < 1 || number(most) > instances_most || number(least) >= number(most))
        return expected_instead(
                   fmt::format("a whole number from 1 to {}, or a range such as \"2..10\"",
                               instances_most),
                   value)
            .error();
    return not_available("a range of instances").error();
}

Problem read_command(const TomlValue& value, Draft& draft) {
    const auto* array = value.as<TomlValue::Array>();
    if (!array || array->empty())
        return expected_instead("an array of texts, the program first", value).error();
    std::vector<std::string> command;
    for (const auto& element : *array) {
        const auto* text = element.as<std::string>();
        if (!text || text->contains('\0') || (command.empty() && text->empty()))
            return Refusal{fmt::format("expected a text as an argument, not {}", describe(element)),
                           element.place};
        command.push_back(*text);
    }
    draft.spec.command = std::move(command);
    return std::nullopt;
}

Problem read_after(const TomlValue& value, Draft& draft) {
    const auto* array = value.as<TomlValue::Array>();
    if (!array) return expected_instead("an array of names of services", value).error();
    std::set<std::string> known;
    for (const auto& element : *array) {
        auto name = read_service_name(element);
        if (!name) return Refusal{name.error().reason, element.place};
        if (!known.insert(*name).second)
            return Refusal{fmt::format("\"{}\" is named twice", *name), element.place};
        draft.spec.after.push_back(*std::move(name));
    }
    return std::nullopt;
}

Problem read_listen(const TomlValue& value, Draft& draft, ListenSpec::Protocol protocol) {
    auto& listen = draft.spec.listen;
    if (!listen) listen.emplace();
    listen->protocol = protocol;
    return keep(read_integer(value, ports), listen->port);
}

ListenSpec& listen_of(Draft& draft) {
    if (!draft.spec.listen) draft.spec.listen.emplace();
    return *draft.spec.listen;
}

JobSpec& job_of(Draft& draft) {
    if (!draft.spec.job) draft.spec.job.emplace();
    return *draft.spec.job;
}

Problem read_sockets(const TomlValue& value, Draft& draft) {
    std::optional<SocketMode> mode;
    auto problem =
        keep_word<SocketMode>(value, {{"own", SocketMode::own}, {"inherit", SocketMode::inherit}},
                              {"proxy"}, "listen.sockets", mode);
    if (mode) listen_of(draft).sockets = *mode;
    return problem;
}

Problem read_ready(const TomlValue& value, Draft& draft) {
    const auto* text = value.as<std::string>();
    if (text && *text == "auto") return std::nullopt;
    auto problem = keep(read_probe(value), draft.spec.health.ready);
    if (problem && text) problem->reason += ", or \"auto\"";
    return problem;
}

Problem read_backoff(const TomlValue& value, Duration& least, Duration& most) {
    auto read = read_durations(value, pause);
    if (!read) return read.error();
    std::tie(least, most) = *read;
    return std::nullopt;
}

Problem read_strategy(const TomlValue& value, Draft& draft) {
    using Strategy = DeploySpec::Strategy;
    constexpr std::string_view canary = "canary:";
    const auto* text = value.as<std::string>();
    if (text && text->starts_with(canary)) {
        auto share = read_percent({text->substr(canary.size()), value.place});
        if (share && *share > 0) return not_available("deploy.strategy = \"canary\"").error();
        return expected_instead("\"canary:\" with a percentage, such as \"canary:10%\"", value)
            .error();
    }
    return keep_word<Strategy>(value, {{"hot", Strategy::hot}, {"recreate", Strategy::recreate}},
                               {"rolling"}, "deploy.strategy", draft.strategy);
}

Problem read_rollback(const TomlValue& value, Draft& draft) {
    using Rollback = DeploySpec::Rollback;
    std::optional<Rollback> rollback;
    auto problem =
        keep_word<Rollback>(value, {{"auto", Rollback::automatic}, {"manual", Rollback::manual}},
                            {"auto+data"}, "deploy.rollback", rollback);
    if (rollback) draft.spec.deploy.rollback = *rollback;
    return problem;
}

Problem read_alert_to(const TomlValue& value, Draft& draft) {
    const auto* array = value.as<TomlValue::Array>();
    if (!array) return expected_instead("an array of URLs", value).error();
    std::set<std::string> known;
    for (const auto& element : *array) {
        auto url = read_http_url(element);
        if (!url) return Refusal{url.error().reason, element.place};
        if (!known.insert(*url).second)
            return Refusal{fmt::format("\"{}\" is named twice", *url), element.place};
        draft.spec.alert.to.push_back(*std::move(url));
    }
    return std::nullopt;
}

Problem read_once(const TomlValue& value, Draft& draft) {
    auto once = read_flag(value);
    if (!once || !*once) return expected_instead("true, or no such key", value).error();
    job_of(draft).when = JobSpec::When::once;
    return std::nullopt;
}

Problem read_overlap(const TomlValue& value, Draft& draft) {
    using Overlap = JobSpec::Overlap;
    std::optional<Overlap> overlap;
    auto problem = keep_word<Overlap>(
        value, {{"skip", Overlap::skip}, {"queue", Overlap::queue}, {"replace", Overlap::replace}},
        {}, "job.overlap", overlap);
    if (overlap) job_of(draft).overlap = *overlap;
    return problem;
}

Problem read_job_timeout(const TomlValue& value, Draft& draft) {
    auto& timeout = job_of(draft).timeout;
    if (is_none(value)) {
        timeout = 0s;
        return std::nullopt;
    }
    return keep(read_duration(value, patience), timeout);
}

constexpr SizeRange any_size{0, 1ULL << 60};
constexpr SizeRange memory_size{1 << 20, 1ULL << 60};

constexpr Rule rules[] = {
    {"name", [](const auto& v, Draft& d) { return keep(read_service_name(v), d.spec.name); }},
    {"command", read_command},
    {"instances", read_instances},
    {"env", [](const auto& v, Draft& d) { return keep(read_env(v), d.spec.env); }},
    {"user", [](const auto& v, Draft& d) { return keep(read_user(v), d.spec.user); }},
    {"directory",
     [](const auto& v, Draft& d) { return keep(read_absolute_path(v), d.spec.directory); }},
    {"after", read_after},
    {"limits.memory",
     [](const auto& v, Draft& d) {
         return keep_or_none<std::uint64_t>(
             v, [](const TomlValue& size) { return read_size(size, memory_size); },
             d.spec.limits.memory_bytes);
     }},
    {"limits.cpu",
     [](const auto& v, Draft& d) {
         return keep_or_none<double>(
             v, [](const TomlValue& cores) { return read_number(cores, {0, 4096}); },
             d.spec.limits.cpu);
     }},
    {"limits.files",
     [](const auto& v, Draft& d) {
         return keep_or_none<std::int64_t>(
             v, [](const TomlValue& count) { return read_integer(count, {16, 1 << 30}); },
             d.spec.limits.files);
     }},
    {"limits.core",
     [](const auto& v, Draft& d) {
         return keep_or_none<std::uint64_t>(
             v, [](const TomlValue& size) { return read_size(size, any_size); },
             d.spec.limits.core_bytes);
     }},
    {"listen.http",
     [](const auto& v, Draft& d) { return read_listen(v, d, ListenSpec::Protocol::http); }},
    {"listen.tcp",
     [](const auto& v, Draft& d) { return read_listen(v, d, ListenSpec::Protocol::tcp); }},
    {"listen.address",
     [](const auto& v, Draft& d) { return keep(read_ip_address(v), listen_of(d).address); }},
    {"listen.sockets", read_sockets},
    {"health.ready", read_ready},
    {"health.live",
     [](const auto& v, Draft& d) { return keep_or_none(v, read_probe, d.spec.health.live); }},
    {"health.every",
     [](const auto& v, Draft& d) { return keep(read_duration(v, brief), d.spec.health.every); }},
    {"health.timeout",
     [](const auto& v, Draft& d) { return keep(read_duration(v, brief), d.probe_timeout); }},
    {"health.fall",
     [](const auto& v, Draft& d) { return keep(read_integer(v, {1, 100}), d.spec.health.fall); }},
    {"health.rise",
     [](const auto& v, Draft& d) { return keep(read_integer(v, {1, 100}), d.spec.health.rise); }},
    {"restart.backoff",
     [](const auto& v, Draft& d) {
         return read_backoff(v, d.spec.restart.backoff_least, d.spec.restart.backoff_most);
     }},
    {"restart.reset_after",
     [](const auto& v, Draft& d) {
         return keep(read_duration(v, patience), d.spec.restart.reset_after);
     }},
    {"restart.hang_after",
     [](const auto& v, Draft& d) {
         return keep(read_duration(v, patience), d.spec.restart.hang_after);
     }},
    {"deploy.strategy", read_strategy},
    {"deploy.watch",
     [](const auto& v, Draft& d) {
         return keep(read_duration(v, up_to_a_day), d.spec.deploy.watch);
     }},
    {"deploy.rollback", read_rollback},
    {"deploy.drain",
     [](const auto& v, Draft& d) {
         return keep(read_duration(v, up_to_a_day), d.spec.deploy.drain);
     }},
    {"alert.to", read_alert_to},
    {"job.every",
     [](const auto& v, Draft& d) {
         job_of(d).when = JobSpec::When::every;
         return keep(read_duration(v, period), job_of(d).every);
     }},
    {"job.at",
     [](const auto& v, Draft& d) {
         job_of(d).when = JobSpec::When::at;
         return keep(read_time_of_day(v), job_of(d).at);
     }},
    {"job.once", read_once},
    {"job.tries",
     [](const auto& v, Draft& d) { return keep(read_integer(v, {1, 100}), job_of(d).tries); }},
    {"job.backoff",
     [](const auto& v, Draft& d) {
         return read_backoff(v, job_of(d).backoff_least, job_of(d).backoff_most);
     }},
    {"job.timeout", read_job_timeout},
    {"job.verify",
     [](const auto& v, Draft& d) { return keep_or_none(v, read_exec, job_of(d).verify_command); }},
    {"job.overlap", read_overlap},
};

}  // namespace

std::span<const Rule> available_rules() {
    return rules;
}

}  // namespace holdfast::service
