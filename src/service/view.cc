#include "service/view.h"

namespace holdfast::service {

std::string_view state_name(ServiceState state) {
    switch (state) {
        case ServiceState::down:
            return "down";
        case ServiceState::degraded:
            return "degraded";
        case ServiceState::deploying:
            return "deploying";
        case ServiceState::starting:
            return "starting";
        case ServiceState::waiting:
            return "waiting";
        case ServiceState::stopping:
            return "stopping";
        case ServiceState::ready:
            return "ready";
        case ServiceState::stopped:
            return "stopped";
    }
    return "unknown";
}

std::string_view state_name(InstanceState state) {
    switch (state) {
        case InstanceState::waiting:
            return "waiting";
        case InstanceState::queued:
            return "queued";
        case InstanceState::backing_off:
            return "backing_off";
        case InstanceState::starting:
            return "starting";
        case InstanceState::ready:
            return "ready";
        case InstanceState::unready:
            return "unready";
        case InstanceState::stopping:
            return "stopping";
        case InstanceState::stopped:
            return "stopped";
    }
    return "unknown";
}

std::string_view phase_name(RolloutPhase phase) {
    switch (phase) {
        case RolloutPhase::replacing:
            return "replacing";
        case RolloutPhase::watching:
            return "watching";
        case RolloutPhase::rolling_back:
            return "rolling_back";
    }
    return "unknown";
}

std::string_view outcome_name(RolloutOutcome outcome) {
    switch (outcome) {
        case RolloutOutcome::live:
            return "live";
        case RolloutOutcome::rolled_back:
            return "rolled_back";
        case RolloutOutcome::failed:
            return "failed";
        case RolloutOutcome::superseded:
            return "superseded";
    }
    return "unknown";
}

}  // namespace holdfast::service
