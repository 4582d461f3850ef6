#include "coord/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.h"
#include "base/nearest.h"
#include "base/units.h"

namespace holdfast::coord {
namespace {

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;
constexpr std::uint64_t GiB = 1024 * MiB;
constexpr std::uint64_t second_ns = 1'000'000'000;

constexpr std::string_view several_machines = "several machines";

constexpr std::array settings = {
    SettingRule{.key = "copies",
                .unit = SettingUnit::count,
                .default_text = "1",
                .description = "Copies of replicated data there should be.",
                .least = 1,
                .most = 7,
                .choices = {},
                .awaits = several_machines},
    SettingRule{.key = "log_file_size",
                .unit = SettingUnit::size,
                .default_text = "8MiB",
                .description = "Size at which a service's log file is put aside for a new one. "
                               "In force from the node's next start.",
                .least = 64 * KiB,
                .most = GiB,
                .choices = {},
                .awaits = {}},
    SettingRule{.key = "log_files",
                .unit = SettingUnit::count,
                .default_text = "4",
                .description = "Log files kept for each instance, the current one included. "
                               "In force from the node's next start.",
                .least = 1,
                .most = 100,
                .choices = {},
                .awaits = {}},
    SettingRule{.key = "min_copies",
                .unit = SettingUnit::count,
                .default_text = "1",
                .description = "Copies that must have a write before it is acknowledged.",
                .least = 1,
                .most = 7,
                .choices = {},
                .awaits = several_machines},
    SettingRule{.key = "prevent",
                .unit = SettingUnit::choice,
                .default_text = "off",
                .description = "Whether a foreseen failure may move services by itself.",
                .choices = "off|suggest|act",
                .awaits = "prediction"},
    SettingRule{.key = "stale_reads",
                .unit = SettingUnit::duration,
                .default_text = "1s",
                .description = "How old an answer to a read-only connection may be.",
                .least = 0,
                .most = 3600 * second_ns,
                .choices = {},
                .awaits = "the key-value store"},
    SettingRule{.key = "starts_at_once",
                .unit = SettingUnit::count,
                .default_text = "4",
                .description = "Instances of one machine that may be in the middle of a start at "
                               "the same time. In force from the node's next start.",
                .least = 1,
                .most = 1000,
                .choices = {},
                .awaits = {}},
};

Result<std::uint64_t> parse_count(std::string_view text) {
    std::uint64_t value = 0;
    auto end = text.data() + text.size();
    auto [stopped, failed] = std::from_chars(text.data(), end, value);
    if (failed != std::errc() || stopped != end) {
        return fail(Errc::invalid, fmt::format("\"{}\" is no whole number", text));
    }
    return value;
}

Result<std::uint64_t> parse_number(SettingUnit unit, std::string_view text) {
    if (unit == SettingUnit::size) return parse_size(text);
    if (unit == SettingUnit::count) return parse_count(text);
    HF_TRY(auto duration, parse_duration(text));
    return static_cast<std::uint64_t>(duration.count());
}

std::string show_number(SettingUnit unit, std::uint64_t value) {
    if (unit == SettingUnit::size) return format_size(value);
    if (unit == SettingUnit::count) return fmt::to_string(value);
    return format_duration(Duration(static_cast<Duration::rep>(value)));
}

bool is_choice(std::string_view choices, std::string_view text) {
    if (text.empty() || text.contains('|')) return false;
    return fmt::format("|{}|", choices).contains(fmt::format("|{}|", text));
}

// Whether a text is a value of the setting, apart from its being available.
Result<void> check_text(const SettingRule& info, std::string_view text) {
    if (info.unit == SettingUnit::choice) {
        if (is_choice(info.choices, text)) return {};
        return fail(Errc::invalid, fmt::format("{} is one of {}, not \"{}\"", info.key,
                                               info.choices, text.substr(0, 100)));
    }
    auto value = parse_number(info.unit, text.substr(0, 100));
    if (!value) {
        return fail(Errc::invalid,
                    fmt::format("{} is a {} such as {}: {}", info.key, unit_name(info.unit),
                                info.default_text, value.error().message));
    }
    if (*value >= info.least && *value <= info.most) return {};
    return fail(Errc::invalid, fmt::format("{} is between {} and {}, not {}", info.key,
                                           show_number(info.unit, info.least),
                                           show_number(info.unit, info.most), text));
}

}  // namespace

std::string_view unit_name(SettingUnit unit) {
    switch (unit) {
        case SettingUnit::count:
            return "count";
        case SettingUnit::duration:
            return "duration";
        case SettingUnit::size:
            return "size";
        case SettingUnit::choice:
            return "choice";
    }
    return "unknown";
}

std::span<const SettingRule> known_settings() {
    return settings;
}

Result<const SettingRule*> find_setting(std::string_view key) {
    auto found = std::ranges::find(settings, key, &SettingRule::key);
    if (found != settings.end()) return &*found;
    std::vector<std::string_view> keys;
    for (const auto& info : settings) keys.push_back(info.key);
    auto nearest = nearest_word(key, keys);
    auto hint = nearest ? fmt::format("; did you mean {}?", *nearest) : std::string();
    return fail(Errc::not_found,
                fmt::format("there is no setting \"{}\"{}", key.substr(0, 100), hint));
}

Result<void> check_setting(const SettingRule& info, std::string_view text) {
    HF_TRY_VOID(check_text(info, text));
    if (info.awaits.empty()) return {};
    return fail(Errc::invalid,
                fmt::format("{} is not available yet: it comes with {}", info.key, info.awaits));
}

SettingValues::SettingValues(const std::map<std::string, std::string, std::less<>>& stored) {
    for (const auto& info : settings) {
        auto& text = texts_[std::string(info.key)];
        text = info.default_text;
        auto found = stored.find(info.key);
        if (found == stored.end()) continue;
        if (auto good = check_setting(info, found->second); !good) {
            complaints_.push_back(good.error().message);
        } else {
            text = found->second;
        }
    }
    for (const auto& [key, text] : stored) {
        if (auto info = find_setting(key); !info) complaints_.push_back(info.error().message);
    }
}

const std::string& SettingValues::text(std::string_view key) const {
    auto found = texts_.find(key);
    HF_CHECK(found != texts_.end());
    return found->second;
}

std::uint64_t SettingValues::count(std::string_view key) const {
    auto info = find_setting(key);
    HF_CHECK(info.has_value());
    auto value = parse_number((*info)->unit, text(key));
    HF_CHECK(value.has_value());
    return *value;
}

Duration SettingValues::duration(std::string_view key) const {
    auto value = parse_duration(text(key));
    HF_CHECK(value.has_value());
    return *value;
}

std::string setting_key(std::string_view key) {
    return std::string(settings_prefix).append(key);
}

runtime::Task<Result<SettingValues>> Settings::values() {
    HF_CO_TRY(auto listing, co_await coordinator_.list(std::string(settings_prefix)));
    std::map<std::string, std::string, std::less<>> stored;
    for (auto& entry : listing.entries) {
        stored.emplace(entry.key.substr(settings_prefix.size()), std::move(entry.value));
    }
    co_return SettingValues(stored);
}

runtime::Task<Result<std::vector<SettingValue>>> Settings::list() {
    HF_CO_TRY(auto now, co_await values());
    std::vector<SettingValue> all;
    for (const auto& info : settings) all.push_back({&info, now.text(info.key)});
    co_return all;
}

runtime::Task<Result<SettingValue>> Settings::get(std::string key) {
    HF_CO_TRY(const auto* info, find_setting(key));
    HF_CO_TRY(auto now, co_await values());
    co_return SettingValue{info, now.text(key)};
}

// Last writer wins: a setting is one small value that nobody changes by looking at the old one.
runtime::Task<Result<SettingValue>> Settings::set(std::string key, std::string text) {
    HF_CO_TRY(const auto* info, find_setting(key));
    HF_CO_TRY_VOID(check_setting(*info, text));
    if (text == info->default_text) co_return co_await reset(std::move(key));
    HF_CO_TRY_VOID(
        co_await coordinator_.commit({.when = {}, .then = {put(setting_key(key), text)}}));
    co_return SettingValue{info, std::move(text)};
}

runtime::Task<Result<SettingValue>> Settings::reset(std::string key) {
    HF_CO_TRY(const auto* info, find_setting(key));
    HF_CO_TRY_VOID(co_await coordinator_.commit({.when = {}, .then = {erase(setting_key(key))}}));
    co_return SettingValue{info, std::string(info->default_text)};
}

}  // namespace holdfast::coord
