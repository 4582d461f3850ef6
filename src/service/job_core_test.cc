#include "service/job_core.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/units.h"

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

// A core with what its driver would do: records kept, actions at hand, time that passes.
class Driven {
  public:
    explicit Driven(JobSpec spec, JobCore::Kept kept = {}, std::uint64_t seed = 1)
        : wanted_{.spec = std::move(spec), .version = 1}, kept_(std::move(kept)), seed_(seed) {
        restart({});
    }

    // The node dies; another one finds what was kept.
    void restart(const std::vector<runtime::RunReport>& reports) {
        core.emplace(wanted_, kept_, now, runtime::Random(++seed_));
        apply(core->adopt(reports, now));
        settle();
    }
    void apply(JobStep step) {
        if (step.memory) kept_.memory = *step.memory;
        for (const auto& run : step.records) {
            std::erase_if(kept_.runs, [&](const auto& r) { return r.number == run.number; });
            kept_.runs.push_back(run);
        }
        for (auto number : step.erased) {
            std::erase_if(kept_.runs, [&](const auto& r) { return r.number == number; });
        }
        std::ranges::sort(kept_.runs, {}, &JobRun::number);
        for (auto& action : step.actions) actions.push_back(std::move(action));
        for (auto& note : step.notes) notes.push_back(std::move(note));
        EXPECT_EQ(kept_.runs.size(), core->runs().size());
    }
    void settle() { apply(core->advance(now)); }
    void pass(Duration duration) {
        auto until = now.instant + duration;
        while (core->next_deadline() <= until) {
            auto step = std::max(Duration::zero(), core->next_deadline() - now.instant);
            now.instant += step;
            now.wall += step;
            settle();
        }
        now.wall += until - now.instant;
        now.instant = until;
    }
    void want(JobCore::Wanted wanted) {
        wanted_ = wanted;
        apply(core->want(std::move(wanted), now));
    }
    JobCore::Wanted wanted() const { return wanted_; }

    // The try that was started and not yet answered for.
    StartTry started() {
        StartTry found;
        for (const auto& action : std::exchange(actions, {})) {
            if (const auto* start = std::get_if<StartTry>(&action)) found = *start;
        }
        return found;
    }
    bool stop_asked() {
        return std::ranges::any_of(actions, [](const JobAction& action) {
            return std::holds_alternative<StopTry>(action);
        });
    }
    StartTry end(const runtime::Exit& exit, std::string output = {}) {
        auto start = started();
        EXPECT_NE(start.run, 0u);
        apply(core->exited(start.run, exit, std::move(output), now));
        return start;
    }
    const JobRun& run(std::uint64_t number) const { return core->runs().at(number); }
    std::vector<std::string> states() const {
        std::vector<std::string> names;
        for (const auto& [number, run] : core->runs()) names.emplace_back(state_name(run.state));
        return names;
    }

    JobCore::Now now{Instant(1000h), *parse_wall_time("2026-11-21T10:00:00.000Z")};
    std::optional<JobCore> core;
    std::vector<JobAction> actions;
    std::vector<std::string> notes;

  private:
    JobCore::Wanted wanted_;
    JobCore::Kept kept_;
    std::uint64_t seed_;
};

JobSpec hourly() {
    JobSpec spec;
    spec.when = JobSpec::When::every;
    spec.every = 1h;
    return spec;
}

using States = std::vector<std::string>;

TEST(JobCore, RunsWhatIsDueAndRecordsItBeforeItBegins) {
    Driven job(hourly());
    EXPECT_EQ(job.run(1).state, RunState::running);
    auto start = job.end(code(0), "done\n");
    EXPECT_EQ(start.run, job.run(1).run);
    EXPECT_EQ(job.run(1).state, RunState::succeeded);
    EXPECT_EQ(job.run(1).output, "done\n");
    EXPECT_EQ(job.run(1).code, 0);
    job.pass(59min);
    EXPECT_EQ(job.states(), States{"succeeded"});
    job.pass(1min);
    EXPECT_EQ(job.states(), (States{"succeeded", "running"}));
}

TEST(JobCore, TriesAgainAfterBackOffAndGivesUpAfterTheLast) {
    auto spec = hourly();
    spec.tries = 3;
    spec.backoff_least = 1s;
    spec.backoff_most = 1s;
    Driven job(spec);
    for (int attempt = 1; attempt <= 3; ++attempt) {
        EXPECT_EQ(job.run(1).tries, attempt);
        EXPECT_EQ(job.end(code(3)).attempt, attempt);
        if (attempt < 3) {
            EXPECT_EQ(job.run(1).phase, TryPhase::backing_off);
        }
        job.pass(1s);
    }
    EXPECT_EQ(job.run(1).state, RunState::failed);
    EXPECT_EQ(job.run(1).reason, "exited with code 3, 3rd try of 3");
}

