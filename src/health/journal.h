// The journal: a Timeline that outlives the node, under the prefix "j/" of the local store.
//
// Recording never waits: the record is in the timeline at once, and run() writes it soon after, in
// batches. A node that dies keeps all but the last moment, a machine that loses power all but the
// last `sync_every`. When the store fails, recording goes on in memory, and the journal says so
// once.
//
// Lives on one event loop, not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "health/timeline.h"
#include "runtime/clock.h"
#include "runtime/store.h"
#include "runtime/task.h"

namespace holdfast::health {

struct JournalOptions {
    Timeline::Limits limits;
    Duration sync_every = std::chrono::seconds(1);  // After the first record that is not synced.
};

class Journal {
  public:
    // Reads what is there. A damaged record is skipped and counted, not fatal: this is a history,
    // not a truth others build upon. `store` and `clock` outlive the journal. Errc::corrupt,
    // Errc::unavailable: the store cannot be read.
    static Result<std::unique_ptr<Journal>> open(runtime::Store& store, runtime::Clock& clock,
                                                 JournalOptions options = {});
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    // Gives the record its id, and `at` if that is not set, and returns the id, for `caused_by`.
    RecordId record(Record record);
    // The same, spelled out.
    RecordId record(std::string subject, std::string kind, std::string from, std::string to,
                    std::string reason, RecordId caused_by = 0);

    std::vector<Record> query(const RecordQuery& query) const;
    Account explain(std::string_view service, std::size_t limit = 200) const;
    const Timeline& timeline() const;

    // Writes what is recorded; ends only by being destroyed.
    runtime::Task<void> run();
    // Everything recorded so far is durable.
    runtime::Task<Result<void>> flush();

    std::size_t damaged() const;    // Records skipped at open().
    std::size_t unwritten() const;  // Records the store does not have yet.

  private:
    struct State;
    explicit Journal(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::health
