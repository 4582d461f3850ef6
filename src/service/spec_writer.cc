#include "service/spec_writer.h"

#include <fmt/format.h>

#include "base/units.h"
#include "service/spec_parser_toml.h"

namespace holdfast::service {

namespace {

struct Field {
    std::string table;  // Empty: the top level.
    std::string key;
    std::string value;
};

std::string quoted(Duration duration) {
    return toml_quoted(format_duration(duration));
}

std::string quoted_range(Duration least, Duration most) {
    return toml_quoted(format_duration(least) + ".." + format_duration(most));
}

// Exact, unlike format_size(): in the largest binary unit that divides it.
std::string quoted_size(std::uint64_t bytes) {
    constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < std::size(units)) {
        bytes /= 1024;
        ++unit;
    }
    return toml_quoted(fmt::format("{}{}", bytes, units[unit]));
}

std::string array_of(const std::vector<std::string>& texts) {
    std::string array = "[";
    for (const auto& text : texts) {
        if (array.size() > 1) array += ", ";
        array += toml_quoted(text);
    }
    return array + ']';
}

std::string number(double value) {
    // Shortest text that reads back as the same number; TOML wants a dot in it.
    auto text = fmt::format("{}", value);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
}

std::string probe_text(const std::optional<health::ProbeSpec>& probe, std::string_view none) {
    using Kind = health::ProbeSpec::Kind;
    if (!probe) return toml_quoted(none);
    switch (probe->kind) {
        case Kind::tcp:
            return toml_quoted("tcp");
        case Kind::grpc:
            return toml_quoted("grpc");
        case Kind::http:
            return toml_quoted("http:" + probe->path);
        case Kind::exec:
            return toml_quoted("exec:" + probe->command);
    }
    return {};
}

template <class T, class Write>
std::string or_none(const std::optional<T>& value, Write write) {
    return value ? write(*value) : toml_quoted("none");
}

class Writer {
  public:
    explicit Writer(const Spec& spec) : spec_(spec) {}

    std::vector<Field> run() {
        add("", "name", toml_quoted(spec_.name));
        add("", "command", array_of(spec_.command));
        if (!spec_.job) add("", "instances", std::to_string(spec_.instances));
        if (!spec_.user.empty()) add("", "user", toml_quoted(spec_.user));
        add("", "directory", toml_quoted(spec_.directory));
        add("", "after", array_of(spec_.after));
        for (const auto& [name, value] : spec_.env) add("env", toml_key(name), toml_quoted(value));
        limits();
        if (spec_.job) {
            job(*spec_.job);
        } else {
            server();
        }
        add("deploy", "drain", quoted(spec_.deploy.drain));
        add("alert", "to", array_of(spec_.alert.to));
        return std::move(fields_);
    }

  private:
    void add(std::string_view table, std::string_view key, std::string value) {
        fields_.push_back({std::string(table), std::string(key), std::move(value)});
    }

    void limits() {
        const auto& limits = spec_.limits;
        add("limits", "memory", or_none(limits.memory_bytes, quoted_size));
        add("limits", "cpu", or_none(limits.cpu, number));
        add("limits", "files",
            or_none(limits.files, [](std::uint64_t count) { return std::to_string(count); }));
        add("limits", "core", or_none(limits.core_bytes, quoted_size));
    }

    void server() {
        if (const auto& listen = spec_.listen) {
            bool http = listen->protocol == ListenSpec::Protocol::http;
            bool own = listen->sockets == SocketMode::own;
            add("listen", http ? "http" : "tcp", std::to_string(listen->port));
            add("listen", "address", toml_quoted(listen->address));
            add("listen", "sockets", toml_quoted(own ? "own" : "inherit"));
        }
        add("health", "ready", probe_text(spec_.health.ready, "auto"));
        add("health", "live", probe_text(spec_.health.live, "none"));
        add("health", "every", quoted(spec_.health.every));
        add("health", "timeout", quoted(spec_.health.timeout));
        add("health", "fall", std::to_string(spec_.health.fall));
        add("health", "rise", std::to_string(spec_.health.rise));
        const auto& restart = spec_.restart;
        add("restart", "backoff", quoted_range(restart.backoff_least, restart.backoff_most));
        add("restart", "reset_after", quoted(restart.reset_after));
        add("restart", "hang_after", quoted(restart.hang_after));
        const auto& deploy = spec_.deploy;
        bool hot = deploy.strategy == DeploySpec::Strategy::hot;
        bool automatic = deploy.rollback == DeploySpec::Rollback::automatic;
        add("deploy", "strategy", toml_quoted(hot ? "hot" : "recreate"));
        add("deploy", "watch", quoted(deploy.watch));
        add("deploy", "rollback", toml_quoted(automatic ? "auto" : "manual"));
    }

    void job(const JobSpec& job) {
        switch (job.when) {
            case JobSpec::When::every:
                add("job", "every", quoted(job.every));
                break;
            case JobSpec::When::at:
                add("job", "at", toml_quoted(job.at));
                break;
            case JobSpec::When::once:
                add("job", "once", "true");
                break;
        }
        constexpr std::string_view overlaps[] = {"skip", "queue", "replace"};
        add("job", "tries", std::to_string(job.tries));
        add("job", "backoff", quoted_range(job.backoff_least, job.backoff_most));
        add("job", "timeout",
            job.timeout == Duration::zero() ? toml_quoted("none") : quoted(job.timeout));
        add("job", "verify", or_none(job.verify_command, [](const std::string& command) {
                return toml_quoted("exec:" + command);
            }));
        add("job", "overlap", toml_quoted(overlaps[static_cast<std::size_t>(job.overlap)]));
    }

    const Spec& spec_;
    std::vector<Field> fields_;
};

}  // namespace

std::string write_spec(const Spec& spec) {
    std::string text;
    if (spec.user.empty()) text += "# user is not set: the service runs as Holdfast does.\n";
    std::string table;
    for (const auto& field : Writer(spec).run()) {
        if (field.table != table) {
            table = field.table;
            text += fmt::format("\n[{}]\n", table);
        }
        text += fmt::format("{} = {}\n", field.key, field.value);
    }
    return text;
}

std::vector<std::pair<std::string, std::string>> spec_fields(const Spec& spec) {
    std::vector<std::pair<std::string, std::string>> fields;
    for (auto& field : Writer(spec).run())
        fields.emplace_back(field.table.empty() ? field.key : field.table + '.' + field.key,
                            std::move(field.value));
    return fields;
}

}  // namespace holdfast::service
