#include "runtime/real/rocks_durable_point.h"

#include <rocksdb/env.h>

#include <optional>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "runtime/real/rocks_status.h"

namespace holdfast::runtime {

namespace {

constexpr std::string_view magic = "HFDURPT1";
constexpr std::size_t slot_bytes = 512;
constexpr std::size_t record_bytes = magic.size() + sizeof(std::uint64_t) + sizeof(std::uint32_t);

std::string encode(std::uint64_t sequence) {
    std::string slot(magic);
    append_le(slot, sequence);
    append_le(slot, crc32c(slot));
    slot.resize(slot_bytes);
    return slot;
}

std::optional<std::uint64_t> decode(std::string_view slot) {
    ByteReader reader(slot);
    const bool ours = reader.take(magic.size()) == magic;
    const auto sequence = reader.le<std::uint64_t>();
    const auto checksum = reader.le<std::uint32_t>();
    if (!ours || !reader.ok()) return std::nullopt;
    if (crc32c(slot.substr(0, record_bytes - sizeof checksum)) != checksum) return std::nullopt;
    return sequence;
}

}  // namespace

DurablePoint::DurablePoint(std::unique_ptr<rocksdb::RandomRWFile> file, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {}

DurablePoint::~DurablePoint() = default;

Result<void> DurablePoint::create(rocksdb::Env& env, const std::string& path) {
    const auto beside = path + ".new";
    HF_TRY_VOID(rocks_result(
        rocksdb::WriteStringToFile(&env, encode(0) + encode(0), beside, /*should_sync=*/true),
        beside));
    HF_TRY_VOID(rocks_result(env.RenameFile(beside, path), path));
    const auto directory = path.substr(0, path.rfind('/'));
    std::unique_ptr<rocksdb::Directory> opened;
    HF_TRY_VOID(rocks_result(env.NewDirectory(directory, &opened), directory));
    return rocks_result(opened->Fsync(), directory);
}

Result<std::unique_ptr<DurablePoint>> DurablePoint::open(rocksdb::Env& env,
                                                         const std::string& path) {
    std::string bytes;
    HF_TRY_VOID(rocks_result(rocksdb::ReadFileToString(&env, path, &bytes), path));
    std::unique_ptr<rocksdb::RandomRWFile> file;
    HF_TRY_VOID(rocks_result(env.NewRandomRWFile(path, &file, rocksdb::EnvOptions()), path));
    std::unique_ptr<DurablePoint> point(new DurablePoint(std::move(file), path));
    bool whole = false;
    for (std::uint64_t slot = 0; slot < 2; ++slot) {
        const auto from = static_cast<std::size_t>(slot) * slot_bytes;
        if (bytes.size() < from + slot_bytes) continue;
        const auto sequence = decode(std::string_view(bytes).substr(from, slot_bytes));
        if (!sequence || (whole && *sequence < point->sequence_)) continue;
        whole = true;
        point->sequence_ = *sequence;
        point->slot_ = slot;
    }
    if (!whole) return fail(Errc::corrupt, path + ": neither copy of the durable point is whole");
    return point;
}

Result<void> DurablePoint::advance(std::uint64_t sequence) {
    HF_CHECK(sequence >= sequence_);
    const auto slot = 1 - slot_;
    HF_TRY_VOID(rocks_result(file_->Write(slot * slot_bytes, encode(sequence)), path_));
    HF_TRY_VOID(rocks_result(file_->Sync(), path_));
    slot_ = slot;
    sequence_ = sequence;
    return {};
}

}  // namespace holdfast::runtime
