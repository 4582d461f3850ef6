// EmbeddedCoordinator: the Coordinator of one machine, on its local store.
//
// Transactions are decided at once, on the durable state and everything decided before them, and
// gathered while a write is under way; then all that gathered are written as one synced batch
// (group commit). An answer, a watch event and a read only ever tell of what is durable: while a
// batch is under way reads are answered from a snapshot taken before it.
//
// After a failed write the outcome of its transactions is in doubt, and every later one is refused
// with Errc::unavailable until the store has been reopened under a new coordinator; reads and
// watches go on with what was durable.
//
// Leases are hints: after a restart each runs for its full time to live again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coord/coordinator.h"
#include "coord/feed.h"
#include "coord/history.h"
#include "coord/layout.h"
#include "coord/transaction.h"
#include "runtime/clock.h"
#include "runtime/completion.h"
#include "runtime/store.h"

namespace holdfast::coord {

struct EmbeddedOptions {
    Duration deadline = std::chrono::seconds(10);  // Of each call.
    HistoryLimits history = {};
    // Decided and not yet durable; beyond it a call gets Errc::exhausted.
    std::size_t waiting_max = 4096;
    std::size_t waiting_bytes_max = std::size_t{16} << 20;
    std::size_t leases_max = 10000;
};

class EmbeddedCoordinator final : public Coordinator {
  public:
    // Store and clock outlive it. Reads everything once, and so finds damage: Errc::corrupt.
    // Nothing an earlier coordinator wrote should be under way: where a Store object has had one
    // before, flush() it first. If something arrives all the same, every change is refused with
    // Errc::unavailable.
    static Result<std::unique_ptr<EmbeddedCoordinator>> open(runtime::Store& store,
                                                             runtime::Clock& clock,
                                                             EmbeddedOptions options = {});
    // Its watches and calls are gone. Not from inside an answer of its own.
    ~EmbeddedCoordinator() override;
    EmbeddedCoordinator(const EmbeddedCoordinator&) = delete;
    EmbeddedCoordinator& operator=(const EmbeddedCoordinator&) = delete;

    runtime::Task<Result<std::optional<Entry>>> get(std::string key) override;
    runtime::Task<Result<Listing>> list(std::string prefix) override;
    runtime::Task<Result<Outcome>> commit(Transaction transaction) override;
    std::unique_ptr<Watch> watch(std::string prefix, Revision after) override;
    runtime::Task<Result<LeaseId>> grant_lease(Duration time_to_live) override;
    runtime::Task<Result<void>> keep_lease(LeaseId lease) override;
    runtime::Task<Result<void>> revoke_lease(LeaseId lease) override;

    Revision revision() const { return feed_.head(); }  // Durable.

  private:
    using Landed = runtime::Completion<Result<void>>;
    // Keys of the store with what will stand there; nothing: erased.
    using Writes = std::map<std::string, std::optional<std::string>, std::less<>>;

    // Something decided, waiting until it, or what it was decided on, is durable.
    struct Decision {
        std::vector<Change> changes;  // Empty: it has no revision of its own.
        std::optional<LeaseId> lease_granted;
        std::optional<LeaseId> lease_ended;
        bool writes = false;  // In doubt, not just unavailable, if its batch fails.
        Landed landed;
    };
    struct Group {
        Writes writes;
        std::vector<Decision> decisions;
        std::size_t bytes = 0;
    };
    struct Lease {
        Duration time_to_live{};
        Instant ends{};
        bool granted = false;  // Durable.
        bool ending = false;   // Its end has been decided.
    };
    class PendingView;

    EmbeddedCoordinator(runtime::Store& store, runtime::Clock& clock, EmbeddedOptions options,
                        Header header);

    Result<void> load();
    Result<void> load_leases(const runtime::Snapshot& snapshot);
    Result<std::optional<std::string>> read(std::string_view store_key) const;
    Result<Listing> list_now(const std::string& prefix) const;
    Result<void> accept() const;
    void write(std::string store_key, std::optional<std::string> value);
    Landed stage(const std::vector<Replacement>& replacements, Decision decision);
    Landed after_all_decided();
    Result<Landed> end_lease(LeaseId id);
    runtime::Task<Result<void>> await(Landed landed, Errc when_late);
    runtime::Task<Result<void>> settle(Header opened);
    runtime::Task<void> write_groups();
    runtime::Batch batch_of(const Writes& writes) const;
    void land(std::vector<Decision> decisions);
    void fail_all(std::vector<Decision> under_way, const Error& error);
    void end_due_leases();
    void arm();

    runtime::Store& store_;
    runtime::Clock& clock_;
    EmbeddedOptions options_;
    Header decided_;  // After everything decided so far.
    Feed feed_;
    std::map<LeaseId, Lease> leases_;
    Group gathering_;
    std::optional<Group> writing_;
    std::unique_ptr<runtime::Snapshot> durable_;  // While writing: the state before.
    std::optional<Error> broken_;
    runtime::Signal gathered_;
    runtime::Timer lease_timer_;
    runtime::TaskGroup tasks_;
};

}  // namespace holdfast::coord
