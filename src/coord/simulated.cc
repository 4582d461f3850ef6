#include "coord/simulated.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace holdfast::coord {

using runtime::Completion;
using runtime::Task;

// Ensemble.

Ensemble::Ensemble(runtime::Clock& clock, runtime::Random random, HistoryLimits history)
    : clock_(clock),
      random_(std::move(random)),
      feed_(0, history,
            [this](const std::string& prefix) -> Result<Listing> { return list_all(prefix); }),
      lease_timer_(clock.timers(), [this] { end_due_leases(); }) {}

Ensemble::~Ensemble() = default;

Result<std::optional<Entry>> Ensemble::get(std::string_view key) const {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    return found->second;
}

Result<std::vector<Entry>> Ensemble::list(std::string_view prefix) const {
    return list_all(prefix).entries;
}

Listing Ensemble::list_all(std::string_view prefix) const {
    Listing listing{.entries = {}, .revision = feed_.head()};
    for (auto at = entries_.lower_bound(prefix);
         at != entries_.end() && at->first.starts_with(prefix); ++at) {
        listing.entries.push_back(at->second);
    }
    return listing;
}

Result<Outcome> Ensemble::apply(const Transaction& transaction) {
    HF_TRY(const auto evaluation, evaluate(*this, transaction, feed_.head() + 1));
    carry_out(evaluation.replacements);
    return Outcome{.applied = evaluation.applied, .revision = feed_.head()};
}

void Ensemble::carry_out(const std::vector<Replacement>& replacements) {
    if (replacements.empty()) return;
    std::vector<Change> changes;
    for (const auto& [change, lease_before] : replacements) {
        if (change.kind == Change::Kind::put) {
            entries_[change.entry.key] = change.entry;
        } else {
            entries_.erase(change.entry.key);
        }
        changes.push_back(change);
    }
    feed_.append(std::move(changes));
    feed_.wake();
}

std::unique_ptr<Watch> Ensemble::watch(std::string prefix, Revision after) {
    return feed_.watch(std::move(prefix), after);
}

Instant Ensemble::end_of(Duration time_to_live, const Liberties& liberties) {
    const auto early = random_.between(Duration::zero(), liberties.lease_early_most);
    const auto late = random_.between(Duration::zero(), liberties.lease_late_most);
    return clock_.now() + std::max(time_to_live - early, Duration::zero()) + late;
}

LeaseId Ensemble::grant(Duration time_to_live, const Liberties& liberties) {
    const auto id = ++leases_granted_;
    leases_[id] = {.time_to_live = time_to_live, .ends = end_of(time_to_live, liberties)};
    arm();
    return id;
}

Result<void> Ensemble::keep(LeaseId id, const Liberties& liberties) {
    const auto found = leases_.find(id);
    if (found == leases_.end()) {
        return fail(Errc::not_found, fmt::format("lease {} has ended", id));
    }
    found->second.ends = end_of(found->second.time_to_live, liberties);
    arm();
    return {};
}

Result<void> Ensemble::revoke(LeaseId id) {
    if (leases_.erase(id) == 0) {
        return fail(Errc::not_found, fmt::format("lease {} has ended", id));
    }
    std::vector<Entry> attached;
    for (const auto& [key, entry] : entries_) {
        if (entry.lease == id) attached.push_back(entry);
    }
    carry_out(erase_all(attached, feed_.head() + 1));
    return {};
}

void Ensemble::end_due_leases() {
    std::vector<LeaseId> due;
    for (const auto& [id, lease] : leases_) {
        if (lease.ends <= clock_.now()) due.push_back(id);
    }
    for (const auto id : due) static_cast<void>(revoke(id));  // Another's end may have ended it.
    arm();
}

void Ensemble::arm() {
    auto next = Instant::max();
    for (const auto& [id, lease] : leases_) next = std::min(next, lease.ends);
    if (next == Instant::max()) {
        lease_timer_.disarm();
    } else {
        lease_timer_.arm(next);
    }
}

// SimulatedCoordinator.

SimulatedCoordinator::SimulatedCoordinator(Ensemble& ensemble, runtime::Clock& clock,
                                           runtime::Random random, Duration deadline,
                                           Liberties liberties)
    : ensemble_(ensemble),
      clock_(clock),
      random_(std::move(random)),
      deadline_(deadline),
      liberties_(liberties) {}

SimulatedCoordinator::~SimulatedCoordinator() = default;

// Never nothing, so that nobody's task runs inside another's: each is resumed by its own clock.
Duration SimulatedCoordinator::delay() {
    return std::max(Duration(1), random_.between(liberties_.delay_least, liberties_.delay_most));
}

SimulatedCoordinator::Fate SimulatedCoordinator::draw() {
    Fate fate{.there = delay(), .back = delay(), .lost_there = false, .lost_back = false};
    fate.lost_there = random_.chance(liberties_.lose_request);
    fate.lost_back = random_.chance(liberties_.lose_answer);
    if (random_.chance(liberties_.late_request)) fate.there += deadline_;
    return fate;
}

