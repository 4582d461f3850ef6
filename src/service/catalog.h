// Catalog: which services there are to be, in which version, and what there was before.
//
// What users want is kept in the coordinator and nowhere else: a node that starts reads it from
// there, so a stop, a scale or a version survives every restart. Changes go by compare-and-swap on
// a service's head and are tried again, a bounded number of times, when somebody else was first.
// DesiredWatch (catalog_desired.h) is the other end: what the supervisor follows.
//
// Errors, unless a call says otherwise: not_found (no such service), invalid (with everything that
// is wrong), corrupt (names the key), conflict (others kept being first), and the coordinator's
// own.
//
// The coordinator, the clock and the artifacts outlive the catalog. Not thread-safe: one event
// loop.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "coord/coordinator.h"
#include "runtime/clock.h"
#include "runtime/task.h"
#include "service/artifact_hash.h"
#include "service/catalog_records.h"
#include "service/catalog_rules.h"
#include "service/spec.h"

namespace holdfast::service {

enum class DryRun { no, yes };

struct ApplyRequest {
    std::string text;
    std::string file;  // For messages and the history.
    std::string author;
    DryRun dry_run = DryRun::no;
};

struct DeployRequest {
    std::string name;
    std::vector<std::pair<std::string, std::string>>
        env;                           // Added to the spec's, or in their place.
    std::vector<std::string> command;  // Empty: the spec's.
    std::string author;
    DryRun dry_run = DryRun::no;
};

struct RollbackRequest {
    std::string name;
    std::optional<VersionNumber> to;  // None: rollback_target().
    std::string author;
    std::string reason;  // Kept with the version that is left.
    // Only if this is still the current version, else Errc::conflict: for rollbacks that nobody
    // typed.
    std::optional<VersionNumber> only_from;
    DryRun dry_run = DryRun::no;
};

// What a change does, or, of a dry run, would do.
struct Plan {
    enum class Kind { created, changed, unchanged };
    Kind kind = Kind::unchanged;
    std::string name;
    VersionNumber version = 0;  // The current one after it.
    VersionNumber before = 0;   // The current one before it; 0: none.
    std::vector<FieldChange> changes;
    std::vector<std::string> warnings;  // Sentences for the author.
};

// A head that is not deleted, with the facts a table shows.
struct ServiceEntry {
    std::string name;
    Head head;
};

class Catalog {
  public:
    Catalog(coord::Coordinator& coordinator, runtime::Clock& clock, Artifacts& artifacts);

    // Makes a version if the spec differs from the one in force, or there is none. Errc::invalid
    // carries the parser's diagnostics, or the circle of `after`.
    runtime::Task<Result<Plan>> apply(ApplyRequest request);

    // Always makes a version: deploying the same spec rolls out a changed executable.
    runtime::Task<Result<Plan>> deploy(DeployRequest request);

    // Makes a version with an older one's spec, and marks the one it leaves as rolled back.
    // Errc::conflict, with the reason, when the executable on the disk is no longer that version's.
    runtime::Task<Result<Plan>> rollback(RollbackRequest request);

    runtime::Task<Result<void>> remove(std::string name);
    runtime::Task<Result<void>> set_running(std::string name, Running running);
    runtime::Task<Result<void>> scale(std::string name, int instances);
    // Of a job: runs it now. Returns the serial that DesiredService will show. Errc::invalid: hot
    // without inherited sockets, or a service that is stopped.
    runtime::Task<Result<std::uint64_t>> request_restart(std::string name, RestartMode mode);

    runtime::Task<Result<std::vector<ServiceEntry>>> list();  // By name.
    // By number. Of a deleted service too.
    runtime::Task<Result<std::vector<HistoryEntry>>> history(std::string name);
    runtime::Task<Result<Version>> version(std::string name, std::optional<VersionNumber> number);

    // For the supervisor: what became of a version; merge() says what prevails.
    runtime::Task<Result<void>> record_outcome(std::string name, VersionNumber number,
                                               VersionOutcome outcome);
    runtime::Task<Result<std::optional<VersionOutcome>>> outcome(std::string name,
                                                                 VersionNumber number);

  private:
    struct Read {  // A head with the revision to compare with.
        std::optional<Head> head;
        coord::Revision modified = 0;

        bool exists() const { return head && !head->deleted; }
    };
    struct Draft;     // A version about to be made.
    struct Artifact;  // What was found out about a spec's executable.
    // Each failed try means that somebody else's change went through: there is nothing to wait for.
    static constexpr int tries_max = 16;
    template <class T>
    using Tried = runtime::Task<Result<std::optional<T>>>;  // Nothing: somebody else was first.

    runtime::Task<Result<Read>> read_head(std::string name);
    runtime::Task<Error> missing(std::string name);
    runtime::Task<Result<Version>> read_version(std::string name, VersionNumber number);
    runtime::Task<Artifact> inspect(Spec spec);
    Tried<Plan> try_apply(ApplyRequest request, Spec spec, Artifact artifact);
    Tried<Plan> try_deploy(DeployRequest request);
    Tried<Plan> try_rollback(RollbackRequest request);
    runtime::Task<Result<Version>> rollback_version(std::string name, VersionNumber current,
                                                    std::optional<VersionNumber> to);
    Tried<Plan> make(Draft draft);
    runtime::Task<Result<std::vector<coord::Compare>>> check_after(Draft& draft);
    runtime::Task<Result<void>> leave_version(Draft& draft, coord::Transaction& transaction);
    runtime::Task<Result<void>> forget_surplus(Draft& draft, coord::Transaction& transaction);
    runtime::Task<Result<std::map<VersionNumber, VersionOutcome>>> outcomes(std::string name);
    runtime::Task<Result<Head>> change_head(std::string name,
                                            std::function<Result<void>(Head& head)> change);
    runtime::Task<Result<Head>> change_head_of(
        std::string name, std::function<Result<void>(Head& head, const Spec& spec)> change);
    static std::unexpected<Error> kept_losing(std::string_view name);
    WallTime now() const;

    coord::Coordinator& coordinator_;
    runtime::Clock& clock_;
    Artifacts& artifacts_;
};

}  // namespace holdfast::service
