// RocksStore: the Store on RocksDB.
//
// One writer thread takes every batch that waits and writes them as one RocksDB batch with one sync
// (group commit), so a slow disk gathers more work per sync instead of a longer queue. Answers are
// handed to `post`, which runs them on the event loop. Reads run on the caller's thread.
//
// Torn tail or damage? After a power cut the end of RocksDB's log may be torn, which is in order; a
// bad record below the last synced one is damage. RocksDB's recovery modes cannot tell the two
// apart: the strict ones refuse a torn tail, kPointInTimeRecovery takes damage for one and drops
// all that follows. So the store keeps the sequence number known to be synced in a file of its own,
// the durable point (real/rocks_durable_point.h), replays the log read-only at open, and answers
// Errc::corrupt, with nothing changed on disk, when the log ends before that point. The point is
// written after the sync, when the writer falls idle or every 128 groups; so damage of the very
// last groups before a power cut, within about 20 ms of it, still looks like a torn tail. Closing
// that gap would cost a second sync per commit. It is the entanglement described in "Protocol-Aware
// Recovery for Consensus-Based Storage" (FAST 2018), whose persist record is this file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "runtime/store.h"

namespace rocksdb {
class Env;
}

namespace holdfast::runtime {

class RocksWriter;

struct RocksOptions {
    std::string directory;  // Created, parents too. The RocksDB is in DIRECTORY/db.
    std::size_t write_buffer_bytes = std::size_t{4} << 20;
    std::size_t block_cache_bytes = std::size_t{8} << 20;
    std::size_t log_bytes_max = std::size_t{16} << 20;      // Write-ahead logs together.
    std::size_t waiting_bytes_max = std::size_t{32} << 20;  // Beyond: Errc::exhausted.
    rocksdb::Env* env = nullptr;  // Null: the operating system. Must outlive the store.
};

// Runs the function on the event loop, soon; callable from any thread.
using Post = std::function<void(std::move_only_function<void()>)>;

class RocksStore final : public Store {
  public:
    // Blocks while it replays the log. Errc::corrupt: damaged, nothing was changed; Errc::conflict:
    // another process has it open; Errc::exhausted: no space; Errc::unavailable: the disk failed.
    static Result<std::unique_ptr<RocksStore>> open(RocksOptions options, Post post);

    // Writes and syncs what was called for, then closes; blocks. The answers still come if the loop
    // goes on. Snapshots must be gone.
    ~RocksStore() override;
    RocksStore(const RocksStore&) = delete;
    RocksStore& operator=(const RocksStore&) = delete;

    Result<std::optional<std::string>> get(std::string_view key) const override;
    std::unique_ptr<Snapshot> snapshot() const override;
    Task<Result<void>> write(Batch batch, Durability durability) override;
    Task<Result<void>> flush() override;
    // The directory as the process sees it; it can be opened as a store of its own.
    Task<Result<void>> checkpoint(std::string directory) override;

  private:
    explicit RocksStore(std::unique_ptr<RocksWriter> writer);

    std::unique_ptr<RocksWriter> writer_;
};

}  // namespace holdfast::runtime
