// LossyEnv: RocksDB's files on the real file system, with a power cut that loses what was not
// synced.
//
// Keeps for every file written through it how much is synced; cut() makes all further writing fail,
// and lose(), once the database is closed, cuts each file back to its synced length and a random
// part of the rest, the last sector of which may be garbage. For tests. Thread-safe.
#pragma once

#include <rocksdb/env.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/random.h"

namespace holdfast::runtime {

class LossyEnv final : public rocksdb::EnvWrapper {
  public:
    LossyEnv() : rocksdb::EnvWrapper(rocksdb::Env::Default()) {}

    const char* Name() const override { return "LossyEnv"; }

    void cut() { cut_ = true; }

    void lose(Random& random) {
        const std::lock_guard lock(mutex_);
        for (const auto& [path, file] : files_) {
            std::error_code missing;
            const auto length = std::filesystem::file_size(path, missing);
            if (missing || length <= file.synced) continue;
            const auto kept = random.below(length - file.synced + 1);
            std::filesystem::resize_file(path, file.synced + kept);
            if (kept > 0 && random.chance(0.5)) tear(path, file.synced, kept, random);
        }
        for (const auto& [path, bytes] : unsynced_slots_) {
            if (random.chance(0.5)) {
                std::ofstream(path, std::ios::binary) << bytes;
            }
        }
        files_.clear();
        unsynced_slots_.clear();
        cut_ = false;
    }

    rocksdb::Status NewWritableFile(const std::string& path,
                                    std::unique_ptr<rocksdb::WritableFile>* file,
                                    const rocksdb::EnvOptions& options) override {
        if (cut_) return no_power();
        auto status = target()->NewWritableFile(path, file, options);
        if (status.ok()) *file = std::make_unique<Writable>(*this, path, std::move(*file));
        return status;
    }

    rocksdb::Status NewRandomRWFile(const std::string& path,
                                    std::unique_ptr<rocksdb::RandomRWFile>* file,
                                    const rocksdb::EnvOptions& options) override {
        if (cut_) return no_power();
        auto status = target()->NewRandomRWFile(path, file, options);
        if (status.ok()) *file = std::make_unique<Slots>(*this, path, std::move(*file));
        return status;
    }

    rocksdb::Status RenameFile(const std::string& from, const std::string& to) override {
        if (cut_) return no_power();
        const std::lock_guard lock(mutex_);
        auto status = target()->RenameFile(from, to);
        if (auto moved = files_.extract(from); status.ok() && moved) {
            files_.erase(to);
            moved.key() = to;
            files_.insert(std::move(moved));
        }
        return status;
    }

    rocksdb::Status DeleteFile(const std::string& path) override {
        if (cut_) return no_power();
        const std::lock_guard lock(mutex_);
        files_.erase(path);
        return target()->DeleteFile(path);
    }

  private:
    struct Lengths {
        std::uint64_t written = 0;
        std::uint64_t synced = 0;
    };

    class Writable final : public rocksdb::WritableFileWrapper {
      public:
        Writable(LossyEnv& env, std::string path, std::unique_ptr<rocksdb::WritableFile> file)
            : WritableFileWrapper(file.get()),
              env_(env),
              path_(std::move(path)),
              file_(std::move(file)) {
            const std::lock_guard lock(env_.mutex_);
            env_.files_[path_] = {};
        }
        rocksdb::Status Append(const rocksdb::Slice& bytes) override {
            if (env_.cut_) return no_power();
            auto status = file_->Append(bytes);
            if (status.ok()) {
                const std::lock_guard lock(env_.mutex_);
                env_.files_[path_].written += bytes.size();
            }
            return status;
        }
        rocksdb::Status Append(const rocksdb::Slice& bytes,
                               const rocksdb::DataVerificationInfo&) override {
            return Append(bytes);
        }
        rocksdb::Status Sync() override {
            return sync([this] { return file_->Sync(); });
        }
        rocksdb::Status Fsync() override {
            return sync([this] { return file_->Fsync(); });
        }

      private:
        template <class F>
        rocksdb::Status sync(F job) {
            if (env_.cut_) return no_power();
            auto status = job();
            const std::lock_guard lock(env_.mutex_);
            auto& lengths = env_.files_[path_];
            if (status.ok()) lengths.synced = lengths.written;
            return status;
        }

        LossyEnv& env_;
        std::string path_;
        std::unique_ptr<rocksdb::WritableFile> file_;
    };

    class Slots final : public rocksdb::RandomRWFile {
      public:
        Slots(LossyEnv& env, std::string path, std::unique_ptr<rocksdb::RandomRWFile> file)
            : env_(env), path_(std::move(path)), file_(std::move(file)) {}
        rocksdb::Status Write(std::uint64_t offset, const rocksdb::Slice& bytes) override {
            if (env_.cut_) return no_power();
            std::string before;
            auto status = rocksdb::ReadFileToString(env_.target(), path_, &before);
            const std::lock_guard lock(env_.mutex_);
            env_.unsynced_slots_.try_emplace(path_, before);
            return status.ok() ? file_->Write(offset, bytes) : status;
        }
        rocksdb::Status Read(std::uint64_t offset, std::size_t count, rocksdb::Slice* bytes,
                             char* scratch) const override {
            return file_->Read(offset, count, bytes, scratch);
        }
        rocksdb::Status Flush() override { return file_->Flush(); }
        rocksdb::Status Sync() override {
            if (env_.cut_) return no_power();
            auto status = file_->Sync();
            const std::lock_guard lock(env_.mutex_);
            env_.unsynced_slots_.erase(path_);
            return status;
        }
        rocksdb::Status Close() override { return file_->Close(); }

      private:
        LossyEnv& env_;
        std::string path_;
        std::unique_ptr<rocksdb::RandomRWFile> file_;
    };

    static rocksdb::Status no_power() { return rocksdb::Status::IOError("the power is off"); }

    static void tear(const std::string& path, std::uint64_t from, std::uint64_t length,
                     Random& random) {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        const auto torn = std::min<std::uint64_t>(length, 1 + random.below(512));
        file.seekp(static_cast<std::streamoff>(from + length - torn));
        const bool zeros = random.chance(0.5);
        for (std::uint64_t i = 0; i < torn; ++i) {
            file.put(zeros ? '\0' : static_cast<char>(random.below(256)));
        }
    }

    std::atomic<bool> cut_ = false;
    std::mutex mutex_;
    std::map<std::string, Lengths> files_;
    std::map<std::string, std::string> unsynced_slots_;  // Whole content before.
};

}  // namespace holdfast::runtime
