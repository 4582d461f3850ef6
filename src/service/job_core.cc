#include "service/job_core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/units.h"
#include "health/probe.h"
#include "health/utf8.h"
#include "service/instance_action.h"

namespace holdfast::service {

namespace {

constexpr std::size_t output_bytes_max = 2048;

std::string tail(std::string_view output) {
    auto start = output.size() - std::min(output.size(), output_bytes_max);
    return health::to_utf8(output.substr(start));
}

std::string times(std::uint64_t n) {
    return n == 1 ? "once" : fmt::format("{} times", n);
}

}  // namespace

std::string failure_of(const runtime::Exit& exit, Duration timeout) {
    if (exit.code == 0) return {};
    if (exit.by == runtime::EndedBy::holdfast && timeout > Duration::zero()) {
        return "took longer than " + format_duration(timeout);
    }
    return describe_exit(exit);
}

// Brings the memory in line with what is wanted first.
Schedule JobCore::make_schedule(Now now) {
    const auto& spec = wanted_.spec;
    auto& memory = memory_;
    auto text = schedule_text(spec);
    // Occasions that passed while it was stopped were not due.
    if (memory.paused && !wanted_.paused) memory.decided.reset();
    memory.paused = wanted_.paused;
    if (!memory.schedule.empty() && memory.schedule != text && memory.decided) {
        // Another schedule now: what the old one decided says nothing about missed occasions of it.
        auto period = spec.when == JobSpec::When::every ? spec.every : Duration::zero();
        memory.decided = std::max(*memory.decided, now.wall - period);
    }
    memory.schedule = std::move(text);
    if (spec.when != JobSpec::When::once)
        return Schedule(spec, memory.decided, now.instant, now.wall);
    auto of_version = [&](const auto& entry) {
        return entry.second.version == wanted_.version && !ended(entry.second.state);
    };
    bool taken = memory.done == wanted_.version || std::ranges::any_of(runs_, of_version);
    return Schedule(spec, taken ? std::optional(now.wall) : std::nullopt, now.instant, now.wall);
}

JobCore::JobCore(Wanted wanted, Kept kept, Now now, runtime::Random random)
    : wanted_(std::move(wanted)),
      memory_(std::move(kept.memory)),
      schedule_(wanted_.spec, std::nullopt, now.instant, now.wall),
      random_(std::move(random)) {
    backoff_.set_bounds(wanted_.spec.backoff_least, wanted_.spec.backoff_most);
    for (auto& run : kept.runs) {
        memory_.last_number = std::max(memory_.last_number, run.number);
        if (run.state == RunState::queued) queue_.push_back(run.number);
        if (run.state == RunState::running) {
            HF_CHECK(!current_);  // There is one at a time, in every record we write.
            current_ = run.number;
            for (int i = 1; i < run.tries; ++i) (void)backoff_.failed(random_);
        }
        runs_.emplace(run.number, std::move(run));
    }
    schedule_ = make_schedule(now);
}

void JobCore::keep(const JobRun& run, JobStep& step) {
    auto same = std::ranges::find(step.records, run.number, &JobRun::number);
    if (same == step.records.end()) {
        step.records.push_back(run);
    } else {
        *same = run;
    }
}

void JobCore::remember(JobStep& step) {
    memory_.decided =
        wanted_.spec.when == JobSpec::When::once ? memory_.decided : schedule_.decided();
    step.memory = memory_;
}

JobRun& JobCore::add_run(WallTime due, JobStep& step) {
    auto number = ++memory_.last_number;
    auto& run = runs_[number];
    run.number = number;
    run.version = wanted_.version;
    run.due = due;
    remember(step);
    prune(step);
    return run;
}

void JobCore::prune(JobStep& step) {
    for (auto run = runs_.begin(); run != runs_.end() && runs_.size() > kept_max;) {
        if (!ended(run->second.state)) {
            ++run;
            continue;
        }
        std::erase_if(step.records, [&](const JobRun& r) { return r.number == run->first; });
        step.erased.push_back(run->first);
        run = runs_.erase(run);
    }
}

runtime::RunId JobCore::new_run() {
    return std::max<runtime::RunId>(random_.next(), 1);
}

JobStep JobCore::adopt(const std::vector<runtime::RunReport>& reports, Now now) {
    JobStep step;
    adopted_ = true;
    remember(step);
    if (wanted_.paused) {
        drop_queue(RunState::replaced, "stopped by its owner", now, step);
        stop_current(Ending::stopped, "stopped by its owner", now, step);
    }
    for (const auto& report : reports) {
        auto* run = current_ ? &runs_.at(*current_) : nullptr;
        if (run && (report.run == run->run || report.run == run->verify)) continue;
        if (report.exit) {
            step.actions.emplace_back(ForgetTry{report.run});
        } else {
            step.notes.push_back(
                fmt::format("pid {} runs for this job, and no record says why: it is "
                            "stopped",
                            report.pid));
            step.actions.emplace_back(StopTry{report.run});
        }
    }
    if (current_) adopt_current(reports, now, step);
    begin_next(now, step);
    return step;
}

void JobCore::adopt_current(const std::vector<runtime::RunReport>& reports, Now now,
                            JobStep& step) {
    auto& run = runs_.at(*current_);
    if (run.phase == TryPhase::backing_off || run.phase == TryPhase::none) {
        run.phase = TryPhase::backing_off;
        retry_at_ = now.instant + backoff_.failed(random_);
        return;
    }
    bool verifying = run.phase == TryPhase::verifying;
    auto id = verifying ? run.verify : run.run;
    auto report = std::ranges::find(reports, id, &runtime::RunReport::run);
    if (report == reports.end()) {
        if (run.ending != Ending::none) {
            end_run(run, run.ending == Ending::replaced ? RunState::replaced : RunState::failed,
                    "was being stopped when the node ended", now, step);
        } else if (verifying) {
            begin_verify(run, step);  // To look twice does no harm.
        } else {
            try_failed(run, "nobody saw whether it began or how it ended", now, step);
        }
        return;
    }
    if (!report->exit) return;  // It still runs: its exit will be told.
    auto ended = exited(id, *report->exit, run.output, now);
    for (auto& record : ended.records) keep(record, step);
    std::ranges::move(ended.actions, std::back_inserter(step.actions));
    std::ranges::move(ended.erased, std::back_inserter(step.erased));
    if (ended.memory) step.memory = ended.memory;
}

JobStep JobCore::advance(Now now) {
    JobStep step;
    if (current_ && now.instant >= retry_at_) begin_try(runs_.at(*current_), now, step);
    check_schedule(now, step);
    return step;
}

void JobCore::check_schedule(Now now, JobStep& step) {
    if (!adopted_ || wanted_.paused || retired_ || interrupted_) return;
    auto occasions = schedule_.due(now.instant, now.wall);
    if (occasions.note) step.notes.push_back(*occasions.note);
    if (occasions.missed) miss(*occasions.missed, now, step);
    if (occasions.take) take(*occasions.take, now, step);
    if (occasions.decided) remember(step);
}

void JobCore::miss(const Missed& missed, Now now, JobStep& step) {
    auto& run = add_run(missed.first, step);
    run.times = missed.times;
    run.state = RunState::missed;
    run.ended = now.wall;
    run.reason = missed.times == 1
                     ? missed.reason
                     : fmt::format("missed {}: {}", times(missed.times), missed.reason);
    keep(run, step);
    step.notes.push_back(fmt::format("missed {}, first at {}: {}", times(missed.times),
                                     format_wall_time(missed.first), missed.reason));
}

void JobCore::skip(WallTime due, std::string reason, Now now, JobStep& step) {
    auto last = runs_.empty() ? nullptr : &runs_.rbegin()->second;
    bool again = last && last->state == RunState::skipped && last->reason == reason;
    auto& run = again ? *last : add_run(due, step);
    if (again) ++run.times;
    run.state = RunState::skipped;
    run.ended = now.wall;
    run.reason = std::move(reason);
    keep(run, step);
}

void JobCore::drop_queue(RunState state, std::string reason, Now now, JobStep& step) {
    for (auto number : std::exchange(queue_, {})) {
        auto& run = runs_.at(number);
        run.state = state;
        run.ended = now.wall;
        run.reason = reason;
        keep(run, step);
    }
}

void JobCore::take(WallTime due, Now now, JobStep& step) {
    bool busy = current_ || !queue_.empty();
    if (busy) {
        // What runs only once is never skipped for want of a better moment.
        bool once = wanted_.spec.when == JobSpec::When::once;
        auto overlap = wanted_.spec.overlap;
        if (once && overlap == JobSpec::Overlap::skip) overlap = JobSpec::Overlap::queue;
        switch (overlap) {
            case JobSpec::Overlap::skip: {
                auto number = current_ ? *current_ : queue_.front();
                skip(due, fmt::format("run {} was not over", number), now, step);
                return;
            }
            case JobSpec::Overlap::queue:
                if (queue_.size() >= queued_max) {
                    skip(due, fmt::format("{} runs were waiting already", queue_.size()), now,
                         step);
                    return;
                }
                break;
            case JobSpec::Overlap::replace:
                drop_queue(RunState::replaced, "the next run was due", now, step);
                stop_current(Ending::replaced, "the next run was due", now, step);
                break;
        }
    }
    auto& run = add_run(due, step);
    run.state = RunState::queued;
    run.reason = current_ ? fmt::format("waits for run {}", *current_) : "about to begin";
    queue_.push_back(run.number);
    keep(run, step);
    begin_next(now, step);
}

void JobCore::begin_next(Now now, JobStep& step) {
    if (!adopted_ || current_ || queue_.empty()) return;
    if (wanted_.paused || retired_ || interrupted_) return;
    auto& run = runs_.at(queue_.front());
    if (!ready_) {
        auto reason = "waits for " + waiting_for_;
        if (run.reason != reason) {
            run.reason = reason;
            keep(run, step);
        }
        return;
    }
    queue_.pop_front();
    current_ = run.number;
    run.state = RunState::running;
    run.started = now.wall;
    run.version = wanted_.version;
    run.tries = 0;
    backoff_.forget();
    begin_try(run, now, step);
}

void JobCore::begin_try(JobRun& run, Now, JobStep& step) {
    retry_at_ = Instant::max();
    ++run.tries;
    run.phase = TryPhase::running;
    run.run = new_run();
    run.verify = 0;
    run.code.reset();
    run.signal.reset();
    run.output.clear();
    run.reason = wanted_.spec.tries > 1
                     ? fmt::format("{} try of {}", health::ordinal(run.tries), wanted_.spec.tries)
                     : "running";
    keep(run, step);
    step.actions.emplace_back(StartTry{.number = run.number, .attempt = run.tries, .run = run.run});
}

void JobCore::begin_verify(JobRun& run, JobStep& step) {
    run.phase = TryPhase::verifying;
    run.verify = new_run();
    run.reason = "the result is being verified";
    keep(run, step);
    step.actions.emplace_back(
        StartTry{.number = run.number, .attempt = run.tries, .run = run.verify, .verify = true});
}

JobStep JobCore::refused(runtime::RunId id, std::string reason, Now now) {
    JobStep step;
    auto* run = current_ ? &runs_.at(*current_) : nullptr;
    bool verification = run && run->verify == id;
    if (!run || (run->run != id && !verification)) return step;
    reason = health::to_utf8(reason);
    if (run->ending != Ending::none) {
        end_run(*run, run->ending == Ending::replaced ? RunState::replaced : RunState::failed,
                run->reason, now, step);
        return step;
    }
    try_failed(*run,
               fmt::format("{} could not be started: {}", verification ? "its verification" : "it",
                           reason),
               now, step);
    return step;
}

JobStep JobCore::exited(runtime::RunId id, const runtime::Exit& exit, std::string output, Now now) {
    JobStep step;
    step.actions.emplace_back(ForgetTry{id});
    auto* run = current_ ? &runs_.at(*current_) : nullptr;
    bool program = run && run->phase == TryPhase::running && run->run == id;
    bool verification = run && run->phase == TryPhase::verifying && run->verify == id;
    if (!program && !verification) return step;
    if (program) {
        run->code = exit.code;
        run->signal = exit.signal;
        run->output.clear();
    }
    run->output = tail(run->output + output);
    auto failure = failure_of(exit, wanted_.spec.timeout);
    if (run->ending != Ending::none) {
        end_run(*run, run->ending == Ending::replaced ? RunState::replaced : RunState::failed,
                run->reason, now, step);
    } else if (!failure.empty()) {
        try_failed(*run, (verification ? "its verification " : "") + failure, now, step);
    } else if (program && wanted_.spec.verify_command) {
        begin_verify(*run, step);
    } else {
        end_run(*run, RunState::succeeded,
                verification ? "its result was verified" : "exited with code 0", now, step);
    }
    return step;
}

void JobCore::try_failed(JobRun& run, std::string reason, Now now, JobStep& step) {
    bool again = run.tries < wanted_.spec.tries && !wanted_.paused && !retired_ && !interrupted_;
    if (!again) {
        auto words = run.tries > 1 ? fmt::format("{}, {} try of {}", reason,
                                                 health::ordinal(run.tries), wanted_.spec.tries)
                                   : std::move(reason);
        end_run(run, RunState::failed, std::move(words), now, step);
        return;
    }
    // The owner's least pause is a promise, unlike that of a restart, where many fail at once.
    auto wait = std::max(wanted_.spec.backoff_least, backoff_.failed(random_));
    retry_at_ = now.instant + wait;
    run.phase = TryPhase::backing_off;
    run.reason = fmt::format("{}, {} try of {}; the next in {}", reason, health::ordinal(run.tries),
                             wanted_.spec.tries, format_duration_rough(wait));
    keep(run, step);
}

void JobCore::end_run(JobRun& run, RunState state, std::string reason, Now now, JobStep& step) {
    HF_CHECK(current_ == run.number);
    HF_CHECK(ended(state));
    bool by_us = run.ending != Ending::none;
    current_.reset();
    retry_at_ = Instant::max();
    run.state = state;
    run.ended = now.wall;
    run.phase = TryPhase::none;
    run.ending = Ending::none;
    run.reason = std::move(reason);
    keep(run, step);
    if (wanted_.spec.when == JobSpec::When::once && !by_us && memory_.done != run.version) {
        memory_.done = run.version;
        remember(step);
    }
    prune(step);
    begin_next(now, step);
}

void JobCore::stop_current(Ending ending, std::string reason, Now now, JobStep& step) {
    if (!current_) return;
    auto& run = runs_.at(*current_);
    bool waits = run.phase == TryPhase::backing_off;
    bool already = run.ending != Ending::none;
    run.ending = ending;
    run.reason = std::move(reason);
    if (waits) {
        end_run(run, ending == Ending::replaced ? RunState::replaced : RunState::failed, run.reason,
                now, step);
        return;
    }
    keep(run, step);
    if (!already) {
        step.actions.emplace_back(StopTry{run.phase == TryPhase::verifying ? run.verify : run.run});
    }
}

JobStep JobCore::want(Wanted wanted, Now now) {
    JobStep step;
    if (wanted == wanted_) return step;
    bool resumed = wanted_.paused && !wanted.paused;
    bool stopped = !wanted_.paused && wanted.paused;
    bool rescheduled = schedule_text(wanted.spec) != schedule_text(wanted_.spec) ||
                       wanted.version != wanted_.version;
    wanted_ = std::move(wanted);
    backoff_.set_bounds(wanted_.spec.backoff_least, wanted_.spec.backoff_most);
    if (stopped) {
        drop_queue(RunState::replaced, "stopped by its owner", now, step);
        stop_current(Ending::stopped, "stopped by its owner", now, step);
    }
    if (resumed || stopped || rescheduled) schedule_ = make_schedule(now);
    remember(step);
    if (resumed) {
        bool due = wanted_.spec.when == JobSpec::When::every;
        if (std::exchange(run_when_resumed_, false) && !due) take(now.wall, now, step);
    }
    check_schedule(now, step);
    return step;
}

JobStep JobCore::prerequisites(bool ready, std::string waiting_for, Now now) {
    JobStep step;
    ready_ = ready;
    waiting_for_ = std::move(waiting_for);
    begin_next(now, step);
    return step;
}

JobStep JobCore::run_now(Now now) {
    JobStep step;
    if (retired_) return step;
    if (wanted_.paused) {
        run_when_resumed_ = true;
    } else {
        take(now.wall, now, step);
    }
    return step;
}

JobStep JobCore::retire(Now now) {
    JobStep step;
    if (std::exchange(retired_, true)) return step;
    drop_queue(RunState::replaced, "the job was deleted", now, step);
    stop_current(Ending::stopped, "the job was deleted", now, step);
    return step;
}

JobStep JobCore::interrupt(Now now) {
    JobStep step;
    interrupted_ = true;
    stop_current(Ending::stopped, "Holdfast was stopped", now, step);
    return step;
}

Instant JobCore::next_deadline() const {
    auto scheduled =
        wanted_.paused || retired_ || interrupted_ ? Instant::max() : schedule_.next_deadline();
    return std::min(scheduled, retry_at_);
}

}  // namespace holdfast::service
