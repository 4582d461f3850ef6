// The SHA-256 of a version's executable file, which is how `rollback` knows whether the file on the
// disk is still the one that ran.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "runtime/task.h"
#include "service/spec.h"

namespace holdfast::service {

// The edge, so that the catalog's tests need no files.
class Artifacts {
  public:
    virtual ~Artifacts() = default;

    // In hex. Errors: not_found (no such program; says where it was looked for), denied (may not be
    // read), unavailable (I/O error).
    virtual runtime::Task<Result<std::string>> executable_sha256(Spec spec) = 0;
};

// Runs blocking work off the event loop and returns when it is done, such as EventLoop::on_pool().
// The work may go on after the task has been destroyed, so it owns all it touches.
using Offload = std::function<runtime::Task<void>(std::function<void()> work)>;

// The real one. Finds the program as the keeper would (a path, relative to `directory`; or a name
// in PATH of `env`) and reads it off the event loop. What has been hashed is remembered by device,
// inode, size, mtime and ctime, so that a thousand deploys of one large file read it once.
class ArtifactHash final : public Artifacts {
  public:
    explicit ArtifactHash(Offload offload);
    runtime::Task<Result<std::string>> executable_sha256(Spec spec) override;

    // Which file is meant, and in which state; for the memory.
    using Identity = std::array<std::uint64_t, 7>;

  private:
    Offload offload_;
    std::map<Identity, std::string> known_;  // At most a thousand.
};

// The path that would be executed. Errc::not_found, Errc::denied.
Result<std::string> find_executable(const Spec& spec);

}  // namespace holdfast::service
