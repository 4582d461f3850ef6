#include "coord/embedded.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace holdfast::coord {

using runtime::Task;

namespace {

constexpr Duration time_to_live_max = std::chrono::hours(24 * 365);

// Of a store key, the coordinator's own key.
std::string_view own_key(std::string_view store_key) {
    return store_key.substr(entry_prefix().size());
}

Result<std::optional<Entry>> decoded(std::string_view key,
                                     Result<std::optional<std::string>> stored) {
    HF_TRY(const auto bytes, std::move(stored));
    if (!bytes) return std::nullopt;
    HF_TRY(auto entry, decode_entry(key, *bytes));
    return entry;
}

}  // namespace

// The state after everything decided, durable or not.
class EmbeddedCoordinator::PendingView final : public EntryView {
  public:
    explicit PendingView(const EmbeddedCoordinator& coordinator) : self_(coordinator) {}

    Result<std::optional<Entry>> get(std::string_view key) const override {
        const auto store_key = entry_key(key);
        for (const auto* writes : layers()) {
            const auto found = writes->find(store_key);
            if (found != writes->end()) return decoded(key, found->second);
        }
        return decoded(key, self_.read(store_key));
    }

    Result<std::vector<Entry>> list(std::string_view prefix) const override {
        HF_TRY(const auto stored, scan(entry_key(prefix)));
        std::vector<Entry> entries;
        for (const auto& [store_key, bytes] : stored) {
            if (!bytes) continue;
            HF_TRY(auto entry, decode_entry(own_key(store_key), *bytes));
            entries.push_back(std::move(entry));
        }
        return entries;
    }

    bool has_lease(LeaseId id) const override {
        const auto found = self_.leases_.find(id);
        return found != self_.leases_.end() && found->second.granted && !found->second.ending;
    }

    // Everything with this prefix of store keys; null where it is to be erased.
    Result<Writes> scan(const std::string& prefix) const {
        Writes found;
        const auto end = prefix_end(prefix);
        const auto collect = [&found](std::string_view key, std::string_view value) {
            found.emplace(key, value);
            return true;
        };
        if (self_.durable_) {
            HF_TRY_VOID(self_.durable_->scan(prefix, end, collect));
        } else {
            HF_TRY_VOID(self_.store_.snapshot()->scan(prefix, end, collect));
        }
        const auto newest_first = layers();
        for (auto layer = newest_first.rbegin(); layer != newest_first.rend(); ++layer) {
            for (auto at = (*layer)->lower_bound(prefix);
                 at != (*layer)->end() && at->first.starts_with(prefix); ++at) {
                found[at->first] = at->second;
            }
        }
        return found;
    }

  private:
    std::vector<const Writes*> layers() const {
        std::vector<const Writes*> newest_first{&self_.gathering_.writes};
        if (self_.writing_) newest_first.push_back(&self_.writing_->writes);
        return newest_first;
    }

    const EmbeddedCoordinator& self_;
};

// Opening.

Result<std::unique_ptr<EmbeddedCoordinator>> EmbeddedCoordinator::open(runtime::Store& store,
                                                                       runtime::Clock& clock,
                                                                       EmbeddedOptions options) {
    HF_TRY(const auto bytes, store.get(header_key()));
    Header header;
    if (bytes) {
        HF_TRY(header, decode_header(*bytes));
    }
    std::unique_ptr<EmbeddedCoordinator> coordinator(
        new EmbeddedCoordinator(store, clock, options, header));
    HF_TRY_VOID(coordinator->load());
    coordinator->tasks_.spawn(coordinator->write_groups());
    return coordinator;
}

EmbeddedCoordinator::EmbeddedCoordinator(runtime::Store& store, runtime::Clock& clock,
                                         EmbeddedOptions options, Header header)
    : store_(store),
      clock_(clock),
      options_(options),
      decided_(header),
      feed_(header.revision, options.history,
            [this](const std::string& prefix) { return list_now(prefix); }),
      lease_timer_(clock.timers(), [this] { end_due_leases(); }) {}

EmbeddedCoordinator::~EmbeddedCoordinator() = default;

