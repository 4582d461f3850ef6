// The calls that make no version: wishes about a service, and what is known of it.

#include <fmt/format.h>

#include "service/catalog.h"
#include "service/spec_parser.h"

namespace holdfast::service {

// `change` may be called again with another head. Errc::conflict from it means just that.
runtime::Task<Result<Head>> Catalog::change_head(std::string name,
                                                 std::function<Result<void>(Head& head)> change) {
    for (int tried = 0; tried < tries_max; ++tried) {
        HF_CO_TRY(auto read, co_await read_head(name));
        if (!read.exists()) co_return std::unexpected(co_await missing(name));
        auto head = *read.head;
        HF_CO_TRY_VOID(change(head));
        if (head == *read.head) co_return head;
        auto key = head_key(name);
        coord::Transaction transaction{.when = {{key, read.modified}},
                                       .then = {coord::put(key, encode(head))}};
        HF_CO_TRY(auto outcome, co_await coordinator_.commit(std::move(transaction)));
        if (outcome.applied) co_return head;
    }
    co_return kept_losing(name);
}

// The same, where the current version's spec has a say.
runtime::Task<Result<Head>> Catalog::change_head_of(
    std::string name, std::function<Result<void>(Head& head, const Spec& spec)> change) {
    for (int tried = 0; tried < tries_max; ++tried) {
        HF_CO_TRY(auto read, co_await read_head(name));
        if (!read.exists()) co_return std::unexpected(co_await missing(name));
        HF_CO_TRY(auto version, co_await read_version(name, read.head->current));
        auto changed = co_await change_head(name, [&](Head& head) -> Result<void> {
            if (head.current != version.number) return fail(Errc::conflict, "");
            return change(head, version.spec);
        });
        if (changed || changed.error().code != Errc::conflict) co_return changed;
    }
    co_return kept_losing(name);
}

runtime::Task<Result<void>> Catalog::remove(std::string name) {
    HF_CO_TRY_VOID(co_await change_head(name, [](Head& head) -> Result<void> {
        head.deleted = true;
        head.current = 0;
        head.wanted = Running::running;
        head.instances.reset();
        head.after.clear();
        return {};
    }));
    co_return Result<void>();
}

runtime::Task<Result<void>> Catalog::set_running(std::string name, Running running) {
    HF_CO_TRY_VOID(co_await change_head(name, [running](Head& head) -> Result<void> {
        head.wanted = running;
        return {};
    }));
    co_return Result<void>();
}

runtime::Task<Result<void>> Catalog::scale(std::string name, int instances) {
    HF_CO_TRY_VOID(
        co_await change_head_of(name, [instances](Head& head, const Spec& spec) -> Result<void> {
            HF_TRY_VOID(check_instances(spec, instances));
            head.instances = instances;
            return {};
        }));
    co_return Result<void>();
}

runtime::Task<Result<std::uint64_t>> Catalog::request_restart(std::string name, RestartMode mode) {
    HF_CO_TRY(auto head,
              co_await change_head_of(name, [&](Head& wanted, const Spec& spec) -> Result<void> {
                  bool inherits = spec.listen && spec.listen->sockets == SocketMode::inherit;
                  if (wanted.wanted == Running::stopped)
                      return fail(
                          Errc::invalid,
                          fmt::format("\"{0}\" is stopped; `holdfast start {0}` starts it", name));
                  if (mode == RestartMode::hot && !inherits)
                      return fail(
                          Errc::invalid,
                          fmt::format("\"{0}\" cannot restart hot: that needs listen.sockets = "
                                      "\"inherit\"; `holdfast restart {0} --cold` stops it first",
                                      name));
                  wanted.restart_serial += 1;
                  wanted.restart_mode = mode;
                  return {};
              }));
    co_return head.restart_serial;
}

runtime::Task<Result<std::vector<ServiceEntry>>> Catalog::list() {
    HF_CO_TRY(auto listing, co_await coordinator_.list(std::string(heads_prefix)));
    std::vector<ServiceEntry> entries;
    for (const auto& entry : listing.entries) {
        auto name = service_of_head_key(entry.key);
        if (!name) continue;
        HF_CO_TRY(auto head, decode_head(entry.key, entry.value));
        if (!head.deleted) entries.push_back({*std::move(name), std::move(head)});
    }
    co_return entries;
}

runtime::Task<Result<std::map<VersionNumber, VersionOutcome>>> Catalog::outcomes(std::string name) {
    HF_CO_TRY(auto listing, co_await coordinator_.list(outcomes_prefix(name)));
    std::map<VersionNumber, VersionOutcome> outcomes;
    for (const auto& entry : listing.entries) {
        auto number = number_of_key(entry.key);
        if (!number) continue;
        HF_CO_TRY(outcomes[*number], decode_outcome(entry.key, entry.value));
    }
    co_return outcomes;
}

runtime::Task<Result<std::vector<HistoryEntry>>> Catalog::history(std::string name) {
    HF_CO_TRY(auto read, co_await read_head(name));
    if (!read.head) co_return std::unexpected(co_await missing(name));
    HF_CO_TRY(auto listing, co_await coordinator_.list(versions_prefix(name)));
    HF_CO_TRY(auto known, co_await outcomes(name));
    std::vector<HistoryEntry> entries;
    for (const auto& entry : listing.entries) {
        HF_CO_TRY(auto version, decode_version(entry.key, entry.value));
        auto outcome = known.find(version.number);
        bool current = version.number == read.head->current;
        entries.push_back({std::move(version),
                           outcome == known.end() ? std::nullopt : std::optional(outcome->second),
                           current});
    }
    co_return entries;
}

runtime::Task<Result<Version>> Catalog::version(std::string name,
                                                std::optional<VersionNumber> number) {
    HF_CO_TRY(auto read, co_await read_head(name));
    if (!read.head || (!number && read.head->deleted))
        co_return std::unexpected(co_await missing(name));
    co_return co_await read_version(name, number.value_or(read.head->current));
}

runtime::Task<Result<void>> Catalog::record_outcome(std::string name, VersionNumber number,
                                                    VersionOutcome next) {
    auto of_version = version_key(name, number);
    auto key = outcome_key(name, number);
    for (int tried = 0; tried < tries_max; ++tried) {
        HF_CO_TRY(auto version, co_await coordinator_.get(of_version));
        if (!version) co_return fail(Errc::not_found, of_version + " has been forgotten");
        HF_CO_TRY(auto entry, co_await coordinator_.get(key));
        std::optional<VersionOutcome> known;
        if (entry) {
            // What is damaged is replaced.
            if (auto read = decode_outcome(key, entry->value)) known = *std::move(read);
        }
        auto merged = merge(known, next);
        if (merged == known) co_return Result<void>();
        coord::Transaction transaction{
            .when = {{of_version, version->modified}, {key, entry ? entry->modified : 0}},
            .then = {coord::put(key, encode(merged))}};
        HF_CO_TRY(auto outcome, co_await coordinator_.commit(std::move(transaction)));
        if (outcome.applied) co_return Result<void>();
    }
    co_return kept_losing(name);
}

runtime::Task<Result<std::optional<VersionOutcome>>> Catalog::outcome(std::string name,
                                                                      VersionNumber number) {
    auto key = outcome_key(name, number);
    HF_CO_TRY(auto entry, co_await coordinator_.get(key));
    if (!entry) co_return std::nullopt;
    HF_CO_TRY(auto outcome, decode_outcome(key, entry->value));
    co_return outcome;
}

}  // namespace holdfast::service
