// Reading one value of a service's file: its type, its unit, its range. Each reader returns the
// value, or the sentence that says what was expected and what was found instead; the parser adds
// place, key and example.
#pragma once

#include <cstdint>
#include <expected>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "health/probe_spec.h"
#include "service/spec_parser_toml.h"

namespace holdfast::service {

struct Refusal {
    std::string reason;
    Place place;  // Of the offending part, if it is inside the value; else line 0.
};

template <class T>
using Read = std::expected<T, Refusal>;

std::unexpected<Refusal> expected_instead(std::string_view what, const TomlValue& value);
// The value is right, and what it asks for does not exist yet.
std::unexpected<Refusal> not_available(std::string_view what);

struct IntegerRange {
    std::int64_t least;
    std::int64_t most;
};
struct NumberRange {
    double above;  // Excluded.
    double most;
};
struct DurationRange {
    Duration least;
    Duration most;
};
struct SizeRange {
    std::uint64_t least;
    std::uint64_t most;
};

// Without NUL, and not empty.
Read<std::string> read_text(const TomlValue& value, std::string_view what = "a text");
Read<std::vector<std::string>> read_texts(const TomlValue& value, std::string_view what);
Read<std::int64_t> read_integer(const TomlValue& value, IntegerRange range);
Read<double> read_number(const TomlValue& value, NumberRange range);
Read<bool> read_flag(const TomlValue& value);
Read<Duration> read_duration(const TomlValue& value, DurationRange range);
Read<std::pair<Duration, Duration>> read_durations(const TomlValue& value, DurationRange range);
Read<std::uint64_t> read_size(const TomlValue& value, SizeRange range);
Read<double> read_percent(const TomlValue& value);  // "50%" is 0.5.
Read<std::string> read_word(const TomlValue& value, std::span<const std::string_view> words);
// "none", where the key takes that beside a value of another kind.
bool is_none(const TomlValue& value);

Read<std::string> read_service_name(const TomlValue& value);
Read<std::string> read_absolute_path(const TomlValue& value);
Read<std::string> read_user(const TomlValue& value);
Read<std::string> read_ip_address(const TomlValue& value);
Read<std::string> read_ip_network(const TomlValue& value);  // Address and prefix: "10.0.0.50/24".
Read<std::string> read_domain(const TomlValue& value);
Read<std::string> read_http_url(const TomlValue& value);
Read<std::string> read_time_of_day(const TomlValue& value);
Read<health::ProbeSpec> read_probe(const TomlValue& value);
// "exec:CMD", of which CMD is returned.
Read<std::string> read_exec(const TomlValue& value);

using TextPairs = std::vector<std::pair<std::string, std::string>>;
// A table of texts whose names are names of environment variables; texts may be empty.
Read<TextPairs> read_env(const TomlValue& value);

bool valid_env_name(std::string_view name);
// Pieces between commas, spaces around them removed.
std::vector<std::string_view> split_list(std::string_view text);

}  // namespace holdfast::service
