#include "service/spec_parser_read.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/nearest.h"
#include "base/units.h"

namespace holdfast::service {

namespace {

constexpr std::string_view digits = "0123456789";
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool only(std::string_view text, std::string_view a, std::string_view b, std::string_view c = "") {
    return std::ranges::all_of(
        text, [&](char ch) { return a.contains(ch) || b.contains(ch) || c.contains(ch); });
}

std::unexpected<Refusal> refuse(std::string reason) {
    return std::unexpected(Refusal{std::move(reason), {}});
}

std::string range_text(DurationRange range) {
    return fmt::format("a duration from {} to {}", format_duration(range.least),
                       format_duration(range.most));
}

Read<Duration> duration_in(std::string_view text, DurationRange range) {
    auto parsed = parse_duration(text);
    if (!parsed) return refuse(parsed.error().message);
    if (*parsed < range.least || *parsed > range.most)
        return refuse(fmt::format("expected {}, not {}", range_text(range), toml_quoted(text)));
    return *parsed;
}

bool is_ip(const std::string& text, int family) {
    unsigned char address[sizeof(in6_addr)];
    return inet_pton(family, text.c_str(), address) == 1;
}

}  // namespace

std::unexpected<Refusal> expected_instead(std::string_view what, const TomlValue& value) {
    return refuse(fmt::format("expected {}, not {}", what, describe(value)));
}

std::unexpected<Refusal> not_available(std::string_view what) {
    return refuse(fmt::format("{} is not available yet", what));
}

Read<std::string> read_text(const TomlValue& value, std::string_view what) {
    const auto* text = value.as<std::string>();
    if (!text || text->empty()) return expected_instead(what, value);
    if (text->contains('\0'))
        return refuse(fmt::format("expected {} without NUL characters", what));
    return *text;
}

Read<std::vector<std::string>> read_texts(const TomlValue& value, std::string_view what) {
    const auto* array = value.as<TomlValue::Array>();
    if (!array) return expected_instead(fmt::format("an array, each element {}", what), value);
    std::vector<std::string> texts;
    for (const auto& element : *array) {
        auto text = read_text(element, what);
        if (!text) {
            text.error().place = element.place;
            return std::unexpected(text.error());
        }
        texts.push_back(*std::move(text));
    }
    return texts;
}

Read<std::int64_t> read_integer(const TomlValue& value, IntegerRange range) {
    const auto* integer = value.as<std::int64_t>();
    if (!integer || *integer < range.least || *integer > range.most)
        return expected_instead(
            fmt::format("a whole number from {} to {}", range.least, range.most), value);
    return *integer;
}

Read<double> read_number(const TomlValue& value, NumberRange range) {
    double number = std::nan("");
    if (const auto* exact = value.as<double>()) number = *exact;
    if (const auto* whole = value.as<std::int64_t>()) number = static_cast<double>(*whole);
    bool inside = number > range.above && number <= range.most;  // False of not-a-number.
    if (!inside)
        return expected_instead(
            fmt::format("a number above {}, at most {}", range.above, range.most), value);
    return number;
}

Read<bool> read_flag(const TomlValue& value) {
    const auto* flag = value.as<bool>();
    if (!flag) return expected_instead("true or false", value);
    return *flag;
}

Read<Duration> read_duration(const TomlValue& value, DurationRange range) {
    const auto* text = value.as<std::string>();
    if (!text)
        return expected_instead(range_text(range) + " as a text with its unit, such as \"30s\"",
                                value);
    return duration_in(*text, range);
}

Read<std::pair<Duration, Duration>> read_durations(const TomlValue& value, DurationRange range) {
    constexpr std::string_view what = "two durations, the lesser first, such as \"100ms..30s\"";
    const auto* text = value.as<std::string>();
    if (!text) return expected_instead(what, value);
    auto middle = text->find("..");
    if (middle == std::string::npos) return expected_instead(what, value);
    auto least = duration_in(std::string_view(*text).substr(0, middle), range);
    if (!least) return std::unexpected(least.error());
    auto most = duration_in(std::string_view(*text).substr(middle + 2), range);
    if (!most) return std::unexpected(most.error());
    if (*least > *most) return expected_instead(what, value);
    return std::pair(*least, *most);
}

Read<std::uint64_t> read_size(const TomlValue& value, SizeRange range) {
    const auto* text = value.as<std::string>();
    auto what = [&] {
        return fmt::format("a size from {} to {} as a text with its unit, such as \"512MiB\"",
                           format_size(range.least), format_size(range.most));
    };
    if (!text) return expected_instead(what(), value);
    if (*text == "0" && range.least == 0) return 0;
    auto parsed = parse_size(*text);
    if (!parsed) return refuse(parsed.error().message);
    if (*parsed < range.least || *parsed > range.most) return expected_instead(what(), value);
    return *parsed;
}

Read<double> read_percent(const TomlValue& value) {
    constexpr std::string_view what = "a percentage from \"0%\" to \"100%\"";
    const auto* text = value.as<std::string>();
    if (!text || !text->ends_with('%') || text->size() < 2 || text->size() > 4)
        return expected_instead(what, value);
    auto number = std::string_view(*text).substr(0, text->size() - 1);
    if (!only(number, digits, "")) return expected_instead(what, value);
    int percent = std::stoi(std::string(number));
    if (percent > 100) return expected_instead(what, value);
    return percent / 100.0;
}

Read<std::string> read_word(const TomlValue& value, std::span<const std::string_view> words) {
    const auto* text = value.as<std::string>();
    if (text && std::ranges::find(words, *text) != words.end()) return *text;
    auto what = fmt::format("one of \"{}\"", fmt::join(words, "\", \""));
    auto refusal = expected_instead(what, value);
    auto nearest = text ? nearest_word(*text, words) : std::nullopt;
    if (nearest) refusal.error().reason += fmt::format("; did you mean \"{}\"?", *nearest);
    return refusal;
}

bool is_none(const TomlValue& value) {
    const auto* text = value.as<std::string>();
    return text && *text == "none";
}

Read<std::string> read_service_name(const TomlValue& value) {
    const auto* text = value.as<std::string>();
    if (!text || !valid_service_name(*text))
        return expected_instead(
            "a name of lower-case letters, digits and inner hyphens, at most 63 characters", value);
    return *text;
}

Read<std::string> read_absolute_path(const TomlValue& value) {
    auto text = read_text(value, "an absolute path");
    if (text && !text->starts_with('/')) return expected_instead("an absolute path", value);
    return text;
}

Read<std::string> read_user(const TomlValue& value) {
    constexpr std::string_view what = "the name of a user of this machine";
    constexpr std::size_t user_bytes_max = 32;
    auto text = read_text(value, what);
    if (text && (!only(*text, letters, digits, "_.-$") || text->starts_with('-') ||
                 text->size() > user_bytes_max))
        return expected_instead(what, value);
    return text;
}

Read<std::string> read_ip_address(const TomlValue& value) {
    const auto* text = value.as<std::string>();
    bool valid = text && !text->contains('\0') && (is_ip(*text, AF_INET) || is_ip(*text, AF_INET6));
    if (!valid)
        return expected_instead("an IP address such as \"127.0.0.1\" or \"::1\", not a name",
                                value);
    return *text;
}

Read<std::string> read_ip_network(const TomlValue& value) {
    constexpr std::string_view what = "an IP address with its prefix, such as \"10.0.0.50/24\"";
    const auto* text = value.as<std::string>();
    auto slash = text ? text->find('/') : std::string::npos;
    if (slash == std::string::npos || text->contains('\0')) return expected_instead(what, value);
    auto address = text->substr(0, slash);
    auto prefix = std::string_view(*text).substr(slash + 1);
    int most = is_ip(address, AF_INET) ? 32 : is_ip(address, AF_INET6) ? 128 : -1;
    bool valid = !prefix.empty() && prefix.size() <= 3 && only(prefix, digits, "") &&
                 std::stoi(std::string(prefix)) <= most;
    if (!valid) return expected_instead(what, value);
    return *text;
}

Read<std::string> read_domain(const TomlValue& value) {
    constexpr std::size_t domain_bytes_max = 253;
    auto text = read_text(value, "a domain name");
    if (text && (!only(*text, letters, digits, "-.") || text->size() > domain_bytes_max ||
                 text->starts_with('.') || text->contains("..")))
        return expected_instead("a domain name", value);
    return text;
}

Read<std::string> read_http_url(const TomlValue& value) {
    constexpr std::string_view what = "a URL that begins with http:// or https://";
    auto text = read_text(value, what);
    if (!text) return text;
    auto host = text->starts_with("http://")    ? text->substr(7)
                : text->starts_with("https://") ? text->substr(8)
                                                : std::string();
    bool printable = std::ranges::all_of(*text, [](char c) { return c > ' ' && c < 0x7f; });
    if (host.empty() || host.starts_with('/') || !printable) return expected_instead(what, value);
    return text;
}

Read<std::string> read_time_of_day(const TomlValue& value) {
    constexpr std::string_view what = "a time of day in UTC as a text, \"HH:MM\" or \"HH:MM:SS\"";
    const auto* text = value.as<std::string>();
    if (!text || (text->size() != 5 && text->size() != 8)) return expected_instead(what, value);
    constexpr int most[] = {23, 59, 59};
    for (std::size_t i = 0; i * 3 < text->size(); ++i) {
        auto pair = std::string_view(*text).substr(i * 3, 2);
        bool valid = only(pair, digits, "") && std::stoi(std::string(pair)) <= most[i] &&
                     (i == 0 || (*text)[i * 3 - 1] == ':');
        if (!valid) return expected_instead(what, value);
    }
    return *text;
}

Read<health::ProbeSpec> read_probe(const TomlValue& value) {
    using health::ProbeSpec;
    constexpr std::string_view what = "\"tcp\", \"grpc\", \"http:/PATH\" or \"exec:COMMAND\"";
    auto text = read_text(value, what);
    if (!text) return std::unexpected(text.error());
    ProbeSpec probe;
    if (*text == "tcp") {
        probe.kind = ProbeSpec::Kind::tcp;
    } else if (*text == "grpc") {
        probe.kind = ProbeSpec::Kind::grpc;
    } else if (text->starts_with("http:")) {
        probe.kind = ProbeSpec::Kind::http;
        probe.path = text->substr(5);
        // It goes into a request line as it is.
        bool printable =
            std::ranges::all_of(probe.path, [](char c) { return c > ' ' && c < 0x7f; });
        if (!probe.path.starts_with('/') || !printable) return expected_instead(what, value);
    } else if (text->starts_with("exec:")) {
        probe.kind = ProbeSpec::Kind::exec;
        probe.command = text->substr(5);
        if (probe.command.empty()) return expected_instead(what, value);
    } else {
        return expected_instead(what, value);
    }
    return probe;
}

Read<std::string> read_exec(const TomlValue& value) {
    auto text = read_text(value, "\"exec:COMMAND\"");
    if (!text) return text;
    if (!text->starts_with("exec:") || text->size() == 5)
        return expected_instead("\"exec:COMMAND\"", value);
    return text->substr(5);
}

bool valid_env_name(std::string_view name) {
    return !name.empty() && only(name, letters, digits, "_") && !digits.contains(name.front());
}

Read<TextPairs> read_env(const TomlValue& value) {
    const auto* table = value.as<TomlValue::Table>();
    if (!table) return expected_instead("a table of texts, such as { LOG = \"info\" }", value);
    TextPairs pairs;
    for (const auto& member : *table) {
        if (!valid_env_name(member.key))
            return std::unexpected(
                Refusal{fmt::format("expected a name of letters, digits and underscores, not {}",
                                    toml_quoted(member.key)),
                        member.place});
        const auto* text = member.value.as<std::string>();
        if (!text || text->contains('\0'))
            return std::unexpected(Refusal{fmt::format("expected a text as the value of {}, not {}",
                                                       member.key, describe(member.value)),
                                           member.place});
        pairs.emplace_back(member.key, *text);
    }
    return pairs;
}

std::vector<std::string_view> split_list(std::string_view text) {
    std::vector<std::string_view> pieces;
    while (true) {
        auto comma = text.find(',');
        auto piece = text.substr(0, comma);
        while (piece.starts_with(' ')) piece.remove_prefix(1);
        while (piece.ends_with(' ')) piece.remove_suffix(1);
        pieces.push_back(piece);
        if (comma == std::string_view::npos) return pieces;
        text.remove_prefix(comma + 1);
    }
}

}  // namespace holdfast::service
