// Seeded simulation of supervision without a world: random programs, random wishes, random faults.
//
// Always: one run per slot but for the pair of a hot restart; no more starts under way than
// allowed; nothing started before what it comes after, nor against a wish; never two versions at
// once by `recreate`. Once faults cease: everything that is wanted is ready within a bound, and all
// is quiet.
#include "service/supervisor_core.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <csignal>
#include <deque>
#include <functional>
#include <map>
#include <set>

namespace holdfast::service {
namespace {

using runtime::EndedBy;
using runtime::RunId;
using namespace std::chrono_literals;

constexpr int starting_max = 3;

struct Traits {
    Duration ready_after{};
    bool notifies = false;
    double dies_early = 0;     // Probability to end before being ready.
    Duration crashes_after{};  // Zero: never.
    Duration hangs_after{};
    Duration ends_within{};  // Of SIGTERM.
    bool ignores_sigterm = false;
};

// The machine as far as the core can tell: runs, their ends, and answers that take a while.
class Bench {
  public:
    std::string last_lines() const { return fmt::format("{}", fmt::join(trace_, "\n")); }

    explicit Bench(std::uint64_t seed)
        : random_(seed),
          core_({.starting_max = starting_max, .start_hold_max = 10s, .first_run = 1},
                random_.fork()) {}

    void run(Duration faults, Duration calm);

  private:
    struct Live {
        InstanceId instance;
        VersionNumber content = 0;
        DeploySpec::Strategy strategy{};
        Traits traits;
        bool counted = false;  // Among those being started.
        Instant launched;
        bool stopping = false;
        bool ready_probe = false;
    };

    void at(Duration after, std::function<void()> event) {
        events_.emplace(now_ + after, std::move(event));
    }
    Duration some(Duration most) { return random_.between(Duration::zero(), most); }
    Traits traits(VersionNumber content);
    void wish();
    void declare(const std::string& name);
    void disturb();
    void step();
    void trace(const Action& action);
    void carry_out(const Action& action);
    void launch(const LaunchRun& launch);
    void animate(RunId run);
    void end(RunId run, EndedBy by, int signal);
    void check_launch(const LaunchRun& launch);
    void roll_back(const AskRollback& ask);

