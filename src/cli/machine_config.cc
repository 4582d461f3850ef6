#include "cli/machine_config.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/nearest.h"
#include "service/spec_parser_toml.h"

namespace holdfast::cli {

namespace {

using service::Place;
using service::TomlValue;

constexpr std::uint16_t port_base_default = 7400;
constexpr std::uint16_t ports_used = 7;  // From the base upwards, as the contract lists them.

enum class KeyState { available, later };

struct Key {
    std::string_view path;
    KeyState state;
};

constexpr std::array keys{
    Key{"name", KeyState::available},
    Key{"data", KeyState::available},
    Key{"port_base", KeyState::available},
    Key{"listen", KeyState::available},
    Key{"listen.rest", KeyState::available},
    Key{"listen.s3", KeyState::later},
    Key{"listen.redis", KeyState::later},
    Key{"listen.dns", KeyState::later},
    Key{"listen.peers", KeyState::later},
    Key{"zone", KeyState::later},
    Key{"weight", KeyState::later},
    Key{"address", KeyState::later},
    Key{"tls", KeyState::later},
    Key{"etcd", KeyState::later},
    Key{"dns", KeyState::later},
    Key{"join", KeyState::later},
    Key{"token", KeyState::later},
};

const Key* find_key(std::string_view path) {
    for (const auto& key : keys)
        if (key.path == path) return &key;
    return nullptr;
}

class FileReader {
  public:
    explicit FileReader(std::string file) : file_(std::move(file)) {}

    void problem(const Place& at, std::string_view reason) {
        problems_.push_back(fmt::format("{}:{}:{}: {}", file_, at.line, at.column, reason));
    }

    void read_table(const TomlValue::Table& table, const std::string& prefix) {
        for (const auto& [name, at, value] : table) {
            std::string path = prefix + name;
            const Key* key = find_key(path);
            if (!key)
                unknown(at, path);
            else if (key->state == KeyState::later)
                problem(at, not_available_yet(path));
            else
                read_value(at, path, value);
        }
    }

    Result<MachineChoices> result() && {
        if (problems_.empty()) return std::move(choices_);
        std::string all;
        for (const auto& line : problems_) all += (all.empty() ? "" : "\n") + line;
        return fail(Errc::invalid, std::move(all));
    }

  private:
    void unknown(const Place& at, const std::string& path) {
        std::vector<std::string_view> known;
        for (const auto& key : keys) known.push_back(key.path);
        auto nearest = nearest_word(path, known);
        problem(at, nearest
                        ? fmt::format("unknown key \"{}\"; did you mean \"{}\"?", path, *nearest)
                        : fmt::format("unknown key \"{}\"", path));
    }

    void read_value(const Place& at, const std::string& path, const TomlValue& value) {
        if (path == "name") choices_.name = text(at, path, value);
        if (path == "data") read_data(at, value);
        if (path == "port_base") read_port_base(at, value);
        if (path == "listen.rest") read_rest(at, value);
        if (path != "listen") return;
        if (const auto* table = value.as<TomlValue::Table>())
            read_table(*table, "listen.");
        else
            problem(at, "\"listen\" is a table: [listen], then rest = \"127.0.0.1:7400\"");
    }

    std::optional<std::string> text(const Place& at, const std::string& path,
                                    const TomlValue& value) {
        if (const auto* words = value.as<std::string>()) return *words;
        problem(at, fmt::format("\"{}\" is a string, such as {} = \"a\"", path, path));
        return std::nullopt;
    }

    void read_data(const Place& at, const TomlValue& value) {
        const auto* list = value.as<TomlValue::Array>();
        if (!list || list->empty() || !list->front().as<std::string>())
            return problem(at, "\"data\" is a list of directories: data = [\"/var/lib/holdfast\"]");
        if (list->size() > 1) return problem(at, not_available_yet("more than one data directory"));
        choices_.data_directory = *list->front().as<std::string>();
    }

    void read_port_base(const Place& at, const TomlValue& value) {
        const auto* number = value.as<std::int64_t>();
        if (!number || *number < 1 || *number > 65535 - (ports_used - 1))
            return problem(at, "\"port_base\" is a number from 1 to 65529, such as 7400");
        choices_.port_base = static_cast<std::uint16_t>(*number);
    }

