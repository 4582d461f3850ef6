#include "service/catalog_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <limits>
#include <utility>

#include "base/units.h"
#include "service/spec_parser.h"
#include "service/spec_writer.h"

namespace holdfast::service {

namespace json = boost::json;

namespace {

constexpr std::string_view versions_root = "services/versions/";
constexpr std::string_view outcomes_root = "services/outcomes/";
constexpr std::int64_t format_known = 1;

constexpr std::string_view running_names[] = {"running", "stopped"};
constexpr std::string_view mode_names[] = {"automatic", "hot", "cold"};
constexpr std::string_view cause_names[] = {"apply", "deploy", "rollback"};
constexpr std::string_view state_names[] = {"rolling", "live", "failed", "rolled_back",
                                            "superseded"};

// Takes an object's fields. After the first that is missing or wrong all others are defaults, and
// error() names it.
class Fields {
  public:
    Fields(std::string_view key, std::string_view text) : key_(key) {
        boost::system::error_code error;
        parsed_ = json::parse(json::string_view(text.data(), text.size()), error);
        if (error || !parsed_.is_object()) {
            wrong("it is no JSON object");
        } else if (auto format = integer("format"); !error_ && format != format_known) {
            wrong(fmt::format("its format is {}; this release knows {}", format, format_known));
        }
    }

    std::string text(std::string_view name) {
        const auto* value = find(name);
        if (value && value->is_string()) return std::string(value->get_string());
        return wrong_type(name, std::string());
    }

    bool flag(std::string_view name) {
        const auto* value = find(name);
        return value && value->is_bool() ? value->get_bool() : wrong_type(name, false);
    }

    std::int64_t integer(std::string_view name) {
        const auto* value = find(name);
        bool fits = value && value->is_int64() && value->get_int64() >= 0;
        return fits ? value->get_int64() : wrong_type(name, std::int64_t{0});
    }

    VersionNumber number(std::string_view name) { return narrow(name, integer(name)); }

    WallTime time(std::string_view name) {
        auto parsed = parse_wall_time(text(name));
        return parsed ? *parsed : wrong_type(name, WallTime());
    }

    bool is_null(std::string_view name) {
        const auto* value = find(name);
        return value && value->is_null();
    }

    std::vector<std::string> texts(std::string_view name) {
        std::vector<std::string> out;
        for (const auto& each : array(name)) {
            if (!each.is_string()) return wrong_type(name, std::vector<std::string>());
            out.emplace_back(each.get_string());
        }
        return out;
    }

    std::vector<VersionNumber> numbers(std::string_view name) {
        std::vector<VersionNumber> out;
        for (const auto& each : array(name)) {
            if (!each.is_int64()) return wrong_type(name, std::vector<VersionNumber>());
            out.push_back(narrow(name, each.get_int64()));
        }
        return out;
    }

    template <class Enum, std::size_t N>
    Enum word(std::string_view name, const std::string_view (&names)[N]) {
        const auto* found = std::ranges::find(names, text(name));
        if (found == std::end(names)) return wrong_type(name, Enum{});
        return static_cast<Enum>(found - std::begin(names));
    }

    void wrong(const std::string& reason) {
        if (!error_) error_ = Error{Errc::corrupt, fmt::format("{} is damaged: {}", key_, reason)};
    }

    template <class T>
    Result<T> give(T value) {
        if (error_) return std::unexpected(*error_);
        return value;
    }

  private:
    const json::value* find(std::string_view name) {
        if (error_) return nullptr;
        return parsed_.get_object().if_contains(json::string_view(name.data(), name.size()));
    }

    const json::array& array(std::string_view name) {
        static const json::array none;
        const auto* value = find(name);
        if (value && value->is_array()) return value->get_array();
        wrong_type(name, 0);
        return none;
    }

    VersionNumber narrow(std::string_view name, std::int64_t wide) {
        bool fits = wide >= 0 && wide <= std::numeric_limits<VersionNumber>::max();
        return fits ? static_cast<VersionNumber>(wide) : wrong_type(name, VersionNumber{0});
    }

    template <class T>
    T wrong_type(std::string_view name, T otherwise) {
        wrong(fmt::format("\"{}\" is missing or not what it should be", name));
        return otherwise;
    }

