// RocksWriter: the writer thread of a RocksStore and the database it writes to. Included only by
// the files that make up RocksStore, which says what it does.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/completion.h"
#include "runtime/real/rocks.h"
#include "runtime/real/rocks_durable_point.h"
#include "runtime/store.h"

namespace holdfast::runtime {

using RocksLock = std::unique_ptr<rocksdb::FileLock, std::function<void(rocksdb::FileLock*)>>;

class RocksWriter {
  public:
    struct Request {
        enum class Kind { write, checkpoint };
        Kind kind = Kind::write;
        Batch batch;
        bool sync = false;
        std::string directory;
        Completion<Result<void>> done;
        std::size_t bytes = 0;
    };

    RocksWriter(RocksLock lock, std::unique_ptr<DurablePoint> point,
                std::unique_ptr<rocksdb::DB> db, std::size_t waiting_bytes_max, Post post);
    ~RocksWriter();  // Writes what waits.
    RocksWriter(const RocksWriter&) = delete;
    RocksWriter& operator=(const RocksWriter&) = delete;

    // On the event loop. The request is in the queue when this returns.
    Task<Result<void>> submit(Request request);

    // On any thread.
    rocksdb::DB& db() { return *db_; }
    Result<std::optional<std::string>> get(const rocksdb::ReadOptions& options,
                                           std::string_view key);
    Result<void> read_result(const rocksdb::Status& status);

  private:
    using Answers = std::vector<std::pair<Completion<Result<void>>, Result<void>>>;

    void run();
    std::vector<Request> next_group(std::unique_lock<std::mutex>& lock);
    void carry_out(std::vector<Request> group);
    Result<void> write(const std::vector<Request>& group);
    Result<void> checkpoint(const std::string& directory);
    void note_durable();
    void answer(Answers answers);

    RocksLock lock_;
    std::unique_ptr<DurablePoint> point_;
    std::unique_ptr<rocksdb::DB> db_;
    const std::size_t waiting_bytes_max_;
    const Post post_;
    std::atomic<bool> broken_ = false;

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Request> waiting_;  // Under mutex_, like the next two.
    std::size_t waiting_bytes_ = 0;
    bool closing_ = false;

    // The writer's own.
    std::uint64_t synced_ = 0;  // Sequence number.
    std::uint64_t groups_since_noted_ = 0;
    std::thread thread_;
};

}  // namespace holdfast::runtime
