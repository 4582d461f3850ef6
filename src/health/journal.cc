#include "health/journal.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"

namespace holdfast::health {

using runtime::Batch;
using runtime::Durability;
using runtime::Task;

namespace {

constexpr std::string_view prefix = "j/";
constexpr std::string_view prefix_end = "j0";
constexpr std::size_t batch_records_max = 256;
constexpr Duration retry_after = std::chrono::seconds(1);

std::string key_of(RecordId id) {
    std::string key(prefix);
    for (int shift = 56; shift >= 0; shift -= 8)
        key.push_back(static_cast<char>(id >> shift & 0xff));
    return key;
}

std::optional<RecordId> id_of(std::string_view key) {
    if (key.size() != prefix.size() + 8) return std::nullopt;
    RecordId id = 0;
    for (char c : key.substr(prefix.size())) id = id << 8 | static_cast<unsigned char>(c);
    return id;
}

}  // namespace

struct Journal::State {
    State(runtime::Store& s, runtime::Clock& c, JournalOptions o)
        : store(s), clock(c), options(o), timeline(o.limits) {}

    void add(Record record) {
        for (auto id : timeline.add(std::move(record))) {
            // What was never written needs no erasing.
            if (unwritten.erase(id) == 0) to_erase.push_back(id);
        }
    }

    // The next batch, and what it will have written.
    Batch take_batch(std::vector<RecordId>& ids) {
        Batch batch;
        for (auto id : to_erase) batch.erase(key_of(id));
        to_erase.clear();
        for (const auto& [id, bytes] : unwritten) {
            if (ids.size() == batch_records_max) break;
            batch.put(key_of(id), bytes);
            ids.push_back(id);
        }
        return batch;
    }

    // Puts one batch into the store. What fails stays unwritten.
    Task<Result<void>> write_some() {
        std::vector<RecordId> ids;
        auto batch = take_batch(ids);
        if (batch.empty()) co_return Result<void>{};
        unsynced = true;
        auto outcome = co_await store.write(std::move(batch), Durability::buffered);
        if (outcome) {
            for (auto id : ids) unwritten.erase(id);
        }
        if (outcome.has_value() == failing) {
            failing = !outcome;
            if (failing) log_error("the journal cannot be written: {}", outcome.error().message);
        }
        co_return outcome;
    }

    runtime::Store& store;
    runtime::Clock& clock;
    JournalOptions options;
    Timeline timeline;
    std::map<RecordId, std::string> unwritten;  // Encoded; bounded as the timeline is.
    std::vector<RecordId> to_erase;
    runtime::Signal recorded;
    bool unsynced = false;
    bool failing = false;
    std::size_t damaged = 0;
};

Journal::Journal(std::unique_ptr<State> state) : state_(std::move(state)) {}
Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::open(runtime::Store& store, runtime::Clock& clock,
                                               JournalOptions options) {
    auto state = std::make_unique<State>(store, clock, options);
    auto snapshot = store.snapshot();
    HF_TRY_VOID(
        snapshot->scan(prefix, prefix_end, [&](std::string_view key, std::string_view value) {
            auto id = id_of(key);
            if (!id || *id <= state->timeline.last_id()) {
                ++state->damaged;
                return true;
            }
            auto record = decode_record(*id, value);
            if (record) {
                state->add(*std::move(record));
            } else {
                ++state->damaged;
            }
            return true;
        }));
    if (state->damaged > 0) {
        log_warn("the journal: {} damaged records have been skipped", state->damaged);
    }
    return std::unique_ptr<Journal>(new Journal(std::move(state)));
}

RecordId Journal::record(Record record) {
    auto& state = *state_;
    record.id = state.timeline.last_id() + 1;
    if (record.at == WallTime{}) record.at = state.clock.wall_now();
    auto id = record.id;
    state.unwritten.emplace(id, encode_record(record));
    state.add(std::move(record));
    state.recorded.wake();
    return id;
}

RecordId Journal::record(std::string subject, std::string kind, std::string from, std::string to,
                         std::string reason, RecordId caused_by) {
    Record made;
    made.subject = std::move(subject);
    made.kind = std::move(kind);
    made.from = std::move(from);
    made.to = std::move(to);
    made.reason = std::move(reason);
    made.caused_by = caused_by;
    return record(std::move(made));
}

std::vector<Record> Journal::query(const RecordQuery& query) const {
    return state_->timeline.query(query);
}

Account Journal::explain(std::string_view service, std::size_t limit) const {
    return state_->timeline.explain(service, limit, state_->clock.wall_now());
}

const Timeline& Journal::timeline() const {
    return state_->timeline;
}
std::size_t Journal::damaged() const {
    return state_->damaged;
}
std::size_t Journal::unwritten() const {
    return state_->unwritten.size();
}

Task<void> Journal::run() {
    auto& state = *state_;
    Instant sync_at = Instant::max();
    for (;;) {
        if (state.unwritten.empty() && state.to_erase.empty()) {
            // Both arms only wait: whichever loses has taken nothing.
            co_await runtime::race(state.recorded.waited(),
                                   [](runtime::Clock& clock, Instant at) -> Task<void> {
                                       co_await clock.sleep_until(at);
                                   }(state.clock, sync_at));
        }
        if (state.clock.now() >= sync_at) {
            sync_at = Instant::max();
            state.unsynced = false;
            (void)co_await state.store.flush();  // write_some() finds out, and says so.
        }
        if (state.unwritten.empty() && state.to_erase.empty()) continue;
        auto written = co_await state.write_some();
        if (!written) co_await state.clock.sleep_for(retry_after);
        if (sync_at == Instant::max()) sync_at = state.clock.now() + state.options.sync_every;
    }
}

Task<Result<void>> Journal::flush() {
    auto& state = *state_;
    while (!state.unwritten.empty() || !state.to_erase.empty()) {
        HF_CO_TRY_VOID(co_await state.write_some());
    }
    co_return co_await state.store.flush();
}

}  // namespace holdfast::health
