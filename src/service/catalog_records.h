// What the catalog keeps of a service, and how it is written: docs/formats/catalog.md.
//
// A service is one small mutable record, its head, and immutable versions. An outcome says what
// became of a version. Heads have a prefix of their own, because they are what everybody lists and
// watches, and versions are large.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "service/spec.h"

namespace holdfast::service {

using VersionNumber = std::uint32_t;  // From 1; per service; never used twice, deletion included.

enum class Running { running, stopped };
enum class RestartMode { automatic, hot, cold };  // automatic: as the spec's deploy.strategy says.

struct Head {
    bool deleted = false;  // Kept so that numbers are not used again; its history stays readable.
    VersionNumber current = 0;
    VersionNumber last = 0;  // The highest number ever given.
    Running wanted = Running::running;
    std::optional<int> instances;      // By `scale`; else the spec's own.
    std::uint64_t restart_serial = 0;  // Rises with each `restart`.
    RestartMode restart_mode = RestartMode::automatic;
    std::vector<std::string> after;  // Of the current version, so that cycles are found from heads.
    std::vector<VersionNumber> kept;  // The versions that exist, ascending.

    bool operator==(const Head&) const = default;
};

enum class Cause { apply, deploy, rollback };

struct Version {
    VersionNumber number = 0;
    std::string text;    // As given to `apply`; of a deploy or rollback, the text it started from.
    std::string file;    // The name its author gave to it.
    Spec spec;           // In force: kept as write_spec() wrote it.
    std::string sha256;  // Of the executable file, in hex; empty if it could not be read.
    WallTime made;
    std::string author;
    Cause cause = Cause::apply;
    VersionNumber restores =
        0;  // Of a rollback: the version whose spec this is, itself no rollback.

    bool operator==(const Version&) const = default;
};

enum class OutcomeState {
    rolling,      // Being rolled out.
    live,         // It serves.
    failed,       // It never did, or fell in its watch window.
    rolled_back,  // Another version was put in its place because of it. Final.
    superseded,   // Replaced by a newer version in the ordinary way.
};

struct VersionOutcome {
    OutcomeState state = OutcomeState::rolling;
    std::string reason;
    WallTime since;                // Of the state.
    std::optional<WallTime> live;  // When it first became live; none: never.

    bool operator==(const VersionOutcome&) const = default;
};

std::string_view name_of(Running running);
std::string_view name_of(RestartMode mode);
std::string_view name_of(Cause cause);
std::string_view name_of(OutcomeState state);

inline constexpr std::string_view heads_prefix = "services/heads/";
std::string head_key(std::string_view service);
std::string versions_prefix(std::string_view service);
std::string version_key(std::string_view service, VersionNumber number);
std::string outcomes_prefix(std::string_view service);
std::string outcome_key(std::string_view service, VersionNumber number);

// The service a head's key stands for, or the number at the end of a version's or outcome's key.
std::optional<std::string> service_of_head_key(std::string_view key);
std::optional<VersionNumber> number_of_key(std::string_view key);

// JSON. Fields that this release does not know are ignored. Errc::corrupt names the key.
std::string encode(const Head& head);
std::string encode(const Version& version);
std::string encode(const VersionOutcome& outcome);
Result<Head> decode_head(std::string_view key, std::string_view json);
Result<Version> decode_version(std::string_view key, std::string_view json);
Result<VersionOutcome> decode_outcome(std::string_view key, std::string_view json);

}  // namespace holdfast::service
