#include "runtime/real/rocks.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"
#include "runtime/completion.h"
#include "runtime/real/rocks_durable_point.h"
#include "runtime/real/rocks_status.h"
#include "runtime/real/rocks_writer.h"

namespace holdfast::runtime {

namespace {

rocksdb::Slice slice(std::string_view bytes) {
    return {bytes.data(), bytes.size()};
}
std::string_view view(const rocksdb::Slice& bytes) {
    return {bytes.data(), bytes.size()};
}

// RocksDB's own log, of which an operator needs to see errors only.
class ErrorsOnly final : public rocksdb::Logger {
  public:
    ErrorsOnly() : rocksdb::Logger(rocksdb::InfoLogLevel::ERROR_LEVEL) {}
    using rocksdb::Logger::Logv;
    void Logv(const char* format, va_list arguments) override {
        char line[1024];
        std::vsnprintf(line, sizeof line, format, arguments);
        const std::string_view text = line;
        log_error("store: {}", text.substr(0, text.find('\n')));
    }
};

rocksdb::Options rocks_options(const RocksOptions& options) {
    rocksdb::Options rocks;
    rocks.env = options.env ? options.env : rocksdb::Env::Default();
    rocks.create_if_missing = true;
    rocks.paranoid_checks = true;
    rocks.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    rocks.max_bgerror_resume_count = 0;  // A failed write ends it; see store.h.
    rocks.info_log = std::make_shared<ErrorsOnly>();
    // The whole node stays under 64 MiB: two small memtables, a small cache, two threads.
    rocks.write_buffer_size = options.write_buffer_bytes;
    rocks.max_write_buffer_number = 2;
    rocks.max_total_wal_size = options.log_bytes_max;
    rocks.max_background_jobs = 2;
    rocks.max_open_files = 256;
    rocks.target_file_size_base = options.write_buffer_bytes;
    rocks.max_bytes_for_level_base = options.write_buffer_bytes * 8;
    rocks.max_manifest_file_size = std::size_t{4} << 20;
    rocks.stats_dump_period_sec = 0;
    rocks.stats_persist_period_sec = 0;
    rocks.skip_stats_update_on_db_open = true;
    rocks.compression = rocksdb::kLZ4Compression;
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, /*num_shard_bits=*/2);
    table.cache_index_and_filter_blocks = true;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.format_version = 5;
    rocks.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return rocks;
}

// Makes the directory and its parents, each durable in its parent.
Result<void> make_directories(rocksdb::Env& env, const std::string& path) {
    if (env.FileExists(path).ok()) return {};
    const auto slash = path.rfind('/');
    std::string parent = slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    HF_TRY_VOID(make_directories(env, parent));
    HF_TRY_VOID(rocks_result(env.CreateDirIfMissing(path), path));
    std::unique_ptr<rocksdb::Directory> opened;
    HF_TRY_VOID(rocks_result(env.NewDirectory(parent, &opened), parent));
    return rocks_result(opened->Fsync(), parent);
}

Result<RocksLock> lock_directory(rocksdb::Env& env, const std::string& directory) {
    const auto path = directory + "/lock";
    rocksdb::FileLock* locked = nullptr;
    const auto status = env.LockFile(path, &locked);
    if (status.ok())
        return RocksLock(locked, [&env](rocksdb::FileLock* lock) { env.UnlockFile(lock); });
    // RocksDB has no code of its own for a lock that somebody else holds.
    const auto text = status.ToString();
    if (text.contains("lock hold by current process") || text.contains("temporarily unavailable")) {
        return fail(Errc::conflict, directory + ": another process has the store open");
    }
    return std::unexpected(rocks_error(status, path));
}

// Replays the log without touching anything: Errc::corrupt if it ends before the durable point.
Result<void> check_replay(const rocksdb::Options& options, const std::string& path,
                          std::uint64_t durable) {
    rocksdb::DB* opened = nullptr;
    HF_TRY_VOID(rocks_result(rocksdb::DB::OpenForReadOnly(options, path, &opened), path));
    const std::unique_ptr<rocksdb::DB> db(opened);
    const auto found = db->GetLatestSequenceNumber();
    if (found >= durable) return {};
    return fail(
        Errc::corrupt,
        fmt::format("{}: damaged: {} changes were made durable, the log holds {}. Nothing was "
                    "changed; restore it from a backup, or set the directory aside",
                    path, durable, found));
}

// What is there: the durable point, made if the store is new; its log holds at least as much.
Result<std::unique_ptr<DurablePoint>> check_store(const rocksdb::Options& options,
                                                  const std::string& directory,
                                                  const std::string& path) {
    auto& env = *options.env;
    const auto point_path = directory + "/durable-point";
    const bool has_database = env.FileExists(path + "/CURRENT").ok();
    if (!env.FileExists(point_path).ok()) {
        std::vector<std::string> files;
        static_cast<void>(env.GetChildren(path, &files));
        if (!files.empty()) {
            return fail(Errc::corrupt, point_path + ": missing, though the database is there");
        }
        HF_TRY_VOID(DurablePoint::create(env, point_path));
    }
    HF_TRY(auto point, DurablePoint::open(env, point_path));
    HF_TRY_VOID(rocks_result(env.CreateDirIfMissing(path), path));
    if (has_database) {
        HF_TRY_VOID(check_replay(options, path, point->sequence()));
    } else if (point->sequence() > 0) {
        return fail(Errc::corrupt, path + ": CURRENT is missing, though the store had content");
    }
    return point;
}

class RocksSnapshot final : public Snapshot {
  public:
    explicit RocksSnapshot(RocksWriter& writer)
        : writer_(writer), snapshot_(writer.db().GetSnapshot()) {
        options_.snapshot = snapshot_;
    }
    ~RocksSnapshot() override { writer_.db().ReleaseSnapshot(snapshot_); }
    RocksSnapshot(const RocksSnapshot&) = delete;
    RocksSnapshot& operator=(const RocksSnapshot&) = delete;

