#include "runtime/real/rocks_writer.h"

#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include "base/log.h"
#include "runtime/real/rocks_status.h"

namespace holdfast::runtime {

namespace {

constexpr std::size_t group_bytes_max = std::size_t{4} << 20;
constexpr std::uint64_t groups_until_noted = 128;
constexpr auto idle_until_noted = std::chrono::milliseconds(20);

rocksdb::Slice slice(std::string_view bytes) {
    return {bytes.data(), bytes.size()};
}

rocksdb::Status append(rocksdb::WriteBatch& into, const Batch& batch) {
    for (const auto& step : batch.steps()) {
        rocksdb::Status status;
        switch (step.kind) {
            case Batch::Kind::put:
                status = into.Put(slice(step.key), slice(step.value));
                break;
            case Batch::Kind::erase:
                status = into.Delete(slice(step.key));
                break;
            case Batch::Kind::erase_range:
                if (step.key < step.value) {
                    status = into.DeleteRange(slice(step.key), slice(step.value));
                }
                break;
        }
        if (!status.ok()) return status;
    }
    return rocksdb::Status::OK();
}

std::size_t size_of(const Batch& batch) {
    std::size_t bytes = 64;
    for (const auto& step : batch.steps()) bytes += step.key.size() + step.value.size() + 32;
    return bytes;
}

Error refused() {
    return {Errc::unavailable, "the store takes no more writes; reopen it"};
}

}  // namespace

RocksWriter::RocksWriter(RocksLock lock, std::unique_ptr<DurablePoint> point,
                         std::unique_ptr<rocksdb::DB> db, std::size_t waiting_bytes_max, Post post)
    : lock_(std::move(lock)),
      point_(std::move(point)),
      db_(std::move(db)),
      waiting_bytes_max_(waiting_bytes_max),
      post_(std::move(post)),
      synced_(point_->sequence()),
      thread_([this] { run(); }) {}

RocksWriter::~RocksWriter() {
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    arrived_.notify_one();
    thread_.join();
    db_->Close().PermitUncheckedError();  // Nothing is promised about what is not synced.
}

Task<Result<void>> RocksWriter::submit(Request request) {
    const auto done = request.done;
    request.bytes = size_of(request.batch);
    const std::lock_guard lock(mutex_);
    if (broken_) {
        done.complete(std::unexpected(refused()));
    } else if (waiting_bytes_ + request.bytes > waiting_bytes_max_ && !waiting_.empty()) {
        done.complete(fail(Errc::exhausted, "too much waits to be written to the store"));
    } else {
        waiting_bytes_ += request.bytes;
        waiting_.push_back(std::move(request));
        arrived_.notify_one();
    }
    return Completion<Result<void>>::answer(done);
}

Result<std::optional<std::string>> RocksWriter::get(const rocksdb::ReadOptions& options,
                                                    std::string_view key) {
    rocksdb::PinnableSlice value;
    const auto status = db_->Get(options, db_->DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    HF_TRY_VOID(read_result(status));
    return value.ToString();
}

Result<void> RocksWriter::read_result(const rocksdb::Status& status) {
    if (status.ok()) return {};
    if (status.IsCorruption()) broken_ = true;
    return std::unexpected(rocks_error(status, db_->GetName()));
}

void RocksWriter::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        const auto ready = [this] { return closing_ || !waiting_.empty(); };
        if (groups_since_noted_ == 0) {
            arrived_.wait(lock, ready);
        } else if (!arrived_.wait_for(lock, idle_until_noted, ready)) {
            lock.unlock();
            note_durable();
            lock.lock();
            continue;
        }
        if (waiting_.empty()) break;  // Closing.
        auto group = next_group(lock);
        lock.unlock();
        carry_out(std::move(group));
        lock.lock();
    }
    lock.unlock();
    if (!broken_ && db_->FlushWAL(/*sync=*/true).ok()) {
        synced_ = db_->GetLatestSequenceNumber();
        note_durable();
    }
}

// Writes up to the size limit, at least one; a checkpoint alone.
std::vector<RocksWriter::Request> RocksWriter::next_group(std::unique_lock<std::mutex>&) {
    std::vector<Request> group;
    std::size_t bytes = 0;
    while (!waiting_.empty()) {
        const auto& next = waiting_.front();
        const bool alone = next.kind == Request::Kind::checkpoint;
        if (!group.empty() && (alone || bytes + next.bytes > group_bytes_max)) break;
        bytes += next.bytes;
        group.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
        if (alone) break;
    }
    waiting_bytes_ -= bytes;
    return group;
}

void RocksWriter::carry_out(std::vector<Request> group) {
    Result<void> result;
    if (broken_) {
        result = std::unexpected(refused());
    } else if (group.front().kind == Request::Kind::checkpoint) {
        result = checkpoint(group.front().directory);
    } else {
        result = write(group);
        if (!result) broken_ = true;
    }
    Answers answers;
    for (auto& request : group) answers.emplace_back(std::move(request.done), result);
    answer(std::move(answers));
    if (groups_since_noted_ >= groups_until_noted) note_durable();
}

Result<void> RocksWriter::write(const std::vector<Request>& group) {
    rocksdb::WriteBatch batch;
    bool sync = false;
    for (const auto& request : group) {
        HF_TRY_VOID(rocks_result(append(batch, request.batch), db_->GetName()));
        sync = sync || request.sync;
    }
    if (batch.Count() > 0) {
        rocksdb::WriteOptions options;
        options.sync = sync;
        HF_TRY_VOID(rocks_result(db_->Write(options, &batch), db_->GetName()));
    } else if (sync) {
        HF_TRY_VOID(rocks_result(db_->FlushWAL(/*sync=*/true), db_->GetName()));
    }
    if (sync) {
        synced_ = db_->GetLatestSequenceNumber();
        ++groups_since_noted_;
    }
    return {};
}

Result<void> RocksWriter::checkpoint(const std::string& directory) {
    if (db_->GetEnv()->FileExists(directory).ok()) {
        return fail(Errc::conflict, directory + " exists");
    }
    rocksdb::Checkpoint* made = nullptr;
    HF_TRY_VOID(rocks_result(rocksdb::Checkpoint::Create(db_.get(), &made), directory));
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
    auto& env = *db_->GetEnv();
    // Laid out as a store, so that RocksStore::open() takes it.
    HF_TRY_VOID(rocks_result(env.CreateDir(directory), directory));
    HF_TRY_VOID(DurablePoint::create(env, directory + "/durable-point"));
    HF_TRY_VOID(rocks_result(checkpoint->CreateCheckpoint(directory + "/db"), directory));
    std::unique_ptr<rocksdb::Directory> opened;
    HF_TRY_VOID(rocks_result(env.NewDirectory(directory, &opened), directory));
    return rocks_result(opened->Fsync(), directory);
}

void RocksWriter::note_durable() {
    groups_since_noted_ = 0;
    if (broken_ || synced_ <= point_->sequence()) return;
    if (auto noted = point_->advance(synced_); !noted) {
        log_error("store: takes no more writes: {}", noted.error().message);
        broken_ = true;
    }
}

// In one piece, so that the loop is woken once a group.
void RocksWriter::answer(Answers answers) {
    post_([answers = std::move(answers)]() mutable {
        for (auto& [done, result] : answers) done.complete(std::move(result));
    });
}

}  // namespace holdfast::runtime
