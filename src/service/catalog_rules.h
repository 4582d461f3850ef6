// The catalog's judgements, apart from its store: what a change amounts to, which version a
// rollback means, which versions may be forgotten, whether services wait for each other in a
// circle. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "service/catalog_records.h"
#include "service/spec.h"

namespace holdfast::service {

// One key whose value differs; values as TOML, empty where the key is absent.
struct FieldChange {
    std::string key;
    std::string from;
    std::string to;

    bool operator==(const FieldChange&) const = default;
};

// In the order of write_spec().
std::vector<FieldChange> differences(const Spec& from, const Spec& to);

// What each service waits for. A name that is not a key is a service that does not exist (yet).
using AfterGraph = std::map<std::string, std::vector<std::string>, std::less<>>;

// A circle through `start`, as {"a", "b", "a"}; the first by name if there are several.
std::optional<std::vector<std::string>> after_cycle(const AfterGraph& graph,
                                                    std::string_view start);

// Every name that can be reached from `start`, itself excluded, sorted.
std::vector<std::string> after_reach(const AfterGraph& graph, std::string_view start);

struct HistoryEntry {
    Version version;
    std::optional<VersionOutcome> outcome;  // None: nobody has begun with it yet.
    bool current = false;
};

// The newest version before the current one that was live and whose spec is neither the current
// one's nor one that has been rolled back. `history` is by number, ascending. Errc::not_found:
// there is none.
Result<VersionNumber> rollback_target(const std::vector<HistoryEntry>& history);

// A service's outcome after `next` has been reported over `known`: `rolled_back` is final, and the
// time of having become live is kept.
VersionOutcome merge(const std::optional<VersionOutcome>& known, VersionOutcome next);

// The newest version before `before` that was live and not rolled back.
std::optional<VersionNumber> last_served(const std::map<VersionNumber, VersionOutcome>& outcomes,
                                         VersionNumber before);

inline constexpr std::size_t history_most = 100;

// The versions to forget so that history_most remain, oldest first; never the current one, nor the
// last that was live before it.
std::vector<VersionNumber> surplus(const std::vector<VersionNumber>& versions,
                                   VersionNumber current, std::optional<VersionNumber> live_before);

}  // namespace holdfast::service
