#include "base/log.h"

#include <time.h>
#include <unistd.h>

#include <atomic>

#include "base/units.h"

namespace holdfast {

namespace {

// The level of the whole process, as its standard error is.
std::atomic<LogLevel> level_shown{LogLevel::info};

std::string_view level_name(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return "debug";
        case LogLevel::info:
            return "info ";
        case LogLevel::warn:
            return "warn ";
        case LogLevel::error:
            return "error";
    }
    return "?    ";
}

WallTime stamp() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return WallTime(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

void set_log_level(LogLevel level) {
    level_shown.store(level, std::memory_order_relaxed);
}

void log_line(LogLevel level, std::string_view line) {
    if (level < level_shown.load(std::memory_order_relaxed)) return;
    auto text = fmt::format("{} {} {}\n", format_wall_time(stamp()), level_name(level), line);
    // A log that cannot be written must not stop what it tells about.
    [[maybe_unused]] auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace holdfast