    void read_rest(const Place& at, const TomlValue& value) {
        auto written = text(at, "listen.rest", value);
        if (!written) return;
        auto endpoint = runtime::parse_endpoint(*written);
        if (endpoint)
            choices_.rest = *endpoint;
        else
            problem(at, endpoint.error().message);
    }

    std::string file_;
    MachineChoices choices_;
    std::vector<std::string> problems_;
};

std::string home_directory() {
    if (const char* home = std::getenv("HOME"); home && *home) return home;
    const passwd* entry = getpwuid(geteuid());
    return entry ? entry->pw_dir : "/";
}

Result<MachineDefaults> machine_defaults() {
    std::array<char, 256> host{};
    if (gethostname(host.data(), host.size() - 1) != 0) std::strcpy(host.data(), "localhost");
    std::error_code error;
    auto working_directory = std::filesystem::current_path(error);
    if (error) return fail(Errc::invalid, "the current directory is gone: cd to one that exists");
    return MachineDefaults{.host_name = host.data(),
                           .data_directory = geteuid() == 0
                                                 ? "/var/lib/holdfast"
                                                 : home_directory() + "/.local/share/holdfast",
                           .working_directory = working_directory.string()};
}

bool is_loopback(std::string_view address) {
    return address == "::1" || address.starts_with("127.");
}

// Names go into log lines, labels and variables.
bool valid_name(std::string_view name) {
    constexpr std::size_t name_bytes_max = 63;
    bool plain = name.find_first_not_of(
                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789-._") == std::string_view::npos;
    return plain && !name.empty() && name.size() <= name_bytes_max;
}

}  // namespace

std::string not_available_yet(std::string_view what) {
    return fmt::format("\"{}\" is not available yet: this version of Holdfast runs one machine",
                       what);
}

Result<MachineChoices> parse_machine_file(std::string_view text, const std::string& file) {
    FileReader reader(file);
    if (auto table = service::parse_toml(text))
        reader.read_table(*table, "");
    else
        reader.problem({table.error().line, table.error().column}, table.error().reason);
    return std::move(reader).result();
}

Result<MachineConfig> settle(const MachineChoices& flags, const MachineChoices& file,
                             const MachineDefaults& defaults) {
    MachineConfig config;
    config.name = flags.name.value_or(file.name.value_or(defaults.host_name));
    if (!valid_name(config.name))
        return fail(Errc::invalid,
                    fmt::format("\"{}\" is not a machine name: use letters, digits, '-', '.' and "
                                "'_', at most 63 of them (--name a)",
                                config.name));
    auto port_base = flags.port_base.value_or(file.port_base.value_or(port_base_default));
    config.rest = file.rest.value_or(runtime::Endpoint{"127.0.0.1", port_base});
    if (flags.port_base) config.rest.port = *flags.port_base;
    if (!is_loopback(config.rest.address))
        return fail(Errc::invalid,
                    fmt::format("listen.rest = \"{}\": {}; use a loopback address, such as "
                                "127.0.0.1, and reach it from elsewhere over SSH",
                                runtime::format_endpoint(config.rest),
                                "other addresses need TLS, which is not available yet"));
    std::filesystem::path directory =
        flags.data_directory.value_or(file.data_directory.value_or(defaults.data_directory));
    if (directory.empty()) return fail(Errc::invalid, "the data directory's name is empty");
    config.data_directory =
        (std::filesystem::path(defaults.working_directory) / directory).lexically_normal().string();
    return config;
}

Result<MachineConfig> load_machine_config(const std::optional<std::string>& file,
                                          const MachineChoices& flags) {
    std::string path = file.value_or("/etc/holdfast/holdfast.toml");
    MachineChoices chosen;
    std::ifstream stream(path);
    if (stream) {
        std::stringstream text;
        text << stream.rdbuf();
        HF_TRY(chosen, parse_machine_file(text.str(), path));
    } else if (file || errno != ENOENT) {
        return fail(Errc::invalid, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    }
    HF_TRY(auto defaults, machine_defaults());
    return settle(flags, chosen, defaults);
}

}  // namespace holdfast::cli
