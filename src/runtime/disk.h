// The edge to the disk: files in one directory tree, with the durability rules spelled out.
//
// What a crash may lose: everything written to a file since its last sync(); every creation, rename
// and removal in a directory since its last sync_directory(). Real disks may tear the unsynced part
// and may lose parts of it in any order; the simulated one does.
//
// Paths are relative to the tree's root, '/'-separated, without "." or "..". The calls run on the
// disk pool and never block the event loop. A failed sync() loses the unsynced bytes for good: the
// caller must not try it again, and treat the file as damaged (rule 7 of the replication protocol).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/task.h"

namespace holdfast::runtime {

class File {
  public:
    virtual ~File() = default;  // Closes, without syncing.
    // Fewer bytes than asked for only at the end of the file.
    virtual Task<Result<std::string>> read_at(std::uint64_t offset, std::size_t count) = 0;
    virtual Task<Result<void>> write_at(std::uint64_t offset, std::string bytes) = 0;
    virtual Task<Result<void>> sync() = 0;  // Content and length.
    virtual Task<Result<void>> truncate(std::uint64_t length) = 0;
    virtual Task<Result<std::uint64_t>> size() = 0;
};

enum class OpenMode {
    read,        // Errc::not_found if there is none.
    read_write,  // Creates it if there is none.
    create_new,  // Errc::conflict if there is one.
};

struct DiskSpace {
    std::uint64_t total_bytes = 0;
    std::uint64_t free_bytes = 0;  // To us, not to root.
};

// Errors: not_found, conflict, exhausted (no space, no descriptors), corrupt (I/O error on read),
// unavailable (read-only file system, I/O error on write), denied, invalid (such a path, such a
// file).
class Disk {
  public:
    virtual ~Disk() = default;
    virtual Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) = 0;
    virtual Task<Result<void>> make_directory(std::string path) = 0;  // Parents too; fine if there.
    virtual Task<Result<void>> rename(std::string from, std::string to) = 0;  // Replaces `to`.
    virtual Task<Result<void>> remove(std::string path) = 0;  // A file or an empty directory.
    virtual Task<Result<std::vector<std::string>>> list(
        std::string directory) = 0;  // Names, sorted.
    virtual Task<Result<void>> sync_directory(std::string directory) = 0;
    virtual Task<Result<DiskSpace>> space() = 0;
};

// Errc::invalid unless the path is as described above; "" is the root.
Result<void> check_path(std::string_view path);
// The directory a path is in: "" for the root's own entries.
std::string parent_path(std::string_view path);

// Writes beside (PATH.new), syncs, renames, syncs the directory: after success the file holds
// `bytes` through any crash; after failure or a crash it holds the old content or the new, never a
// mixture. One at a time for each path; one whose Task was destroyed may still be at its last
// operation.
Task<Result<void>> replace_file(Disk& disk, std::string path, std::string bytes);
// Errc::exhausted if the file is larger than `size_max` bytes.
Task<Result<std::string>> read_file(Disk& disk, std::string path, std::size_t size_max);

}  // namespace holdfast::runtime