Result<void> EmbeddedCoordinator::load() {
    const auto snapshot = store_.snapshot();
    Result<void> sound;
    HF_TRY_VOID(snapshot->scan(
        entry_prefix(), prefix_end(entry_prefix()),
        [&](std::string_view key, std::string_view value) {
            const auto entry = decode_entry(own_key(key), value);
            if (!entry) {
                sound = std::unexpected(entry.error());
            } else if (entry->modified > decided_.revision) {
                sound = fail(Errc::corrupt,
                             fmt::format("the coordinator's entry '{}' has revision {}, the whole "
                                         "store only {}",
                                         entry->key, entry->modified, decided_.revision));
            }
            return sound.has_value();
        }));
    HF_TRY_VOID(sound);
    return load_leases(*snapshot);
}

Result<void> EmbeddedCoordinator::load_leases(const runtime::Snapshot& snapshot) {
    Result<void> sound;
    HF_TRY_VOID(snapshot.scan(
        lease_prefix(), prefix_end(lease_prefix()),
        [&](std::string_view key, std::string_view value) {
            const auto id = decode_lease_key(key);
            const auto time_to_live = decode_lease(value);
            if (!id || !time_to_live || *id > decided_.leases_granted) {
                sound = fail(Errc::corrupt, "a lease of the coordinator in the store is damaged");
                return false;
            }
            leases_[*id] = {.time_to_live = *time_to_live,
                            .ends = clock_.now() + *time_to_live,
                            .granted = true,
                            .ending = false};
            return true;
        }));
    arm();
    return sound;
}

// Reading what is durable.

Result<std::optional<std::string>> EmbeddedCoordinator::read(std::string_view store_key) const {
    return durable_ ? durable_->get(store_key) : store_.get(store_key);
}

Task<Result<std::optional<Entry>>> EmbeddedCoordinator::get(std::string key) {
    co_return decoded(key, read(entry_key(key)));
}

Task<Result<Listing>> EmbeddedCoordinator::list(std::string prefix) {
    co_return list_now(prefix);
}

Result<Listing> EmbeddedCoordinator::list_now(const std::string& prefix) const {
    Listing listing{.entries = {}, .revision = feed_.head()};
    Result<void> sound;
    const auto from = entry_key(prefix);
    const auto collect = [&](std::string_view key, std::string_view value) {
        auto entry = decode_entry(own_key(key), value);
        if (entry) {
            listing.entries.push_back(*std::move(entry));
        } else {
            sound = std::unexpected(std::move(entry).error());
        }
        return sound.has_value();
    };
    if (durable_) {
        HF_TRY_VOID(durable_->scan(from, prefix_end(from), collect));
    } else {
        HF_TRY_VOID(store_.snapshot()->scan(from, prefix_end(from), collect));
    }
    HF_TRY_VOID(sound);
    return listing;
}

std::unique_ptr<Watch> EmbeddedCoordinator::watch(std::string prefix, Revision after) {
    return feed_.watch(std::move(prefix), after);
}

// Deciding.

Task<Result<Outcome>> EmbeddedCoordinator::commit(Transaction transaction) {
    HF_CO_TRY_VOID(validate(transaction));
    HF_CO_TRY_VOID(accept());
    HF_CO_TRY(const auto evaluation,
              evaluate(PendingView(*this), transaction, decided_.revision + 1));
    const bool changes = !evaluation.replacements.empty();
    const auto landed = changes ? stage(evaluation.replacements, {}) : after_all_decided();
    const Outcome outcome{.applied = evaluation.applied, .revision = decided_.revision};
    HF_CO_TRY_VOID(co_await await(landed, changes ? Errc::in_doubt : Errc::unavailable));
    co_return outcome;
}

Result<void> EmbeddedCoordinator::accept() const {
    if (broken_) {
        return fail(Errc::unavailable,
                    "the local store takes no more writes until a restart: " + broken_->message);
    }
    if (gathering_.decisions.size() >= options_.waiting_max ||
        gathering_.bytes >= options_.waiting_bytes_max) {
        return fail(Errc::exhausted, "too many transactions wait for the disk");
    }
    return {};
}

