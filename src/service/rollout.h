// The judgement of a rollout: is the new version live, or has it failed?
//
// Two things are kept apart: a version that will not start (its first starts end before they are
// ready, or none is ready in time), and an instance that crashes some day, which is the ordinary
// business of restarting. The first can only be seen now, while somebody knows what to go back to.
// So the new version is judged strictly until every instance has been replaced, and for the watch
// time after that: two starts that end before being ready, one crash or hang after it, or one
// failing ready probe are enough. What is killed from outside is held against nobody.
//
// Pure: it is told what happened and the time. What to replace next, and how to go back, is its
// service's to do.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "service/catalog_records.h"
#include "service/spec.h"
#include "service/view.h"

namespace holdfast::service {

struct RolloutPlan {
    VersionNumber version = 0;
    VersionNumber content = 0;
    VersionNumber from = 0;  // What ran before; 0: nothing.
    DeploySpec::Strategy strategy = DeploySpec::Strategy::recreate;
    Duration watch{};
    Duration ready_within{};  // Of one start.
    bool goes_back = true;    // Automatically, when it fails.
};

struct RolloutVerdict {
    bool live = false;
    std::string reason;
};

class Rollout {
  public:
    Rollout(Instant now, RolloutPlan plan);

    // What instances of the new version did.
    void start_failed(Instant now, const std::string& reason, bool certain);
    void failed(Instant now, const std::string& reason);
    void hot_failed(Instant now, const std::string& reason);
    void unready(Instant now, const std::string& reason);
    void start_is_slow(Instant now);  // Longer than ready_within.

    // How many instances of the new version are ready, of how many that are wanted.
    void progress(Instant now, int ready, int wanted);

    // Once there is one it does not change.
    const std::optional<RolloutVerdict>& verdict() const { return verdict_; }
    Instant next_deadline() const;

    // Judges anew, from now: a version that was left running after it had failed may yet come up.
    void begin_again(Instant now);

    const RolloutPlan& plan() const { return plan_; }
    Instant began() const { return began_; }
    bool watching() const { return watch_until_.has_value(); }
    std::optional<Instant> watch_until() const { return watch_until_; }

  private:
    void fail(std::string reason);

    RolloutPlan plan_;
    Instant began_;
    int starts_failed_ = 0;
    std::optional<Instant> watch_until_;
    std::optional<RolloutVerdict> verdict_;
};

// How long a start may take in a rollout: the watch time, but never less than thrice what a start
// was measured to take before, nor less than 10 s.
Duration ready_within(Duration watch, std::optional<Duration> measured);

}  // namespace holdfast::service
