#include "service/alarms.h"

#include <gtest/gtest.h>

namespace holdfast::service {
namespace {

using health::AlarmState;

std::optional<AlarmState> alarm_in(ServiceState state) {
    ServiceView view;
    view.state = state;
    return alarm_of(view);
}

std::optional<AlarmState> alarm_after(RunState state) {
    JobRun run;
    run.state = state;
    return alarm_of(run);
}

TEST(Alarms, WakePeopleForWhatIsWantedAndNotThere) {
    EXPECT_EQ(alarm_in(ServiceState::down), AlarmState::down);
    EXPECT_EQ(alarm_in(ServiceState::degraded), AlarmState::degraded);
    EXPECT_EQ(alarm_in(ServiceState::ready), AlarmState::healthy);
    EXPECT_EQ(alarm_in(ServiceState::stopped), AlarmState::healthy);
}

TEST(Alarms, AreNotChangedByStatesInBetween) {
    for (auto state : {ServiceState::starting, ServiceState::waiting, ServiceState::stopping,
                       ServiceState::deploying})
        EXPECT_EQ(alarm_in(state), std::nullopt) << state_name(state);
}

TEST(Alarms, AJobIsDownFromAFailedRunUntilOneThatSucceeded) {
    EXPECT_EQ(alarm_after(RunState::failed), AlarmState::down);
    EXPECT_EQ(alarm_after(RunState::succeeded), AlarmState::healthy);
    for (auto state : {RunState::queued, RunState::running, RunState::missed, RunState::skipped,
                       RunState::replaced})
        EXPECT_EQ(alarm_after(state), std::nullopt) << state_name(state);
}

}  // namespace
}  // namespace holdfast::service
