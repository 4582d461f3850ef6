// Which states of services people are woken for: from what is shown of a service to what is
// alerted.
//
// Pure. A service that starts, waits or stops is in between: what was last told of it still stands,
// so that a restart of a service that is down does not announce a recovery.
#pragma once

#include <optional>

#include "health/alert.h"
#include "service/job.h"
#include "service/view.h"

namespace holdfast::service {

// Nothing: the state says nothing new.
std::optional<health::AlarmState> alarm_of(const ServiceView& view);

// A job is down from a run that failed until one that succeeded.
std::optional<health::AlarmState> alarm_of(const JobRun& run);

}  // namespace holdfast::service
