// How the supervisor finds out what runs and what is wanted, at the start and from then on.
#include <fmt/format.h>

#include <charconv>

#include "base/check.h"
#include "base/log.h"
#include "base/units.h"
#include "health/journal.h"
#include "service/supervisor_state.h"

namespace holdfast::service {

using runtime::Task;

namespace {

// Above the starts of the node, below the runs of one start.
constexpr int run_bits = 32;
constexpr std::uint64_t starts_max = std::uint64_t{1} << 20;  // JSON's numbers end at 2^53.
constexpr std::size_t ended_max = 256;
constexpr int outcome_tries = 5;

}  // namespace

Task<Result<runtime::RunId>> Supervisor::State::first_run() {
    const auto key = fmt::format("nodes/{}/supervisor_starts", options.around.node);
    for (int tries = 0; tries < 10; ++tries) {
        HF_CO_TRY(auto entry, co_await edges.coordinator.get(key));
        std::uint64_t starts = 0;
        if (entry) {
            const auto& text = entry->value;
            auto read = std::from_chars(text.data(), text.data() + text.size(), starts);
            if (read.ec != std::errc{} || starts >= starts_max) {
                co_return fail(Errc::corrupt, fmt::format("{} holds no number of starts: {:?}", key,
                                                          text.substr(0, 40)));
            }
        }
        ++starts;
        coord::Transaction transaction;
        transaction.when.push_back({key, entry ? entry->modified : 0});
        transaction.then.push_back(coord::put(key, fmt::format("{}", starts)));
        HF_CO_TRY(auto outcome, co_await edges.coordinator.commit(std::move(transaction)));
        if (outcome.applied) co_return starts << run_bits | 1;
    }
    co_return fail(Errc::conflict, key + " kept changing under our hands");
}

Task<Result<void>> Supervisor::State::begin() {
    HF_CO_TRY(auto first, co_await first_run());
    if (!first_wishes) {
        HF_CO_TRY(first_wishes, co_await wishes.next());
    }
    HF_CO_TRY(auto reports, co_await edges.processes.list());
    HF_CO_TRY(auto sockets, co_await edges.processes.sockets());
    std::vector<std::string> names;
    for (const auto& socket : sockets) names.push_back(socket.name);
    auto found = co_await resolve(std::move(reports), *first_wishes);

    SupervisorCore::Options core_options;
    core_options.starting_max = options.starting_max;
    core_options.first_run = first;
    core.emplace(core_options, random.fork());
    for (const auto& run : found) {
        auto id = instance_of_slot(run.report.slot);
        places[run.report.run] = {*id, false};
    }
    core->adopt(moment(), std::move(found), names);
    if (shutting) core->shut_down();
    co_await take(*std::exchange(first_wishes, std::nullopt));
    co_return Result<void>();
}

// The release of each run. What cannot be told from its note gets one that is good enough to stop
// it.
Task<std::vector<FoundRun>> Supervisor::State::resolve(std::vector<runtime::RunReport> reports,
                                                       const DesiredEvent& desired) {
    std::map<std::pair<std::string, VersionNumber>, ReleasePtr> known;
    std::vector<FoundRun> found;
    for (auto& report : reports) {
        auto id = instance_of_slot(report.slot);
        if (!id) {
            log_warn("a run in slot {} is none of ours, and is left alone", report.slot);
            continue;
        }
        auto note = decode_note(report.note).value_or(RunNote{});
        Release release{note.version, note.content, note.serial, {}};
        release.spec.name = id->service;
        for (const auto& change : desired.changes) {
            if (change.name != id->service || !change.wanted || !*change.wanted) continue;
            release.spec = (*change.wanted)->spec;
            if ((*change.wanted)->version == note.version) {
                known[{id->service, note.version}] = std::make_shared<const Release>(release);
            }
        }
        auto& cached = known[{id->service, note.version}];
        if (!cached && note.version > 0) {
            auto version = co_await edges.catalog.version(id->service, note.version);
            if (version) release.spec = version->spec;
        }
        if (!cached) cached = std::make_shared<const Release>(release);
        auto exact = std::make_shared<const Release>(
            Release{note.version, note.content, note.serial, cached->spec});
        found.push_back({std::move(report), std::move(exact)});
    }
    co_return found;
}

Task<void> Supervisor::State::take(DesiredEvent event) {
    std::set<std::string> names;
    for (auto& change : event.changes) {
        if (!change.wanted) {
            names.insert(change.name);
            auto text =
                fmt::format("what is wanted of it cannot be read, so it is left as it is: {}",
                            change.wanted.error().message);
            carry_out(TellEvent{TellEvent::Weight::warning, change.name, {}, "wish", text});
            continue;
        }
        auto& wanted = *change.wanted;
        if (!wanted || wanted->spec.job) {
            core->unwant(edges.clock.now(), change.name);
            continue;
        }
        names.insert(change.name);
        std::optional<OutcomeState> known;
        auto& asked = versions[change.name];
        if (asked != wanted->version) {
            for (int tries = 1; tries <= outcome_tries; ++tries) {
                auto outcome = co_await edges.catalog.outcome(change.name, wanted->version);
                if (outcome) {
                    if (*outcome) known = (*outcome)->state;
                    break;
                }
                co_await pause(tries);
            }
            versions[change.name] = wanted->version;
        }
        core->want(edges.clock.now(), change.name, *wanted, known);
    }
    if (event.complete) core->want_only(edges.clock.now(), names);
    wake();
}

Task<void> Supervisor::State::follow_wishes() {
    for (int failures = 0;;) {
        auto event = co_await wishes.next();
        if (!event) {
            if (failures++ == 0) {
                log_warn(
                    "the services that are wanted cannot be read just now, what runs goes on: {}",
                    event.error().message);
            }
            co_await pause(failures);
            continue;
        }
        failures = 0;
        co_await take(std::move(*event));
    }
}

Task<void> Supervisor::State::follow_keeper() {
    for (int failures = 0;;) {
        auto event = co_await edges.processes.next_event();
        if (!event) {
            if (!keeper_lost_since) keeper_lost_since = edges.clock.wall_now();
            if (failures++ == 0) {
                log_warn("the keeper does not answer: {}", event.error().message);
            }
            co_await pause(failures);
            continue;
        }
        failures = 0;
        keeper_lost_since.reset();
        take_event(std::move(*event));
    }
}

void Supervisor::State::take_event(runtime::ProcessEvent event) {
    Instant now = edges.clock.now();
    if (auto* output = std::get_if<runtime::RunOutput>(&event)) {
        auto place = places.find(output->run);
        if (place == places.end()) return;
        const auto& id = place->second.instance;
        edges.output.take(id.service, id.index, *output);
        return;
    }
    if (auto* notified = std::get_if<runtime::RunNotified>(&event)) {
        core->notified(now, notified->run, notified->notified);
    } else if (auto* exited = std::get_if<runtime::RunExited>(&event)) {
        auto place = places.find(exited->run);
        if (place == places.end() || place->second.ended) return;
        place->second.ended = true;
        ended.push_back(exited->run);
        if (ended.size() > ended_max) {
            places.erase(ended.front());
            ended.pop_front();
        }
        edges.output.end_run(place->second.instance.service, place->second.instance.index);
        core->exited(now, exited->run, exited->exit);
    }
    wake();
}

// Full jitter between nothing and 100 ms doubling to 5 s.
Task<void> Supervisor::State::pause(int failures) {
    Duration bound = std::chrono::milliseconds(100);
    for (int i = 1; i < failures && bound < std::chrono::seconds(5); ++i) bound *= 2;
    co_await edges.clock.sleep_for(random.between(
        std::chrono::milliseconds(10), std::min<Duration>(bound, std::chrono::seconds(5))));
}

}  // namespace holdfast::service
