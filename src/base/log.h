// What the program says to its operator while it runs: one line an event, to standard error.
//
//     2026-11-21T00:09:42.123Z info  service shop: instance 0 ready after 84ms
//
// Lines are for people; what programs consume goes through events and metrics. Thread-safe: one
// write per line.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace holdfast {

enum class LogLevel { debug, info, warn, error };

// Lines below this level are dropped. Starts at info.
void set_log_level(LogLevel level);
void log_line(LogLevel level, std::string_view line);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::warn, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace holdfast