TEST(JobCore, CountsARunOnlyWhenItsVerificationPasses) {
    auto spec = hourly();
    spec.verify_command = "test -s out";
    spec.tries = 2;
    Driven job(spec);
    job.end(code(0), "wrote nothing\n");
    EXPECT_EQ(job.run(1).state, RunState::running);
    auto verification = job.end(code(1), "out is empty\n");
    EXPECT_TRUE(verification.verify);
    EXPECT_EQ(job.run(1).phase, TryPhase::backing_off);
    EXPECT_TRUE(job.run(1).reason.starts_with("its verification exited with code 1, 1st try of 2"));
    EXPECT_EQ(job.run(1).output, "wrote nothing\nout is empty\n");
    job.pass(60s);
    job.end(code(0));
    job.end(code(0));
    EXPECT_EQ(job.run(1).state, RunState::succeeded);
    EXPECT_EQ(job.run(1).reason, "its result was verified");
}

TEST(JobCore, SaysThatATryTookTooLong) {
    auto spec = hourly();
    spec.timeout = 90s;
    Driven job(spec);
    job.end(stopped_by_us());
    EXPECT_EQ(job.run(1).state, RunState::failed);
    EXPECT_EQ(job.run(1).reason, "took longer than 1m30s");
}

TEST(JobCore, SkipsWhatIsDueWhileARunGoesOnAndCountsHowOften) {
    Driven job(hourly());
    job.pass(5h);
    EXPECT_EQ(job.states(), (States{"running", "skipped"}));
    EXPECT_EQ(job.run(2).times, 5u);
    EXPECT_EQ(job.run(2).reason, "run 1 was not over");
}

TEST(JobCore, QueuesAtMostTenRunsAndSkipsTheRest) {
    auto spec = hourly();
    spec.overlap = JobSpec::Overlap::queue;
    Driven job(spec);
    job.pass(13h);
    EXPECT_EQ(job.core->view("x", job.now).queued.size(), 10u);
    EXPECT_EQ(job.run(12).state, RunState::skipped);
    EXPECT_EQ(job.run(12).times, 3u);
    for (int i = 1; i <= 11; ++i) job.end(code(0));
    EXPECT_EQ(job.run(11).state, RunState::succeeded);
}

TEST(JobCore, ReplacesARunThatGoesOn) {
    auto spec = hourly();
    spec.overlap = JobSpec::Overlap::replace;
    spec.tries = 5;
    Driven job(spec);
    auto first = job.started();
    job.pass(1h);
    EXPECT_TRUE(job.stop_asked());
    EXPECT_EQ(job.states(), (States{"running", "queued"}));
    job.pass(1h);
    EXPECT_EQ(job.states(), (States{"running", "replaced", "queued"})) << "still stopping";
    job.actions.clear();
    job.apply(job.core->exited(first.run, stopped_by_us(), "", job.now));
    EXPECT_EQ(job.states(), (States{"replaced", "replaced", "running"}));
    EXPECT_EQ(job.run(1).reason, "the next run was due");
}

TEST(JobCore, RunsOnceAVersionAndAgainForTheNext) {
    Driven job(JobSpec{});
    job.end(code(0));
    job.pass(48h);
    job.restart({});
    EXPECT_EQ(job.states(), States{"succeeded"});
    auto next = job.wanted();
    next.version = 2;
    job.want(next);
    EXPECT_EQ(job.states(), (States{"succeeded", "running"}));
    EXPECT_EQ(job.run(2).version, 2u);
}

TEST(JobCore, TakesOverATryThatRunsThroughARestart) {
    Driven job(hourly());
    auto start = job.started();
    job.restart({report_of(start.run)});
    EXPECT_EQ(job.states(), States{"running"});
    EXPECT_EQ(job.started().run, 0u) << "nothing is started twice";
    job.apply(job.core->exited(start.run, code(0), "", job.now));
    EXPECT_EQ(job.states(), States{"succeeded"});
}

TEST(JobCore, LearnsOfAnEndThatCameWhileNobodyWatched) {
    for (int exit_code : {0, 4}) {
        Driven job(hourly());
        auto start = job.started();
        auto report = report_of(start.run);
        report.exit = code(exit_code);
        job.restart({report});
        EXPECT_EQ(job.run(1).state, exit_code == 0 ? RunState::succeeded : RunState::failed);
    }
}

TEST(JobCore, CountsATryNobodySawTheEndOfAsFailed) {
    auto spec = hourly();
    spec.tries = 2;
    Driven job(spec);
    job.restart({});
    EXPECT_EQ(job.run(1).phase, TryPhase::backing_off);
    job.pass(60s);
    EXPECT_EQ(job.run(1).tries, 2);
    job.restart({});
    EXPECT_EQ(job.run(1).state, RunState::failed);
    EXPECT_EQ(job.run(1).reason, "nobody saw whether it began or how it ended, 2nd try of 2");
}

