// Time as the cores see it.
//
// `Clock` has no now(), on purpose: a core cannot read the time, it has to be told. That one
// omission is what lets the same code run against the machine's clock and against the simulator's.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast {

struct Clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<Clock>;
    static constexpr bool is_steady = true;
};

using Duration = Clock::duration;
using Instant = Clock::time_point;  // Comparable only with instants of the same node and boot.

// Calendar time, for people and for records that outlive a boot: never for ordering or deadlines.
struct Calendar {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<Calendar>;
    static constexpr bool is_steady = false;
};

using WallTime = Calendar::time_point;  // Since 1970-01-01T00:00:00Z, leap seconds ignored.

}  // namespace holdfast
