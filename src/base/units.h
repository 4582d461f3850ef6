// Durations, sizes and instants as people write them.
//
// A bare number is refused: "30" could be seconds or minutes, and the reader of a file at night
// should not have to know which.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace holdfast {

// "250ms", "1.5s", "2m30s", "1h", "7d". Units: ns us ms s m h d, largest first, each at most once.
// Errc::invalid names the text and gives an example. At most 100 years.
Result<Duration> parse_duration(std::string_view text);

// The shortest text that parse_duration reads back as the same value: "1m30s", "250ms", "0s".
std::string format_duration(Duration duration);

// For tables and sentences: two leading units at the most, "3d 4h", "12.4s", "250ms", "85us".
std::string format_duration_rough(Duration duration);

// "512MiB", "1.5GB", "64KiB", "100B". Powers of 1024 with an i, of 1000 without.
Result<std::uint64_t> parse_size(std::string_view text);
std::string format_size(
    std::uint64_t bytes);  // Exact where a binary unit divides it, else "1.4 GiB".

// "2026-11-21T00:09:42.123Z", always UTC, milliseconds.
std::string format_wall_time(WallTime time);
Result<WallTime> parse_wall_time(std::string_view text);

}  // namespace holdfast