void EmbeddedCoordinator::write(std::string store_key, std::optional<std::string> value) {
    gathering_.bytes += store_key.size() + (value ? value->size() : 0);
    gathering_.writes[std::move(store_key)] = std::move(value);
}

// Adds to the batch that is written next. Decisions that replace something get the next revision.
EmbeddedCoordinator::Landed EmbeddedCoordinator::stage(const std::vector<Replacement>& replacements,
                                                       Decision decision) {
    if (!replacements.empty()) ++decided_.revision;
    for (const auto& [change, lease_before] : replacements) {
        const auto& entry = change.entry;
        const bool is_put = change.kind == Change::Kind::put;
        write(entry_key(entry.key), is_put ? std::optional(encode_entry(entry)) : std::nullopt);
        if (lease_before != entry.lease) {
            if (lease_before != 0) write(attachment_key(lease_before, entry.key), std::nullopt);
            if (entry.lease != 0) write(attachment_key(entry.lease, entry.key), std::string());
        }
        decision.changes.push_back(change);
    }
    write(header_key(), encode_header(decided_));
    decision.writes = true;
    auto landed = decision.landed;
    gathering_.decisions.push_back(std::move(decision));
    gathered_.wake();
    return landed;
}

// For a decision that changes nothing, but may rest on others that are not yet durable.
EmbeddedCoordinator::Landed EmbeddedCoordinator::after_all_decided() {
    Decision decision;
    const auto landed = decision.landed;
    if (!gathering_.decisions.empty()) {
        gathering_.decisions.push_back(std::move(decision));
    } else if (writing_) {
        writing_->decisions.push_back(std::move(decision));
    } else {
        landed.complete({});
    }
    return landed;
}

Task<Result<void>> EmbeddedCoordinator::await(Landed landed, Errc when_late) {
    auto outcome =
        co_await runtime::race(Landed::answer(landed), clock_.sleep_for(options_.deadline));
    if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
    co_return fail(when_late, runtime::took_longer("the local store's write", options_.deadline));
}

// Writing.

// Waits for what was written before this coordinator was opened, of which it must have read all.
Task<Result<void>> EmbeddedCoordinator::settle(Header opened) {
    HF_CO_TRY_VOID(co_await store_.flush());
    HF_CO_TRY(const auto bytes, store_.get(header_key()));
    Header header;
    if (bytes) {
        HF_CO_TRY(header, decode_header(*bytes));
    }
    if (header == opened) co_return Result<void>();
    co_return fail(Errc::unavailable, "an earlier coordinator's write arrived after the opening");
}

Task<void> EmbeddedCoordinator::write_groups() {
    if (const auto settled = co_await settle(decided_); !settled) {
        fail_all({}, settled.error());
        co_return;
    }
    while (true) {
        while (gathering_.decisions.empty()) co_await gathered_.wait();
        durable_ = store_.snapshot();
        writing_ = std::exchange(gathering_, {});
        const auto written =
            co_await store_.write(batch_of(writing_->writes), runtime::Durability::synced);
        auto decisions = std::move(writing_->decisions);
        if (!written) {
            fail_all(std::move(decisions), written.error());
            co_return;
        }
        writing_.reset();
        durable_.reset();
        land(std::move(decisions));
    }
}

runtime::Batch EmbeddedCoordinator::batch_of(const Writes& writes) const {
    runtime::Batch batch;
    for (const auto& [store_key, value] : writes) {
        if (value) {
            batch.put(store_key, *value);
        } else {
            batch.erase(store_key);
        }
    }
    return batch;
}

// Everything is as it will be before anybody is told, because whoever is told may call anything.
void EmbeddedCoordinator::land(std::vector<Decision> decisions) {
    for (auto& decision : decisions) {
        if (!decision.changes.empty()) feed_.append(std::move(decision.changes));
        if (decision.lease_ended) leases_.erase(*decision.lease_ended);
        if (decision.lease_granted) {
            auto& lease = leases_.at(*decision.lease_granted);
            lease.granted = true;
            lease.ends = clock_.now() + lease.time_to_live;
        }
    }
    arm();
    for (auto& decision : decisions) decision.landed.complete({});
    feed_.wake();
}

