// The edge to the local ordered store: RocksDB in the real runtime, an ordered map in the simulated
// one, held to the same contract by one conformance test with power cuts.
//
// The contract. A batch is applied whole or not at all, also through a crash. Batches become
// durable in the order they were written: a crash keeps a prefix of them, which includes at least
// every batch whose write with Durability::synced has returned, and every one before it. Nothing
// else is promised about batches written with Durability::buffered.
//
// After an Errc::corrupt or a failed write the store accepts no more writes: reopen it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runtime/task.h"

namespace holdfast::runtime {

enum class Durability { buffered, synced };

class Batch {
  public:
    void put(std::string key, std::string value);
    void erase(std::string key);
    void erase_range(std::string from, std::string to);  // [from, to)

    enum class Kind { put, erase, erase_range };
    struct Step {
        Kind kind;
        std::string key;
        std::string value;  // Of erase_range, the end.
    };
    const std::vector<Step>& steps() const { return steps_; }
    bool empty() const { return steps_.empty(); }

  private:
    std::vector<Step> steps_;
};

// A consistent view of the whole store at one moment. Keys in bytewise order.
class Snapshot {
  public:
    virtual ~Snapshot() = default;
    virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
    // Visits keys in [from, to) in order until the visitor returns false. An empty `to` is the end.
    virtual Result<void> scan(
        std::string_view from, std::string_view to,
        const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
};

// Reads are synchronous: they are answered from memory but for cold blocks, and callers with cold
// data read on the disk pool through the real implementation. Writes wait for the disk.
class Store {
  public:
    virtual ~Store() = default;
    virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
    virtual std::unique_ptr<Snapshot> snapshot() const = 0;
    // In the order called, also when several are outstanding. Once called the batch is written even
    // if the Task is destroyed.
    virtual Task<Result<void>> write(Batch batch, Durability durability) = 0;
    // Makes every batch written so far durable.
    virtual Task<Result<void>> flush() = 0;
    // A copy of the store as it is now, in a directory that must not exist, by hard links.
    virtual Task<Result<void>> checkpoint(std::string directory) = 0;
};

}  // namespace holdfast::runtime
