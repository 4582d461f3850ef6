// The durable point of a RocksStore: the sequence number up to which its log is known to be synced.
//
// Two slots of one sector each, written in turn, so that a power cut leaves one of them whole:
// docs/formats/durable-point.md has the bytes. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace rocksdb {
class Env;
class RandomRWFile;
}  // namespace rocksdb

namespace holdfast::runtime {

class DurablePoint {
  public:
    // A new file that says 0, itself durable. The directory exists.
    static Result<void> create(rocksdb::Env& env, const std::string& path);
    // Errc::not_found; Errc::corrupt if neither slot is whole.
    static Result<std::unique_ptr<DurablePoint>> open(rocksdb::Env& env, const std::string& path);
    ~DurablePoint();
    DurablePoint(const DurablePoint&) = delete;
    DurablePoint& operator=(const DurablePoint&) = delete;

    std::uint64_t sequence() const { return sequence_; }
    // Synced when it returns. Blocks.
    Result<void> advance(std::uint64_t sequence);

  private:
    DurablePoint(std::unique_ptr<rocksdb::RandomRWFile> file, std::string path);

    std::unique_ptr<rocksdb::RandomRWFile> file_;
    std::string path_;
    std::uint64_t sequence_ = 0;
    std::uint64_t slot_ = 0;  // That holds sequence_.
};

}  // namespace holdfast::runtime
