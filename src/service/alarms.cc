#include "service/alarms.h"

namespace holdfast::service {

using health::AlarmState;

std::optional<AlarmState> alarm_of(const ServiceView& view) {
    switch (view.state) {
        case ServiceState::down:
            return AlarmState::down;
        case ServiceState::degraded:
            return AlarmState::degraded;
        case ServiceState::ready:
        case ServiceState::stopped:
            return AlarmState::healthy;  // Stopped on purpose.
        case ServiceState::deploying:
        case ServiceState::starting:
        case ServiceState::waiting:
        case ServiceState::stopping:
            return std::nullopt;
    }
    return std::nullopt;
}

std::optional<AlarmState> alarm_of(const JobRun& run) {
    if (run.state == RunState::failed) return AlarmState::down;
    if (run.state == RunState::succeeded) return AlarmState::healthy;
    return std::nullopt;
}

}  // namespace holdfast::service
