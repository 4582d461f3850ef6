// A job's whole life with a keeper, a node and an owner that do as they please.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "service/job_core.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;

runtime::Exit code(int value) {
    runtime::Exit exit;
    exit.by = runtime::EndedBy::itself;
    exit.code = value;
    return exit;
}
runtime::Exit stopped_by_us() {
    runtime::Exit exit;
    exit.by = runtime::EndedBy::holdfast;
    exit.signal = 15;
    return exit;
}

runtime::RunReport report_of(runtime::RunId run) {
    runtime::RunReport report;
    report.run = run;
    report.slot = "x/job";
    return report;
}

// A keeper, a node that dies at any moment between a record and its actions, an owner with changing
// wishes. Safety, always: no two live tries in the job's slots, no try of an unrecorded run.
// Liveness, once faults cease: each run ends.
class Life {
  public:
    explicit Life(std::uint64_t seed) : random_(seed) {
        wanted_.version = 1;
        wanted_.spec.when = random_.chance(0.7) ? JobSpec::When::every : JobSpec::When::once;
        wanted_.spec.every = random_.between(1s, 10min);
        wanted_.spec.tries = 1 + static_cast<int>(random_.below(4));
        wanted_.spec.backoff_most = 30s;
        wanted_.spec.overlap = static_cast<JobSpec::Overlap>(random_.below(3));
        if (random_.chance(0.5)) wanted_.spec.verify_command = "true";
        boot();
    }

    void live(int steps) {
        for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
            step();
            ASSERT_LE(live_.size(), 1u);
        }
    }
    void settle() {
        wanted_.paused = true;
        apply(core_->want(wanted_, now_));
        for (int i = 0; i < 100 && !core_->idle(); ++i) {
            if (live_.empty()) {
                now_.instant = std::max(now_.instant, core_->next_deadline());
                apply(core_->advance(now_));
            } else {
                end_try(*live_.begin());
            }
        }
        EXPECT_TRUE(core_->idle());
        for (const auto& [number, run] : core_->runs()) EXPECT_TRUE(ended(run.state)) << number;
        EXPECT_LE(core_->runs().size(), JobCore::kept_max + JobCore::queued_max + 1);
    }

  private:
    void boot() {
        core_.emplace(wanted_, kept_, now_, random_.fork());
        std::vector<runtime::RunReport> reports;
        for (auto run : live_) {
            reports.push_back(report_of(run));
        }
        for (const auto& [run, exit] : exits_) {
            reports.push_back(report_of(run));
            reports.back().exit = exit;
        }
        apply(core_->adopt(reports, now_));
    }
    // Ends the node at a random place in it, if `dies`.
    void apply(JobStep step, bool dies = false) {
        if (step.memory) kept_.memory = *step.memory;
        for (const auto& run : step.records) {
            std::erase_if(kept_.runs, [&](const auto& r) { return r.number == run.number; });
            kept_.runs.push_back(run);
        }
        for (auto number : step.erased) {
            std::erase_if(kept_.runs, [&](const auto& r) { return r.number == number; });
        }
        std::ranges::sort(kept_.runs, {}, &JobRun::number);
        for (const auto& action : step.actions) {
            if (dies && random_.chance(0.5)) return boot();
            if (auto* start = std::get_if<StartTry>(&action)) start_try(*start);
            if (auto* stop = std::get_if<StopTry>(&action)) stopping_.insert(stop->run);
            if (auto* forget = std::get_if<ForgetTry>(&action)) exits_.erase(forget->run);
        }
        if (dies) boot();
    }
    void start_try(const StartTry& start) {
        auto record = std::ranges::find(kept_.runs, start.number, &JobRun::number);
        ASSERT_NE(record, kept_.runs.end());
        ASSERT_EQ(start.verify ? record->verify : record->run, start.run);
        ASSERT_TRUE(used_.insert(start.run).second);
        if (!live_.empty() || random_.chance(0.05)) {  // As the keeper does.
            apply(core_->refused(start.run, "the slot is taken", now_));
        } else {
            live_.insert(start.run);
        }
    }
    void end_try(runtime::RunId run) {
        live_.erase(run);
        auto exit = stopping_.contains(run) ? stopped_by_us() : code(random_.chance(0.6) ? 0 : 1);
        exits_[run] = exit;
        apply(core_->exited(run, exit, "out", now_));
    }
    void step() {
        auto pass = random_.between(0s, wanted_.spec.every);
        now_.instant += pass;
        now_.wall += pass;
        if (random_.chance(0.05)) now_.wall += random_.between(-2h, 2h);
        apply(core_->advance(now_), random_.chance(0.1));
        if (!live_.empty() && random_.chance(0.4)) {
            if (random_.chance(0.2)) {  // Seen by nobody but the keeper.
                auto run = *live_.begin();
                live_.erase(run);
                exits_[run] = code(0);
                boot();
            } else {
                end_try(*live_.begin());
            }
        }
        if (random_.chance(0.02)) apply(core_->run_now(now_));
        if (random_.chance(0.03)) {
            wanted_.paused = !wanted_.paused;
            wanted_.version += static_cast<VersionNumber>(random_.below(2));
            apply(core_->want(wanted_, now_), random_.chance(0.2));
        }
        if (random_.chance(0.02)) {
            apply(core_->prerequisites(random_.chance(0.8), "db", now_));
        }
    }

    runtime::Random random_;
    JobCore::Now now_{Instant(1000h), WallTime(1'700'000'000s)};
    JobCore::Wanted wanted_;
    JobCore::Kept kept_;
    std::optional<JobCore> core_;
    std::set<runtime::RunId> live_, stopping_, used_;
    std::map<runtime::RunId, runtime::Exit> exits_;
};

TEST(JobCoreSimulation, NeverRunsATryTwiceAndEndsEveryRun) {
    for (unsigned seed = 0; seed < 400; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        Life life(seed);
        life.live(300);
        if (testing::Test::HasFatalFailure()) return;
        life.settle();
    }
}

}  // namespace
}  // namespace holdfast::service
