// The SHA-256 of a version's executable file, which is how `rollback` knows whether the file on the
// disk is still the one that ran.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>

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

// Runs blocking work off the event loop, and returns when it is done.
using Offload = std::function<runtime::Task<void>(std::function<void()> work)>;

// The real one. Finds the program as the keeper would (a path, relative to `directory`; or a name
// in PATH of `env`) and reads it on the disk pool. What has been hashed is remembered by device,
// inode, size, mtime and ctime, so that a thousand deploys of one large file read it once.
class ArtifactHash final : public Artifacts {
  public:
    explicit ArtifactHash(Offload offload);
    runtime::Task<Result<std::string>> executable_sha256(Spec spec) override;

  private:
    using Identity =
        std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::int64_t, std::int64_t>;

    Offload offload_;
    std::map<Identity, std::string> known_;  // At most remembered_most.
};

// The path that would be executed. Errc::not_found, Errc::denied.
Result<std::string> find_executable(const Spec& spec);

}  // namespace holdfast::service
