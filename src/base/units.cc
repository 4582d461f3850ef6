#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

namespace holdfast {

using namespace std::chrono_literals;

namespace {

struct DurationUnit {
    std::string_view name;
    Duration length;
};

constexpr std::array<DurationUnit, 7> duration_units{
    {{"d", 24h}, {"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}, {"us", 1us}, {"ns", 1ns}}};
constexpr Duration duration_max = 24h * 36525;  // 100 years.

struct SizeUnit {
    std::string_view name;
    std::uint64_t bytes;
};

constexpr std::array<SizeUnit, 9> size_units{{{"TiB", 1ULL << 40},
                                              {"GiB", 1ULL << 30},
                                              {"MiB", 1ULL << 20},
                                              {"KiB", 1ULL << 10},
                                              {"TB", 1'000'000'000'000},
                                              {"GB", 1'000'000'000},
                                              {"MB", 1'000'000},
                                              {"kB", 1'000},
                                              {"B", 1}}};

// A decimal number without sign or exponent at the front of `text`, which it is taken off.
std::optional<long double> take_number(std::string_view& text) {
    std::size_t length = text.find_first_not_of("0123456789.");
    if (length == std::string_view::npos) length = text.size();
    auto digits = text.substr(0, length);
    bool dot_inside =
        digits.find('.') == digits.rfind('.') && !digits.starts_with('.') && !digits.ends_with('.');
    constexpr std::size_t digits_max = 24;
    if (digits.empty() || digits.size() > digits_max || !dot_inside) return std::nullopt;
    long double value = 0;
    long double scale = 1;
    bool fraction = false;
    for (char c : digits) {
        if (c == '.') {
            fraction = true;
            continue;
        }
        value = value * 10 + (c - '0');
        if (fraction) scale *= 10;
    }
    text.remove_prefix(length);
    return value / scale;
}

std::string_view take_letters(std::string_view& text) {
    std::size_t length = 0;
    while (length < text.size() && ((text[length] >= 'a' && text[length] <= 'z') ||
                                    (text[length] >= 'A' && text[length] <= 'Z')))
        ++length;
    auto letters = text.substr(0, length);
    text.remove_prefix(length);
    return letters;
}

Result<Duration> bad_duration(std::string_view text) {
    return fail(Errc::invalid,
                fmt::format("\"{}\" is not a duration: give a number with a unit, such as "
                            "\"250ms\", \"1.5s\", \"2m30s\", \"1h\" or \"7d\"",
                            text));
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
    auto rest = text;
    long double total = 0;
    std::size_t next_unit = 0;
    if (rest.empty()) return bad_duration(text);
    while (!rest.empty()) {
        auto number = take_number(rest);
        auto name = take_letters(rest);
        if (!number) return bad_duration(text);
        std::size_t unit = next_unit;
        while (unit < duration_units.size() && duration_units[unit].name != name) ++unit;
        if (unit == duration_units.size()) return bad_duration(text);
        total += *number * static_cast<long double>(duration_units[unit].length.count());
        next_unit = unit + 1;
    }
    if (total > static_cast<long double>(duration_max.count()))
        return fail(Errc::invalid, fmt::format("\"{}\" is more than 100 years", text));
    return Duration(static_cast<Duration::rep>(std::llround(total)));
}

std::string format_duration(Duration duration) {
    if (duration == Duration::zero()) return "0s";
    if (duration == Duration::min()) duration += 1ns;  // Its negative cannot be represented.
    std::string text;
    if (duration < Duration::zero()) {
        text = "-";
        duration = -duration;
    }
    for (const auto& unit : duration_units) {
        auto count = duration / unit.length;
        if (count == 0) continue;
        text += fmt::format("{}{}", count, unit.name);
        duration -= count * unit.length;
    }
    return text;
}

std::string format_duration_rough(Duration duration) {
    if (duration < Duration::zero()) return "-" + format_duration_rough(-(duration + 1ns));
    auto in = [&](Duration unit) {
        return static_cast<double>(duration.count()) / static_cast<double>(unit.count());
    };
    if (duration < 1us) return fmt::format("{}ns", duration.count());
    if (duration < 1ms) return fmt::format("{:.0f}us", std::floor(in(1us)));
    if (duration < 1s) return fmt::format("{:.0f}ms", std::floor(in(1ms)));
    if (duration < 1min) return fmt::format("{:.1f}s", std::floor(in(100ms)) / 10);
    if (duration < 1h) return fmt::format("{}m {}s", duration / 1min, duration % 1min / 1s);
    if (duration < 24h) return fmt::format("{}h {}m", duration / 1h, duration % 1h / 1min);
    return fmt::format("{}d {}h", duration / 24h, duration % 24h / 1h);
}

Result<std::uint64_t> parse_size(std::string_view text) {
    auto rest = text;
    auto number = take_number(rest);
    auto name = take_letters(rest);
    for (const auto& unit : size_units) {
        if (!number || !rest.empty() || unit.name != name) continue;
        long double bytes = *number * static_cast<long double>(unit.bytes);
        if (bytes >= 9.2e18L)
            return fail(Errc::invalid, fmt::format("\"{}\" is more than 8 EiB", text));
        return static_cast<std::uint64_t>(std::llround(bytes));
    }
    return fail(Errc::invalid,
                fmt::format("\"{}\" is not a size: give a number with a unit, such as \"512MiB\", "
                            "\"1.5GB\", \"64KiB\" or \"100B\"",
                            text));
}

std::string format_size(std::uint64_t bytes) {
    for (const auto& unit : size_units) {
        bool binary = unit.name.ends_with("iB");
        if (binary && bytes >= unit.bytes && bytes % unit.bytes == 0)
            return fmt::format("{}{}", bytes / unit.bytes, unit.name);
    }
    if (bytes < 1024) return fmt::format("{}B", bytes);
    for (const auto& unit : size_units) {
        if (bytes >= unit.bytes)
            return fmt::format("{:.1f} {}",
                               static_cast<double>(bytes) / static_cast<double>(unit.bytes),
                               unit.name);
    }
    return "0B";
}

std::string format_wall_time(WallTime time) {
    using namespace std::chrono;
    auto whole = floor<milliseconds>(time.time_since_epoch());
    auto day = floor<days>(whole);
    year_month_day date{sys_days(day)};
    auto rest = whole - day;
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       rest / 1h, rest % 1h / 1min, rest % 1min / 1s, rest % 1s / 1ms);
}

Result<WallTime> parse_wall_time(std::string_view text) {
    using namespace std::chrono;
    auto bad = [&] {
        return fail(Errc::invalid, fmt::format("\"{}\" is not a time: write it as "
                                               "\"2026-11-21T00:09:42Z\" (UTC)",
                                               text));
    };
    std::string owned(text);
    int y = 0, consumed = 0;
    unsigned mo = 0, d = 0, h = 0, mi = 0, s = 0;
    if (std::sscanf(owned.c_str(), "%4d-%2u-%2uT%2u:%2u:%2u%n", &y, &mo, &d, &h, &mi, &s,
                    &consumed) != 6)
        return bad();
    year_month_day date{year(y), month(mo), day(d)};
    if (!date.ok() || h > 23 || mi > 59 || s > 59) return bad();
    std::string_view rest = text.substr(static_cast<std::size_t>(consumed));
    Duration fraction{};
    if (rest.starts_with('.')) {
        rest.remove_prefix(1);
        Duration unit = 100ms;
        while (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') {
            fraction += (rest[0] - '0') * unit;
            unit /= 10;
            rest.remove_prefix(1);
        }
    }
    if (rest != "Z") return bad();
    Duration since_epoch = sys_days(date).time_since_epoch();
    return WallTime(since_epoch + hours(h) + minutes(mi) + seconds(s) + fraction);
}

}  // namespace holdfast
