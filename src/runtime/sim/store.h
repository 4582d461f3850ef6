// A Store in memory with the contract of store.h and every liberty it allows.
//
// A batch may become visible to readers as soon as it is written or only when its write returns; a
// crash keeps any prefix of the batches that holds at least those a synced write or a flush has
// answered for.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "runtime/clock.h"
#include "runtime/completion.h"
#include "runtime/random.h"
#include "runtime/store.h"

namespace holdfast::runtime {

struct StoreFaults {
    double write_error = 0;  // Per write: Errc::unavailable, after which the store takes no more.
    bool hung = false;       // Nothing completes until this is cleared.
    Duration latency_least{};
    Duration latency_most{};  // Of a synced write or flush; a buffered one takes up to a tenth.
};

class SimStore final : public Store {
  public:
    using Content = std::map<std::string, std::string, std::less<>>;

    SimStore(Clock& clock, Random random, StoreFaults faults = {}, Content content = {});
    ~SimStore() override;
    SimStore(const SimStore&) = delete;
    SimStore& operator=(const SimStore&) = delete;

    Result<std::optional<std::string>> get(std::string_view key) const override;
    std::unique_ptr<Snapshot> snapshot() const override;
    Task<Result<void>> write(Batch batch, Durability durability) override;
    Task<Result<void>> flush() override;
    // Kept in memory under its name, to make another SimStore of.
    Task<Result<void>> checkpoint(std::string directory) override;

    void set_faults(StoreFaults faults);

    // Power cut, or the end of a store that takes no more writes, and reopening: an arbitrary
    // prefix survives, all synced batches among it. Waiting tasks never hear of theirs.
    void crash();

    // From now on reading this key fails with Errc::corrupt.
    void damage(std::string key);

    const Content* checkpoint_at(const std::string& directory) const;

    std::size_t unsynced() const { return written_.size(); }  // Batches a crash may lose.

  private:
    class View;
    struct Pending;  // A write or flush that has not been answered.

    Result<void> check(std::string_view key) const;  // Errc::corrupt where damage() says so.
    Task<Result<void>> refuse();
    Task<Result<void>> enqueue(Durability durability, bool fails);
    void complete_due();
    void arm();
    void show(std::uint64_t through);
    void make_durable(std::uint64_t through);

    // Batches are numbered from 1 in the order written; all up to durable_through_ are in durable_,
    // all up to visible_through_ in *visible_.
    Clock& clock_;
    Random random_;
    StoreFaults faults_;
    Content durable_;
    std::shared_ptr<Content> visible_;  // shared_ptr: snapshots keep the version they saw.
    std::deque<Batch> written_;         // Number durable_through_ + 1 and on.
    std::uint64_t durable_through_ = 0;
    std::uint64_t visible_through_ = 0;
    std::uint64_t written_through_ = 0;
    std::deque<Pending> pending_;
    std::map<std::string, Content> checkpoints_;
    std::set<std::string, std::less<>> damaged_;
    mutable bool broken_ = false;  // Also by a read that found damage.
    Timer timer_;
};

}  // namespace holdfast::runtime
