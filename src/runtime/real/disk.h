// RealDisk: a directory tree of the machine, through plain blocking calls on the loop's disk pool.
//
// One file descriptor a File; a read or write goes on to its end even if its Task is destroyed, and
// keeps the descriptor open until then. So a caller that abandons a write must not count on its
// never happening later.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/disk.h"

namespace holdfast::runtime {

class EventLoop;

class RealDisk final : public Disk {
  public:
    // The root is created, parents too, when missing; made durable up to the first directory that
    // was there. Blocks. The loop outlives the disk.
    static Result<std::unique_ptr<RealDisk>> open(EventLoop& loop, std::string root);
    ~RealDisk() override;
    RealDisk(const RealDisk&) = delete;
    RealDisk& operator=(const RealDisk&) = delete;

    Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) override;
    Task<Result<void>> make_directory(std::string path) override;
    Task<Result<void>> rename(std::string from, std::string to) override;
    Task<Result<void>> remove(std::string path) override;
    Task<Result<std::vector<std::string>>> list(std::string directory) override;
    Task<Result<void>> sync_directory(std::string directory) override;
    Task<Result<DiskSpace>> space() override;

  private:
    RealDisk(EventLoop& loop, std::string root) : loop_(loop), root_(std::move(root)) {}

    EventLoop& loop_;
    std::string root_;
};

}  // namespace holdfast::runtime