    std::string key_;
    json::value parsed_;
    std::optional<Error> error_;
};

json::string_view view(std::string_view text) {
    return {text.data(), text.size()};
}

template <class Numbers>
json::array array_of(const Numbers& items) {
    json::array array;
    for (const auto& item : items) array.emplace_back(item);
    return array;
}

std::string eight_digits(VersionNumber number) {
    return fmt::format("{:08}", number);
}

}  // namespace

std::string_view name_of(Running running) {
    return running_names[std::to_underlying(running)];
}
std::string_view name_of(RestartMode mode) {
    return mode_names[std::to_underlying(mode)];
}
std::string_view name_of(Cause cause) {
    return cause_names[std::to_underlying(cause)];
}
std::string_view name_of(OutcomeState state) {
    return state_names[std::to_underlying(state)];
}

std::string head_key(std::string_view service) {
    return std::string(heads_prefix).append(service);
}
std::string versions_prefix(std::string_view service) {
    return fmt::format("{}{}/", versions_root, service);
}
std::string version_key(std::string_view service, VersionNumber number) {
    return versions_prefix(service) + eight_digits(number);
}
std::string outcomes_prefix(std::string_view service) {
    return fmt::format("{}{}/", outcomes_root, service);
}
std::string outcome_key(std::string_view service, VersionNumber number) {
    return outcomes_prefix(service) + eight_digits(number);
}

std::optional<std::string> service_of_head_key(std::string_view key) {
    if (!key.starts_with(heads_prefix)) return std::nullopt;
    auto name = key.substr(heads_prefix.size());
    if (!valid_service_name(name)) return std::nullopt;
    return std::string(name);
}

std::optional<VersionNumber> number_of_key(std::string_view key) {
    auto digits = key.substr(key.rfind('/') + 1);
    bool valid = digits.size() >= 8 && digits.size() <= 10 &&
                 digits.find_first_not_of("0123456789") == std::string_view::npos;
    if (!valid) return std::nullopt;
    auto number = std::stoull(std::string(digits));
    if (number > std::numeric_limits<VersionNumber>::max()) return std::nullopt;
    return static_cast<VersionNumber>(number);
}

std::string encode(const Head& head) {
    json::object fields;
    fields["format"] = format_known;
    fields["deleted"] = head.deleted;
    fields["current"] = head.current;
    fields["last"] = head.last;
    fields["wanted"] = view(name_of(head.wanted));
    fields["instances"] = head.instances ? json::value(*head.instances) : json::value(nullptr);
    fields["restart_serial"] = static_cast<std::int64_t>(head.restart_serial);
    fields["restart_mode"] = view(name_of(head.restart_mode));
    fields["after"] = array_of(head.after);
    fields["kept"] = array_of(head.kept);
    return json::serialize(fields);
}

std::string encode(const Version& version) {
    json::object fields;
    fields["format"] = format_known;
    fields["number"] = version.number;
    fields["text"] = version.text;
    fields["file"] = version.file;
    fields["effective"] = write_spec(version.spec);
    fields["sha256"] = version.sha256;
    fields["made"] = format_wall_time(version.made);
    fields["author"] = version.author;
    fields["cause"] = view(name_of(version.cause));
    fields["restores"] = version.restores;
    return json::serialize(fields);
}

std::string encode(const VersionOutcome& outcome) {
    json::object fields;
    fields["format"] = format_known;
    fields["state"] = view(name_of(outcome.state));
    fields["reason"] = outcome.reason;
    fields["since"] = format_wall_time(outcome.since);
    fields["live"] =
        outcome.live ? json::value(format_wall_time(*outcome.live)) : json::value(nullptr);
    return json::serialize(fields);
}

Result<Head> decode_head(std::string_view key, std::string_view text) {
    Fields fields(key, text);
    Head head;
    head.deleted = fields.flag("deleted");
    head.current = fields.number("current");
    head.last = fields.number("last");
    head.wanted = fields.word<Running>("wanted", running_names);
    if (!fields.is_null("instances")) {
        auto instances = fields.integer("instances");
        if (instances < 1 || instances > instances_most)
            fields.wrong("\"instances\" is impossible");
        head.instances = static_cast<int>(instances);
    }
    head.restart_serial = static_cast<std::uint64_t>(fields.integer("restart_serial"));
    head.restart_mode = fields.word<RestartMode>("restart_mode", mode_names);
    head.after = fields.texts("after");
    head.kept = fields.numbers("kept");
    if (head.current > head.last || (head.current == 0) != head.deleted)
        fields.wrong("\"current\" does not agree with \"last\" and \"deleted\"");
    return fields.give(std::move(head));
}

Result<Version> decode_version(std::string_view key, std::string_view text) {
    Fields fields(key, text);
    Version version;
    version.number = fields.number("number");
    version.text = fields.text("text");
    version.file = fields.text("file");
    auto effective = fields.text("effective");
    version.sha256 = fields.text("sha256");
    version.made = fields.time("made");
    version.author = fields.text("author");
    version.cause = fields.word<Cause>("cause", cause_names);
    version.restores = fields.number("restores");
    if (number_of_key(key) != version.number) fields.wrong("\"number\" is not that of the key");
    auto spec = parse_spec(effective, "\"effective\"");
    if (!spec) {
        fields.wrong(spec.error().message);
    } else {
        version.spec = *std::move(spec);
    }
    return fields.give(std::move(version));
}

Result<VersionOutcome> decode_outcome(std::string_view key, std::string_view text) {
    Fields fields(key, text);
    VersionOutcome outcome;
    outcome.state = fields.word<OutcomeState>("state", state_names);
    outcome.reason = fields.text("reason");
    outcome.since = fields.time("since");
    if (!fields.is_null("live")) outcome.live = fields.time("live");
    return fields.give(std::move(outcome));
}

}  // namespace holdfast::service
