#include "service/schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/units.h"

namespace holdfast::service {

using namespace std::chrono_literals;

namespace {

constexpr Duration day = 24h;
constexpr Duration late_most = 5min;
constexpr Duration look_again = 30s;

std::optional<int> two_digits(std::string_view text) {
    if (text.size() != 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') {
        return std::nullopt;
    }
    return (text[0] - '0') * 10 + (text[1] - '0');
}

WallTime midnight_before(WallTime time) {
    return std::chrono::floor<std::chrono::days>(time);
}

}  // namespace

Result<Duration> parse_time_of_day(std::string_view text) {
    auto wrong = fail(Errc::invalid,
                      fmt::format("\"{}\" is not a time of day; an example is \"03:30\"", text));
    if (text.size() != 5 && text.size() != 8) return wrong;
    auto hours = two_digits(text.substr(0, 2));
    auto minutes = two_digits(text.substr(3, 2));
    auto seconds = text.size() == 8 ? two_digits(text.substr(6, 2)) : 0;
    if (text[2] != ':' || (text.size() == 8 && text[5] != ':')) return wrong;
    if (!hours || !minutes || !seconds || *hours > 23 || *minutes > 59 || *seconds > 59)
        return wrong;
    return std::chrono::hours(*hours) + std::chrono::minutes(*minutes) +
           std::chrono::seconds(*seconds);
}

WallTime next_daily(WallTime after, Duration time_of_day) {
    auto today = midnight_before(after) + time_of_day;
    return today > after ? today : today + day;
}

WallTime last_daily(WallTime before, Duration time_of_day) {
    auto today = midnight_before(before) + time_of_day;
    return today <= before ? today : today - day;
}

Schedule::Schedule(const JobSpec& spec, std::optional<WallTime> decided, Instant now, WallTime wall)
    : when_(spec.when), decided_(decided), asked_at_(now), asked_wall_(wall) {
    period_ = when_ == JobSpec::When::every ? spec.every : day;
    HF_CHECK(when_ != JobSpec::When::every || period_ > Duration::zero());
    late_max_ = std::min(late_most, period_ / 2);
    deadline_ = now;
    switch (when_) {
        case JobSpec::When::every: {
            // A new job runs at once. One that was here before keeps its rhythm, by the wall clock;
            // if that says more than a period from now, it was set back, and is not believed.
            auto wait = decided ? *decided + period_ - wall : Duration::zero();
            next_due_ = now + std::min(wait, period_);
            break;
        }
        case JobSpec::When::at: {
            auto parsed = parse_time_of_day(spec.at);
            HF_CHECK(parsed);  // The spec was validated.
            time_of_day_ = *parsed;
            if (!decided_) decided_ = wall;  // A new job waits for its hour.
            break;
        }
        case JobSpec::When::once:
            next_due_ = decided ? Instant::max() : now;
            break;
    }
}

Occasions Schedule::due(Instant now, WallTime wall) {
    HF_CHECK(now >= asked_at_);
    auto occasions = when_ == JobSpec::When::at ? due_at(now, wall) : due_every(now, wall);
    resumed_ = true;
    asked_at_ = now;
    asked_wall_ = wall;
    return occasions;
}

// Also `once`, which is the first occasion of an endless period.
Occasions Schedule::due_every(Instant now, WallTime wall) {
    Occasions occasions;
    deadline_ = next_due_;
    if (now < next_due_) return occasions;
    occasions.decided = true;
    auto late = now - next_due_;
    if (when_ == JobSpec::When::once) {
        occasions.take = decided_ = wall;
        next_due_ = deadline_ = Instant::max();
        return occasions;
    }
    auto passed = late / period_;  // Occasions before the latest one.
    auto latest_late = late % period_;
    auto latest = wall - latest_late;
    auto missed = static_cast<std::uint64_t>(passed);
    if (latest_late <= late_max_) {
        occasions.take = latest;
    } else {
        ++missed;
    }
    if (missed > 0) {
        occasions.missed = Missed{.first = latest - passed * period_,
                                  .times = missed,
                                  .reason = resumed_ ? "the node stood still when it was due"
                                                     : "Holdfast was not running when it was due"};
    }
    decided_ = latest;
    next_due_ += (passed + 1) * period_;
    deadline_ = next_due_;
    return occasions;
}

Occasions Schedule::due_at(Instant now, WallTime wall) {
    Occasions occasions;
    if (*decided_ > wall + period_) {
        // Set back by more than a day: what was decided on then lies in a future that is none.
        occasions.note = fmt::format(
            "the clock was set back from {} or later to {}: occasions are "
            "counted from there",
            format_wall_time(*decided_), format_wall_time(wall));
        decided_ = wall;
        occasions.decided = true;
    }
    auto first = next_daily(*decided_, time_of_day_);
    if (first <= wall) {
        auto latest = last_daily(wall, time_of_day_);
        auto missed = static_cast<std::uint64_t>((latest - first) / period_);
        if (wall - latest <= late_max_) {
            occasions.take = latest;
        } else {
            ++missed;
        }
        if (missed > 0) {
            // How much further the wall clock got than time did.
            auto jump = (wall - asked_wall_) - (now - asked_at_);
            auto reason = !resumed_   ? std::string("Holdfast was not running when it was due")
                          : jump > 1s ? fmt::format("the clock jumped over it, forward by {}",
                                                    format_duration_rough(jump))
                                      : std::string("the node stood still when it was due");
            occasions.missed = Missed{.first = first, .times = missed, .reason = std::move(reason)};
        }
        decided_ = latest;
        occasions.decided = true;
    }
    deadline_ =
        now + std::min(look_again, next_daily(std::max(*decided_, wall), time_of_day_) - wall);
    return occasions;
}

std::optional<WallTime> Schedule::next(Instant now, WallTime wall) const {
    if (when_ == JobSpec::When::at) return next_daily(std::max(*decided_, wall), time_of_day_);
    if (next_due_ == Instant::max()) return std::nullopt;
    return wall + std::max(Duration::zero(), next_due_ - now);
}

}  // namespace holdfast::service
