#include "service/catalog_desired.h"

#include <fmt/format.h>

namespace holdfast::service {

DesiredWatch::DesiredWatch(coord::Coordinator& coordinator) : coordinator_(coordinator) {}

runtime::Task<Result<DesiredEvent>> DesiredWatch::next() {
    if (!watch_) {
        HF_CO_TRY_VOID(co_await start());
    } else {
        while (pending_.empty() && !complete_) HF_CO_TRY_VOID(co_await wait());
    }
    // Taken off only when everything has been read, so that an error on the way loses nothing.
    DesiredEvent event{.complete = complete_, .changes = {}};
    for (const auto& [name, head] : pending_) {
        HF_CO_TRY(auto change, co_await load(name, head));
        event.changes.push_back(std::move(change));
    }
    pending_.clear();
    complete_ = false;
    co_return event;
}

runtime::Task<Result<void>> DesiredWatch::start() {
    HF_CO_TRY(auto listing, co_await coordinator_.list(std::string(heads_prefix)));
    for (auto& entry : listing.entries)
        if (auto name = service_of_head_key(entry.key)) pending_[*name] = std::move(entry.value);
    complete_ = true;
    watch_ = coordinator_.watch(std::string(heads_prefix), listing.revision);
    co_return Result<void>();
}

runtime::Task<Result<void>> DesiredWatch::wait() {
    HF_CO_TRY(auto event, co_await watch_->next());
    if (event.resync) {
        pending_.clear();
        complete_ = true;
    }
    for (auto& change : event.changes) {
        auto name = service_of_head_key(change.entry.key);
        if (!name) continue;
        bool put = change.kind == coord::Change::Kind::put;
        pending_[*name] = put ? std::optional(std::move(change.entry.value)) : std::nullopt;
    }
    co_return Result<void>();
}

runtime::Task<Result<DesiredChange>> DesiredWatch::load(std::string name,
                                                        std::optional<std::string> text) {
    if (!text) co_return DesiredChange{std::move(name), std::nullopt};
    auto head = decode_head(head_key(name), *text);
    if (!head) co_return DesiredChange{std::move(name), std::unexpected(head.error())};
    if (head->deleted) co_return DesiredChange{std::move(name), std::nullopt};
    auto key = version_key(name, head->current);
    HF_CO_TRY(auto entry, co_await coordinator_.get(key));
    if (!entry)
        co_return DesiredChange{std::move(name),
                                fail(Errc::corrupt, fmt::format("{} is missing", key))};
    auto version = decode_version(key, entry->value);
    if (!version) co_return DesiredChange{std::move(name), std::unexpected(version.error())};
    DesiredService service;
    service.version = version->number;
    service.cause = version->cause;
    service.restores = version->restores;
    service.sha256 = version->sha256;
    service.running = head->wanted;
    service.instances = head->instances.value_or(version->spec.instances);
    service.restart_serial = head->restart_serial;
    service.restart_mode = head->restart_mode;
    service.spec = std::move(version->spec);
    co_return DesiredChange{std::move(name), std::move(service)};
}

runtime::Task<Result<std::vector<DesiredChange>>> load_desired(coord::Coordinator& coordinator) {
    DesiredWatch watch(coordinator);
    HF_CO_TRY(auto event, co_await watch.next());
    std::erase_if(event.changes, [](const DesiredChange& each) {
        return each.wanted && !each.wanted->has_value();
    });
    co_return std::move(event.changes);
}

}  // namespace holdfast::service