TEST(JobCore, VerifiesAgainAfterARestartInTheMiddleOfIt) {
    auto spec = hourly();
    spec.verify_command = "true";
    Driven job(spec);
    job.end(code(0));
    auto lost = job.started();
    EXPECT_TRUE(lost.verify);
    job.restart({});
    auto again = job.end(code(0));
    EXPECT_TRUE(again.verify);
    EXPECT_NE(again.run, lost.run);
    EXPECT_EQ(job.run(1).state, RunState::succeeded);
}

TEST(JobCore, StopsWhatRunsInItsSlotWithoutARecord) {
    Driven job(hourly());
    job.end(code(0));
    job.restart({report_of(99)});
    EXPECT_TRUE(job.stop_asked());
    EXPECT_EQ(job.notes.size(), 1u);
}

TEST(JobCore, ReportsMissedRunsInOneRecordAndDoesNotMakeUpForThem) {
    Driven job(hourly());
    job.end(code(0));
    job.now.instant += 5h + 20min;
    job.now.wall += 5h + 20min;
    job.restart({});
    EXPECT_EQ(job.states(), (States{"succeeded", "missed"}));
    EXPECT_EQ(job.run(2).times, 5u);
    EXPECT_EQ(job.run(2).reason, "missed 5 times: Holdfast was not running when it was due");
    job.pass(40min);
    EXPECT_EQ(job.states(), (States{"succeeded", "missed", "running"}));
}

TEST(JobCore, DoesNotCountWhatPassesWhilePausedAsMissed) {
    Driven job(hourly());
    job.end(code(0));
    auto paused = job.wanted();
    paused.paused = true;
    job.want(paused);
    job.pass(10h);
    job.restart({});
    job.pass(10h);
    EXPECT_EQ(job.states(), States{"succeeded"});
    paused.paused = false;
    job.want(paused);
    EXPECT_EQ(job.states(), (States{"succeeded", "running"}));
}

TEST(JobCore, StopsItsRunWhenPausedAndTriesNoMore) {
    auto spec = hourly();
    spec.tries = 3;
    Driven job(spec);
    auto start = job.started();
    auto paused = job.wanted();
    paused.paused = true;
    job.want(paused);
    EXPECT_TRUE(job.stop_asked());
    job.apply(job.core->exited(start.run, stopped_by_us(), "", job.now));
    EXPECT_EQ(job.run(1).state, RunState::failed);
    EXPECT_EQ(job.run(1).reason, "stopped by its owner");
}

TEST(JobCore, RunsNowOnceWhenItsOwnerStartsAPausedJob) {
    Driven job(hourly());
    job.end(code(0));
    auto wanted = job.wanted();
    wanted.paused = true;
    job.want(wanted);
    job.apply(job.core->run_now(job.now));
    EXPECT_EQ(job.states(), States{"succeeded"});
    wanted.paused = false;
    job.want(wanted);
    EXPECT_EQ(job.states(), (States{"succeeded", "running"}));
}

TEST(JobCore, WaitsForTheServicesItComesAfter) {
    Driven job(hourly());
    job.end(code(0));
    job.apply(job.core->prerequisites(false, "db", job.now));
    job.pass(1h);
    EXPECT_EQ(job.run(2).state, RunState::queued);
    EXPECT_EQ(job.run(2).reason, "waits for db");
    job.apply(job.core->prerequisites(true, "", job.now));
    EXPECT_EQ(job.run(2).state, RunState::running);
}

TEST(JobCore, KeepsTheLastFiftyRuns) {
    Driven job(hourly());
    for (int i = 0; i < 80; ++i) {
        job.end(code(0));
        job.pass(1h);
    }
    EXPECT_EQ(job.core->runs().size(), JobCore::kept_max);
    EXPECT_EQ(job.core->runs().rbegin()->first, 81u);
}

TEST(JobCore, SaysWhyATryCouldNotBegin) {
    Driven job(hourly());
    job.apply(job.core->refused(job.started().run, "no such file: /opt/x", job.now));
    EXPECT_EQ(job.run(1).state, RunState::failed);
    EXPECT_EQ(job.run(1).reason, "it could not be started: no such file: /opt/x");
}

TEST(JobCore, RetiresOnceNothingRuns) {
    Driven job(hourly());
    auto start = job.started();
    job.apply(job.core->retire(job.now));
    EXPECT_TRUE(job.stop_asked());
    EXPECT_FALSE(job.core->idle());
    job.apply(job.core->exited(start.run, stopped_by_us(), "", job.now));
    EXPECT_TRUE(job.core->idle());
    EXPECT_EQ(job.core->next_deadline(), Instant::max());
}

TEST(JobCore, StopsWithHoldfastAndGoesOnWithIt) {
    Driven job(JobSpec{});  // once
    auto start = job.started();
    job.apply(job.core->interrupt(job.now));
    EXPECT_TRUE(job.stop_asked());
    job.apply(job.core->exited(start.run, stopped_by_us(), "", job.now));
    EXPECT_EQ(job.run(1).reason, "Holdfast was stopped");
    job.restart({});
    EXPECT_EQ(job.states(), (States{"failed", "running"})) << "it has not had its run";
}

}  // namespace
}  // namespace holdfast::service