template <class T>
Task<Result<T>> SimulatedCoordinator::call(std::function<Result<T>()> act, Errc when_late) {
    if (random_.chance(liberties_.refuse)) {
        co_await clock_.sleep_for(delay());
        co_return fail(Errc::unavailable, "the coordinator refused the connection");
    }
    const auto gives_up = clock_.now() + deadline_;
    Completion<Result<T>> answer;
    requests_.spawn(travel<T>(std::move(act), draw(), answer));
    auto outcome = co_await runtime::race(Completion<Result<T>>::answer(answer),
                                          [](runtime::Clock* clock, Instant at) -> Task<void> {
                                              co_await clock->sleep_until(at);
                                          }(&clock_, gives_up));
    if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
    co_return fail(when_late, runtime::took_longer("the coordinator's answer", deadline_));
}

template <class T>
Task<void> SimulatedCoordinator::travel(std::function<Result<T>()> act, Fate fate,
                                        Completion<Result<T>> answer) {
    co_await clock_.sleep_for(fate.there);
    if (fate.lost_there || liberties_.cut_off) co_return;
    auto result = act();
    co_await clock_.sleep_for(fate.back);
    if (fate.lost_back || liberties_.cut_off) co_return;
    answer.complete(std::move(result));
}

Task<Result<std::optional<Entry>>> SimulatedCoordinator::get(std::string key) {
    using Found = std::optional<Entry>;
    return call<Found>(
        [this, key]() -> Result<Found> {
            auto entries = ensemble_.list_all(key).entries;
            if (entries.empty() || entries.front().key != key) return std::nullopt;
            return std::move(entries.front());
        },
        Errc::unavailable);
}

Task<Result<Listing>> SimulatedCoordinator::list(std::string prefix) {
    return call<Listing>([this, prefix]() -> Result<Listing> { return ensemble_.list_all(prefix); },
                         Errc::unavailable);
}

Task<Result<Outcome>> SimulatedCoordinator::commit(Transaction transaction) {
    HF_CO_TRY_VOID(validate(transaction));
    co_return co_await call<Outcome>(
        [this, transaction = std::move(transaction)] { return ensemble_.apply(transaction); },
        Errc::in_doubt);
}

Task<Result<LeaseId>> SimulatedCoordinator::grant_lease(Duration time_to_live) {
    if (time_to_live <= Duration::zero()) {
        co_return fail(Errc::invalid, "a lease's time to live is more than 0");
    }
    co_return co_await call<LeaseId>(
        [this, time_to_live]() -> Result<LeaseId> {
            return ensemble_.grant(time_to_live, liberties_);
        },
        Errc::unavailable);
}

Task<Result<void>> SimulatedCoordinator::keep_lease(LeaseId lease) {
    return call<void>([this, lease] { return ensemble_.keep(lease, liberties_); },
                      Errc::unavailable);
}

Task<Result<void>> SimulatedCoordinator::revoke_lease(LeaseId lease) {
    return call<void>([this, lease] { return ensemble_.revoke(lease); }, Errc::in_doubt);
}

class SimulatedCoordinator::LibertineWatch final : public Watch {
  public:
    LibertineWatch(SimulatedCoordinator& coordinator, std::string prefix, Revision after)
        : self_(coordinator),
          prefix_(std::move(prefix)),
          inner_(coordinator.ensemble_.watch(prefix_, after)) {}

    Task<Result<WatchEvent>> next() override {
        if (self_.random_.chance(self_.liberties_.watch_error)) {
            co_await self_.clock_.sleep_for(self_.delay());
            co_return fail(Errc::unavailable, "the watch broke");
        }
        // Kept until it is handed over: this Task may be destroyed meanwhile.
        if (!taken_) {
            HF_CO_TRY(taken_, co_await inner_->next());
        }
        co_await self_.clock_.sleep_for(self_.delay());
        if (self_.liberties_.cut_off) {
            co_await self_.clock_.sleep_for(self_.deadline_);
            co_return fail(Errc::unavailable, "the watch broke");
        }
        auto event = *std::exchange(taken_, std::nullopt);
        if (self_.random_.chance(self_.liberties_.resync)) co_return resync();
        co_return event;
    }

  private:
    WatchEvent resync() {
        auto listing = self_.ensemble_.list_all(prefix_);
        WatchEvent event{.resync = true, .changes = {}, .revision = listing.revision};
        for (auto& entry : listing.entries) {
            event.changes.push_back({.kind = Change::Kind::put, .entry = std::move(entry)});
        }
        inner_ = self_.ensemble_.watch(prefix_, event.revision);
        return event;
    }

    SimulatedCoordinator& self_;
    std::string prefix_;
    std::unique_ptr<Watch> inner_;
    std::optional<WatchEvent> taken_;
};

std::unique_ptr<Watch> SimulatedCoordinator::watch(std::string prefix, Revision after) {
    return std::make_unique<LibertineWatch>(*this, std::move(prefix), after);
}

}  // namespace holdfast::coord