    Result<std::optional<std::string>> get(std::string_view key) const override {
        return writer_.get(options_, key);
    }

    Result<void> scan(
        std::string_view from, std::string_view to,
        const std::function<bool(std::string_view, std::string_view)>& visit) const override {
        auto options = options_;
        const auto end = slice(to);
        if (!to.empty()) options.iterate_upper_bound = &end;
        const std::unique_ptr<rocksdb::Iterator> at(writer_.db().NewIterator(options));
        for (at->Seek(slice(from)); at->Valid(); at->Next()) {
            if (!visit(view(at->key()), view(at->value()))) break;
        }
        return writer_.read_result(at->status());
    }

  private:
    RocksWriter& writer_;
    const rocksdb::Snapshot* snapshot_;
    rocksdb::ReadOptions options_;
};

}  // namespace

Result<std::unique_ptr<RocksStore>> RocksStore::open(RocksOptions options, Post post) {
    const auto rocks = rocks_options(options);
    const auto path = options.directory + "/db";
    HF_TRY_VOID(make_directories(*rocks.env, options.directory));
    HF_TRY(auto lock, lock_directory(*rocks.env, options.directory));
    HF_TRY(auto point, check_store(rocks, options.directory, path));
    rocksdb::DB* opened = nullptr;
    HF_TRY_VOID(rocks_result(rocksdb::DB::Open(rocks, path, &opened), path));
    std::unique_ptr<rocksdb::DB> db(opened);
    if (db->GetLatestSequenceNumber() < point->sequence()) {
        return fail(Errc::corrupt, path + ": lost durable changes while it was opened");
    }
    return std::unique_ptr<RocksStore>(new RocksStore(
        std::make_unique<RocksWriter>(std::move(lock), std::move(point), std::move(db),
                                      options.waiting_bytes_max, std::move(post))));
}

RocksStore::RocksStore(std::unique_ptr<RocksWriter> writer) : writer_(std::move(writer)) {}

RocksStore::~RocksStore() = default;

Result<std::optional<std::string>> RocksStore::get(std::string_view key) const {
    return writer_->get(rocksdb::ReadOptions(), key);
}

std::unique_ptr<Snapshot> RocksStore::snapshot() const {
    return std::make_unique<RocksSnapshot>(*writer_);
}

Task<Result<void>> RocksStore::write(Batch batch, Durability durability) {
    return writer_->submit({.kind = RocksWriter::Request::Kind::write,
                            .batch = std::move(batch),
                            .sync = durability == Durability::synced,
                            .directory = {},
                            .done = {}});
}

Task<Result<void>> RocksStore::flush() {
    return writer_->submit({.kind = RocksWriter::Request::Kind::write,
                            .batch = {},
                            .sync = true,
                            .directory = {},
                            .done = {}});
}

Task<Result<void>> RocksStore::checkpoint(std::string directory) {
    return writer_->submit({.kind = RocksWriter::Request::Kind::checkpoint,
                            .batch = {},
                            .sync = false,
                            .directory = std::move(directory),
                            .done = {}});
}

}  // namespace holdfast::runtime
