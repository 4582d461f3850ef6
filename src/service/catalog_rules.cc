#include "service/catalog_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "service/spec_writer.h"

namespace holdfast::service {

namespace {

// The version whose spec this one has: itself, unless it is a rollback.
VersionNumber origin(const Version& version) {
    return version.restores != 0 ? version.restores : version.number;
}

bool has_served(const VersionOutcome& outcome) {
    bool good = outcome.state == OutcomeState::live || outcome.state == OutcomeState::superseded;
    return good && outcome.live.has_value();
}

const std::vector<std::string>& waits_for(const AfterGraph& graph, std::string_view name) {
    static const std::vector<std::string> nothing;
    auto found = graph.find(name);
    return found == graph.end() ? nothing : found->second;
}

}  // namespace

std::vector<FieldChange> differences(const Spec& from, const Spec& to) {
    auto before = spec_fields(from);
    auto after = spec_fields(to);
    auto value_in = [](const auto& fields, const std::string& key) {
        auto found = std::ranges::find(fields, key, [](const auto& field) { return field.first; });
        return found == fields.end() ? std::string() : found->second;
    };
    std::vector<FieldChange> changes;
    for (const auto& [key, value] : after)
        if (auto old = value_in(before, key); old != value) changes.push_back({key, old, value});
    for (const auto& [key, value] : before)
        if (value_in(after, key).empty()) changes.push_back({key, value, ""});
    return changes;
}

std::optional<std::vector<std::string>> after_cycle(const AfterGraph& graph,
                                                    std::string_view start) {
    // Depth first, by hand: the depth is the length of the longest chain, which users choose.
    struct Step {
        std::string name;
        std::vector<std::string> next;  // Sorted; taken from the back.
    };
    auto step = [&](const std::string& name) {
        auto next = waits_for(graph, name);
        std::ranges::sort(next, std::greater());
        return Step{name, std::move(next)};
    };
    std::vector<Step> path{step(std::string(start))};
    std::set<std::string> seen;
    while (!path.empty()) {
        if (path.back().next.empty()) {
            path.pop_back();
            continue;
        }
        auto name = std::move(path.back().next.back());
        path.back().next.pop_back();
        if (name == start) {
            std::vector<std::string> circle;
            for (auto& each : path) circle.push_back(std::move(each.name));
            circle.emplace_back(start);
            return circle;
        }
        if (seen.insert(name).second) path.push_back(step(name));
    }
    return std::nullopt;
}

std::vector<std::string> after_reach(const AfterGraph& graph, std::string_view start) {
    std::set<std::string> reached;
    std::vector<std::string> pending{std::string(start)};
    while (!pending.empty()) {
        auto name = std::move(pending.back());
        pending.pop_back();
        for (const auto& next : waits_for(graph, name))
            if (next != start && reached.insert(next).second) pending.push_back(next);
    }
    return {reached.begin(), reached.end()};
}

Result<VersionNumber> rollback_target(const std::vector<HistoryEntry>& history) {
    auto current = std::ranges::find(history, true, &HistoryEntry::current);
    if (current == history.end())
        return fail(Errc::not_found, "there is no current version to roll back from");
    // What had to be rolled back once is not gone back to, nor is what runs already.
    std::set<VersionNumber> refused{origin(current->version)};
    for (const auto& entry : history)
        if (entry.outcome && entry.outcome->state == OutcomeState::rolled_back)
            refused.insert(origin(entry.version));
    for (auto entry = std::make_reverse_iterator(current); entry != history.rend(); ++entry) {
        bool wanted = entry->outcome && has_served(*entry->outcome);
        if (wanted && !refused.contains(origin(entry->version))) return entry->version.number;
    }
    return fail(Errc::not_found,
                fmt::format("no other version before {} has been live; name one with --to",
                            current->version.number));
}

VersionOutcome merge(const std::optional<VersionOutcome>& known, VersionOutcome next) {
    if (known && known->state == OutcomeState::rolled_back) return *known;
    if (known && known->live) next.live = known->live;
    if (next.state == OutcomeState::live && !next.live) next.live = next.since;
    return next;
}

std::optional<VersionNumber> last_served(const std::map<VersionNumber, VersionOutcome>& outcomes,
                                         VersionNumber before) {
    std::optional<VersionNumber> last;
    for (const auto& [number, outcome] : outcomes)
        if (number < before && has_served(outcome)) last = number;
    return last;
}

std::vector<VersionNumber> surplus(const std::vector<VersionNumber>& versions,
                                   VersionNumber current,
                                   std::optional<VersionNumber> live_before) {
    std::vector<VersionNumber> forget;
    for (auto number : versions) {
        if (versions.size() - forget.size() <= history_most) break;
        if (number != current && number != live_before) forget.push_back(number);
    }
    return forget;
}

}  // namespace holdfast::service