    runtime::Random random_;
    Instant now_{};
    SupervisorCore core_;
    std::multimap<Instant, std::function<void()>> events_;
    std::map<std::string, DesiredService> wanted_;
    std::map<std::string, std::map<VersionNumber, Spec>> specs_;
    std::map<std::string, VersionNumber> last_version_;
    std::map<RunId, Live> live_;
    std::set<RunId> used_;
    std::set<std::string> begun_;
    bool faults_ = true;
    std::deque<std::string> trace_;  // The last lines, for the reader of a failure.
};

Traits Bench::traits(VersionNumber content) {
    Traits t;
    t.ready_after = some(2s);
    t.notifies = content % 2 == 0;
    t.ends_within = some(500ms);
    if (!faults_) return t;
    if (random_.chance(0.3)) t.dies_early = random_.unit();
    if (random_.chance(0.3)) t.crashes_after = some(60s) + 1ms;
    if (random_.chance(0.2)) t.hangs_after = some(60s) + 1ms;
    if (random_.chance(0.1)) t.ready_after = 1h;
    t.ignores_sigterm = random_.chance(0.1);
    return t;
}

void Bench::declare(const std::string& name) {
    DesiredService wanted;
    if (auto known = wanted_.find(name); known != wanted_.end()) wanted = known->second;
    wanted.spec = Spec{};
    wanted.spec.name = name;
    wanted.spec.command = {"program"};
    wanted.version = ++last_version_[name];
    wanted.cause = Cause::apply;
    wanted.restores = 0;
    wanted.instances = static_cast<int>(1 + random_.below(4));
    if (name == "b") wanted.spec.after = {"a"};
    if (name == "c") wanted.spec.after = {"a", "b"};
    wanted.spec.deploy.watch = some(20s) + 1ms;
    wanted.spec.deploy.drain = 1s + some(5s);
    if (random_.chance(0.5)) {
        wanted.spec.listen = ListenSpec{.port = 8080, .sockets = SocketMode::inherit};
        wanted.spec.deploy.strategy = DeploySpec::Strategy::hot;
    }
    if (random_.chance(0.3)) {
        wanted.spec.health.ready = health::ProbeSpec{health::ProbeSpec::Kind::http, "/", ""};
    }
    if (random_.chance(0.3)) wanted.spec.deploy.rollback = DeploySpec::Rollback::manual;
    specs_[name][wanted.version] = wanted.spec;
    wanted_[name] = wanted;
    core_.want(now_, name, wanted, std::nullopt);
}

void Bench::wish() {
    const std::string name(1, static_cast<char>('a' + random_.below(3)));
    auto known = wanted_.find(name);
    if (known == wanted_.end()) return declare(name);
    switch (random_.below(8)) {
        case 0:
            known->second.running = Running::stopped;
            break;
        case 1:
        case 2:
            known->second.running = Running::running;
            break;
        case 3:
            known->second.instances = static_cast<int>(1 + random_.below(4));
            break;
        case 4:
            ++known->second.restart_serial;
            break;
        case 5:
            if (random_.chance(0.8)) return declare(name);
            wanted_.erase(known);
            core_.unwant(now_, name);
            return;
        case 6:
            core_.start_now(now_, name);
            return;
        default:
            return declare(name);
    }
    core_.want(now_, name, known->second, std::nullopt);
}

void Bench::disturb() {
    if (live_.empty()) return;
    auto victim = live_.begin();
    std::advance(victim, static_cast<long>(random_.below(live_.size())));
    RunId run = victim->first;
    switch (random_.below(4)) {
        case 0:
            end(run, EndedBy::outside, SIGKILL);
            break;
        case 1:
            end(run, EndedBy::oom, SIGKILL);
            break;
        case 2:
            core_.probed(now_, {run, ProbeRole::ready, false, now_, "HTTP 500"});
            if (random_.chance(0.5)) {
                at(some(3s), [=, this] {
                    core_.probed(now_, {run, ProbeRole::ready, true, now_, "HTTP 200"});
                });
            }
            break;
        default:
            end(run, EndedBy::itself, SIGSEGV);
            break;
    }
}

void Bench::check_launch(const LaunchRun& launch) {
    const auto& id = launch.instance;
    ASSERT_TRUE(used_.insert(launch.run).second) << "run id used twice";
    auto wanted = wanted_.find(id.service);
    ASSERT_TRUE(wanted != wanted_.end() && wanted->second.running == Running::running)
        << instance_name(id) << " started against the wish";
    ASSERT_LT(id.index, wanted->second.instances);
    int starting = 0;
    std::size_t in_slot = 0;
    for (const auto& [run, live] : live_) {
        starting += !live.counted && now_ - live.launched < 10s && !live.stopping;
        if (live.instance.service == id.service &&
            launch.release->spec.deploy.strategy == DeploySpec::Strategy::recreate) {
            ASSERT_EQ(live.content, launch.release->content) << "two versions at once";
        }
        if (live.instance != id) continue;
        ++in_slot;
        ASSERT_EQ(run, launch.beside) << "twice in slot " << instance_slot(id);
    }
    ASSERT_LE(in_slot, 1u);
    ASSERT_LT(starting, starting_max) << "too many starts at once";
    if (!begun_.insert(id.service).second) return;
    for (const auto& name : launch.release->spec.after) {
        auto before = core_.service(Moment{now_, {}}, name);
        ASSERT_TRUE(before && before->ready > 0)
            << id.service << " was started before " << name << " was ready";
    }
}

void Bench::launch(const LaunchRun& launch) {
    check_launch(launch);
    Live live{launch.instance,
              launch.release->content,
              launch.release->spec.deploy.strategy,
              traits(launch.release->content),
              false,
              now_,
              false,
              false};
    live_.emplace(launch.run, live);
    bool fails = faults_ && random_.chance(0.05);
    at(some(20ms), [=, this, run = launch.run] {
        if (!live_.contains(run)) return;
        if (fails) {
            live_.erase(run);
            core_.launch_failed(now_, run, Error{Errc::exhausted, "no pids"});
            return;
        }
        runtime::RunReport report;
        report.run = run;
        report.pid = static_cast<int>(run);
        core_.launched(now_, report);
        animate(run);
    });
}

void Bench::animate(RunId run) {
    const Traits t = live_.at(run).traits;
    if (random_.chance(t.dies_early)) {
        at(some(t.ready_after), [=, this] { end(run, EndedBy::itself, SIGABRT); });
        return;
    }
    at(t.ready_after, [=, this] {
        auto live = live_.find(run);
        if (live == live_.end()) return;
        runtime::Notified notified;
        notified.ready = true;
        notified.watchdog = now_;
        if (t.hangs_after == 0ns) notified.watchdog.reset();
        if (t.notifies || t.hangs_after > 0ns) core_.notified(now_, run, notified);
        if (live->second.ready_probe) {
            core_.probed(now_, {run, ProbeRole::ready, true, now_, "connected"});
        }
    });
    if (t.crashes_after > 0ns) {
        at(t.crashes_after, [=, this] { end(run, EndedBy::itself, SIGSEGV); });
    }
}

void Bench::end(RunId run, EndedBy by, int signal) {
    if (live_.erase(run) == 0) return;
    runtime::Exit exit;
    exit.by = by;
    exit.signal = signal;
    core_.exited(now_, run, exit);
}

void Bench::roll_back(const AskRollback& ask) {
    at(some(50ms), [=, this] {
        auto known = wanted_.find(ask.service);
        if (known == wanted_.end() || known->second.version != ask.version) {
            core_.rollback_refused(now_, ask.service, "somebody was first");
            return;
        }
        auto& specs = specs_[ask.service];
        auto older = specs.lower_bound(known->second.version);
        if (older == specs.begin() || random_.chance(0.2)) {
            core_.rollback_refused(now_, ask.service, "the program has changed");
            return;
        }
        --older;
        auto& wanted = known->second;
        wanted.restores = older->first;
        wanted.spec = older->second;
        wanted.version = ++last_version_[ask.service];
        wanted.cause = Cause::rollback;
        core_.want(now_, ask.service, wanted, std::nullopt);
    });
}

void Bench::trace(const Action& action) {
    auto line = fmt::format("{:9.3f} ", std::chrono::duration<double>(now_ - Instant{}).count());
    if (auto* told = std::get_if<TellState>(&action)) {
        line += fmt::format("{}.{} {} -> {}: {}", told->service, told->index.value_or(-1),
                            told->from, told->to, told->reason);
    } else if (auto* event = std::get_if<TellEvent>(&action)) {
        line += fmt::format("{}.{} {}: {}", event->service, event->index.value_or(-1), event->kind,
                            event->text);
    } else if (auto* launch = std::get_if<LaunchRun>(&action)) {
        line += fmt::format("launch {} {} beside {}", instance_name(launch->instance), launch->run,
                            launch->beside.value_or(0));
    } else if (auto* stop = std::get_if<StopRun>(&action)) {
        line += fmt::format("stop {}", stop->run);
    } else {
        return;
    }
    trace_.push_back(std::move(line));
    if (trace_.size() > 80) trace_.pop_front();
}

void Bench::carry_out(const Action& action) {
    if (auto* it = std::get_if<LaunchRun>(&action)) {
        launch(*it);
    } else if (auto* stop = std::get_if<StopRun>(&action)) {
        auto live = live_.find(stop->run);
        if (live == live_.end()) return;
        live->second.stopping = true;
        auto takes = live->second.traits.ignores_sigterm
                         ? stop->grace
                         : std::min(stop->grace, live->second.traits.ends_within);
        at(takes, [=, this, run = stop->run] { end(run, EndedBy::holdfast, SIGTERM); });
    } else if (auto* probe = std::get_if<StartProbe>(&action)) {
        auto live = live_.find(probe->run);
        if (live == live_.end() || probe->role != ProbeRole::ready) return;
        live->second.ready_probe = true;
        if (now_ - live->second.launched < live->second.traits.ready_after) return;
        at(some(10ms), [=, this, run = probe->run] {
            core_.probed(now_, {run, ProbeRole::ready, true, now_, "connected"});
        });
    } else if (auto* ready = std::get_if<CountReady>(&action)) {
        for (auto& [run, live] : live_) live.counted |= live.instance == ready->instance;
    } else if (auto* ask = std::get_if<AskRollback>(&action)) {
        roll_back(*ask);
    }
}

void Bench::step() {
    for (const auto& action : core_.step(now_)) {
        trace(action);
        carry_out(action);
    }
    std::erase_if(begun_, [&](const std::string& name) {
        auto wanted = wanted_.find(name);
        bool runs = wanted != wanted_.end() && wanted->second.running == Running::running;
        for (const auto& [run, live] : live_) runs |= live.instance.service == name;
        return !runs;
    });
}

void Bench::run(Duration faults, Duration calm) {
    for (Duration t{}; t < faults; t += some(4s)) {
        at(t, [this] { wish(); });
        at(std::min(t + some(4s), faults), [this] { disturb(); });
    }
    at(faults, [this] {
        // Everything of before is replaced by something that works.
        faults_ = false;
        for (const char* name : {"a", "b", "c"}) {
            declare(name);
            auto& wanted = wanted_.at(name);
            wanted.running = Running::running;
            core_.want(now_, name, wanted, std::nullopt);
        }
    });
    int at_this_instant = 0;
    const Instant until = now_ + faults + calm;
    while (!testing::Test::HasFatalFailure()) {
        step();
        Instant next = core_.next_deadline();
        if (!events_.empty()) next = std::min(next, events_.begin()->first);
        if (next > until) break;
        at_this_instant = next <= now_ ? at_this_instant + 1 : 0;
        ASSERT_LT(at_this_instant, 1000) << "does not come to rest";
        now_ = std::max(now_, next);
        while (!events_.empty() && events_.begin()->first <= now_) {
            auto event = std::move(events_.begin()->second);
            events_.erase(events_.begin());
            event();
        }
    }
    now_ = until;
    for (const auto& view : core_.services(Moment{now_, {}})) {
        ASSERT_EQ(view.state, ServiceState::ready) << view.name << ": " << view.reason;
        ASSERT_EQ(view.ready, view.wanted);
        ASSERT_EQ(view.version, last_version_[view.name]);
        ASSERT_FALSE(view.rollout);
        for (const auto& instance : view.instances) {
            ASSERT_EQ(instance.state, InstanceState::ready) << instance.id << instance.reason;
            ASSERT_EQ(instance.version, view.version);
        }
    }
    core_.shut_down();
    step();
    for (int i = 0; !core_.idle(); ++i) {
        ASSERT_LT(i, 1000);
        ASSERT_FALSE(events_.empty()) << "waits for nothing while shutting down";
        now_ = std::max(now_, events_.begin()->first);
        auto event = std::move(events_.begin()->second);
        events_.erase(events_.begin());
        event();
        step();
    }
    ASSERT_TRUE(live_.empty());
}

constexpr std::uint64_t seeds_per_shard = 250;

class SupervisorCoreSimulation : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SupervisorCoreSimulation, KeepsItsPromisesThroughFaultsAndRecoversWhenTheyCease) {
    for (std::uint64_t i = 0; i < seeds_per_shard; ++i) {
        auto seed = GetParam() * seeds_per_shard + i;
        SCOPED_TRACE(fmt::format("seed {}", seed));
        Bench bench(seed);
        bench.run(90s, 200s);
        ASSERT_FALSE(HasFatalFailure()) << bench.last_lines();
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SupervisorCoreSimulation, testing::Range<std::uint64_t>(0, 8));

}  // namespace
}  // namespace holdfast::service