void EmbeddedCoordinator::fail_all(std::vector<Decision> under_way, const Error& error) {
    log_error("coordinator: the local store failed, no more changes until a restart: {}",
              error.message);
    broken_ = error;
    lease_timer_.disarm();
    auto not_written = std::exchange(gathering_, {}).decisions;
    for (auto& decision : under_way) {
        const auto code = decision.writes ? Errc::in_doubt : Errc::unavailable;
        decision.landed.complete(fail(code, "the local store failed: " + error.message));
    }
    for (auto& decision : not_written) {
        decision.landed.complete(
            fail(Errc::unavailable, "the local store failed before: " + error.message));
    }
}

// Leases.

Task<Result<LeaseId>> EmbeddedCoordinator::grant_lease(Duration time_to_live) {
    if (time_to_live <= Duration::zero() || time_to_live > time_to_live_max) {
        co_return fail(Errc::invalid, "a lease's time to live is more than 0 and at most a year");
    }
    HF_CO_TRY_VOID(accept());
    if (leases_.size() >= options_.leases_max) {
        co_return fail(Errc::exhausted, fmt::format("{} leases exist already", leases_.size()));
    }
    const auto id = ++decided_.leases_granted;
    leases_[id] = {.time_to_live = time_to_live, .ends = {}, .granted = false, .ending = false};
    write(lease_key(id), encode_lease(time_to_live));
    const auto landed = stage(
        {}, {.changes = {}, .lease_granted = id, .lease_ended = {}, .writes = true, .landed = {}});
    HF_CO_TRY_VOID(co_await await(landed, Errc::unavailable));
    co_return id;
}

Task<Result<void>> EmbeddedCoordinator::keep_lease(LeaseId id) {
    if (!PendingView(*this).has_lease(id)) {
        co_return fail(Errc::not_found, fmt::format("lease {} has ended", id));
    }
    // The timer stays: when it fires it finds the lease's new end.
    leases_.at(id).ends = clock_.now() + leases_.at(id).time_to_live;
    co_return Result<void>();
}

Task<Result<void>> EmbeddedCoordinator::revoke_lease(LeaseId id) {
    HF_CO_TRY_VOID(accept());
    if (!PendingView(*this).has_lease(id)) {
        co_return fail(Errc::not_found, fmt::format("lease {} has ended", id));
    }
    HF_CO_TRY(const auto landed, end_lease(id));
    co_return co_await await(landed, Errc::in_doubt);
}

// Decides the end of a lease that has_lease(), and of everything attached to it.
Result<EmbeddedCoordinator::Landed> EmbeddedCoordinator::end_lease(LeaseId id) {
    leases_.at(id).ending = true;
    const PendingView view(*this);
    const auto prefix = attachment_prefix(id);
    HF_TRY(const auto attached, view.scan(prefix));
    std::vector<Entry> entries;
    for (const auto& [store_key, mark] : attached) {
        if (!mark) continue;
        HF_TRY(auto entry, view.get(std::string_view(store_key).substr(prefix.size())));
        if (entry) entries.push_back(*std::move(entry));
    }
    write(lease_key(id), std::nullopt);
    return stage(
        erase_all(entries, decided_.revision + 1),
        {.changes = {}, .lease_granted = {}, .lease_ended = id, .writes = true, .landed = {}});
}

void EmbeddedCoordinator::end_due_leases() {
    if (broken_) return;
    std::vector<LeaseId> due;
    for (const auto& [id, lease] : leases_) {
        if (lease.granted && !lease.ending && lease.ends <= clock_.now()) due.push_back(id);
    }
    for (const auto id : due) {
        if (const auto ended = end_lease(id); !ended) {
            log_error("coordinator: lease {} cannot be ended: {}", id, ended.error().message);
        }
    }
    arm();
}

void EmbeddedCoordinator::arm() {
    auto next = Instant::max();
    for (const auto& [id, lease] : leases_) {
        if (lease.granted && !lease.ending) next = std::min(next, lease.ends);
    }
    if (broken_ || next == Instant::max()) {
        lease_timer_.disarm();
    } else {
        lease_timer_.arm(next);
    }
}

}  // namespace holdfast::coord
