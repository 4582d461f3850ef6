#include "service/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/nearest.h"
#include "service/spec_parser.h"
#include "service/spec_writer.h"

namespace holdfast::service {

namespace {

// A spec that was put together here, not read from a file: its problems have no places.
Result<void> check_spec(const Spec& spec) {
    auto parsed = parse_spec(write_spec(spec));
    if (parsed) return {};
    std::string reasons;
    for (const auto& each : parsed.error()) reasons += (reasons.empty() ? "" : "\n") + each.reason;
    return fail(Errc::invalid, reasons);
}

// A `scale` lasts until the file itself asks for another number, or makes it impossible.
void carry_instances(Head& head, const Spec& from, const Spec& to, Plan& plan) {
    if (!head.instances) return;
    auto possible = check_instances(to, *head.instances);
    if (from.instances == to.instances && possible) {
        plan.warnings.push_back(
            fmt::format("it stays scaled to {}; the file says {}", *head.instances, to.instances));
        return;
    }
    plan.warnings.push_back(
        fmt::format("it was scaled to {}, and has {} from now on", *head.instances, to.instances));
    head.instances.reset();
}

std::string short_hash(const std::string& sha256) {
    return sha256.substr(0, 12);
}

}  // namespace

struct Catalog::Artifact {
    std::string sha256;  // Empty: it could not be read, and `trouble` says why.
    std::string trouble;
    Errc code = Errc::not_found;
};

struct Catalog::Draft {
    std::string name;
    Read read;
    Head next;        // All but what making a version changes.
    Version version;  // Without number and time.
    Plan plan;
    std::optional<std::string> leave_reason;  // The current version is rolled back because of this.
    DryRun dry_run = DryRun::no;
};

std::unexpected<Error> Catalog::kept_losing(std::string_view name) {
    return fail(
        Errc::conflict,
        fmt::format("others kept changing \"{}\" meanwhile; look at it, then try again", name));
}

Catalog::Catalog(coord::Coordinator& coordinator, runtime::Clock& clock, Artifacts& artifacts)
    : coordinator_(coordinator), clock_(clock), artifacts_(artifacts) {}

// What records hold: milliseconds.
WallTime Catalog::now() const {
    return WallTime(
        std::chrono::floor<std::chrono::milliseconds>(clock_.wall_now().time_since_epoch()));
}

runtime::Task<Result<Catalog::Read>> Catalog::read_head(std::string name) {
    if (!valid_service_name(name)) co_return Read{};
    auto key = head_key(name);
    HF_CO_TRY(auto entry, co_await coordinator_.get(key));
    if (!entry) co_return Read{};
    HF_CO_TRY(auto head, decode_head(key, entry->value));
    co_return Read{std::move(head), entry->modified};
}

runtime::Task<Error> Catalog::missing(std::string name) {
    auto known = co_await list();
    std::vector<std::string_view> names;
    if (known)
        for (const auto& each : *known) names.push_back(each.name);
    auto nearest = nearest_word(name, names);
    co_return Error{Errc::not_found,
                    nearest
                        ? fmt::format("no service \"{}\"; did you mean \"{}\"?", name, *nearest)
                        : fmt::format("no service \"{}\"; `holdfast services` lists them", name)};
}

runtime::Task<Result<Version>> Catalog::read_version(std::string name, VersionNumber number) {
    auto key = version_key(name, number);
    HF_CO_TRY(auto entry, co_await coordinator_.get(key));
    if (!entry)
        co_return fail(Errc::not_found,
                       fmt::format("\"{}\" has no version {}; `holdfast history {}` lists them",
                                   name, number, name));
    co_return decode_version(key, entry->value);
}

runtime::Task<Catalog::Artifact> Catalog::inspect(Spec spec) {
    auto sha256 = co_await artifacts_.executable_sha256(std::move(spec));
    if (sha256) co_return Artifact{*std::move(sha256), "", Errc::not_found};
    co_return Artifact{"", sha256.error().message, sha256.error().code};
}

runtime::Task<Result<Plan>> Catalog::apply(ApplyRequest request) {
    HF_CO_TRY(auto spec, parse_spec(request.text, request.file));
    auto artifact = co_await inspect(spec);
    for (int tried = 0; tried < tries_max; ++tried) {
        HF_CO_TRY(auto plan, co_await try_apply(request, spec, artifact));
        if (plan) co_return *std::move(plan);
    }
    co_return kept_losing(spec.name);
}

Catalog::Tried<Plan> Catalog::try_apply(ApplyRequest request, Spec spec, Artifact artifact) {
    Draft draft;
    draft.name = spec.name;
    draft.dry_run = request.dry_run;
    HF_CO_TRY(draft.read, co_await read_head(spec.name));
    auto& plan = draft.plan;
    plan.name = spec.name;
    if (draft.read.head) draft.next = *draft.read.head;
    if (draft.read.exists()) {
        plan.kind = Plan::Kind::changed;
        plan.before = draft.next.current;
        auto current = co_await read_version(spec.name, plan.before);
        if (!current) {
            // A damaged version must not keep its owner from replacing it.
            if (current.error().code != Errc::corrupt) co_return std::unexpected(current.error());
            plan.warnings.push_back(current.error().message);
        } else {
            plan.changes = differences(current->spec, spec);
            bool same_file = current->sha256 == artifact.sha256 || artifact.sha256.empty();
            if (plan.changes.empty() && !same_file)
                plan.warnings.push_back(fmt::format(
                    "its executable is another than that of version {}; `holdfast deploy {}` rolls "
                    "it out",
                    plan.before, spec.name));
            if (plan.changes.empty()) {
                plan.kind = Plan::Kind::unchanged;
                plan.version = plan.before;
                co_return plan;
            }
            carry_instances(draft.next, current->spec, spec, plan);
        }
        if (draft.next.wanted == Running::stopped)
            plan.warnings.push_back(
                fmt::format("it is stopped; `holdfast start {}` starts it", spec.name));
    } else {
        plan.kind = Plan::Kind::created;
        plan.changes = differences(Spec{}, spec);  // What its author chose.
        draft.next.deleted = false;
        draft.next.wanted = Running::running;
    }
    if (artifact.sha256.empty()) plan.warnings.push_back(artifact.trouble);
    draft.version = {.number = 0,
                     .text = request.text,
                     .file = request.file,
                     .spec = std::move(spec),
                     .sha256 = artifact.sha256,
                     .made = {},
                     .author = request.author,
                     .cause = Cause::apply,
                     .restores = 0};
    co_return co_await make(std::move(draft));
}

runtime::Task<Result<Plan>> Catalog::deploy(DeployRequest request) {
    for (int tried = 0; tried < tries_max; ++tried) {
        HF_CO_TRY(auto plan, co_await try_deploy(request));
        if (plan) co_return *std::move(plan);
    }
    co_return kept_losing(request.name);
}

Catalog::Tried<Plan> Catalog::try_deploy(DeployRequest request) {
    Draft draft;
    draft.name = request.name;
    draft.dry_run = request.dry_run;
    HF_CO_TRY(draft.read, co_await read_head(request.name));
    if (!draft.read.exists()) co_return std::unexpected(co_await missing(request.name));
    draft.next = *draft.read.head;
    HF_CO_TRY(auto current, co_await read_version(request.name, draft.next.current));
    auto spec = current.spec;
    if (!request.command.empty()) spec.command = request.command;
    for (const auto& [name, value] : request.env) {
        auto known = std::ranges::find(spec.env, name, [](const auto& each) { return each.first; });
        if (known != spec.env.end()) {
            known->second = value;
        } else {
            spec.env.emplace_back(name, value);
        }
    }
    HF_CO_TRY_VOID(check_spec(spec));
    auto artifact = co_await inspect(spec);
    if (artifact.sha256.empty()) draft.plan.warnings.push_back(artifact.trouble);
    draft.plan.kind = Plan::Kind::changed;
    draft.plan.name = request.name;
    draft.plan.before = draft.next.current;
    draft.plan.changes = differences(current.spec, spec);
    draft.version = std::move(current);
    draft.version.spec = std::move(spec);
    draft.version.sha256 = artifact.sha256;
    draft.version.author = request.author;
    draft.version.cause = Cause::deploy;
    draft.version.restores = 0;
    co_return co_await make(std::move(draft));
}

runtime::Task<Result<Plan>> Catalog::rollback(RollbackRequest request) {
    for (int tried = 0; tried < tries_max; ++tried) {
        HF_CO_TRY(auto plan, co_await try_rollback(request));
        if (plan) co_return *std::move(plan);
    }
    co_return kept_losing(request.name);
}

Catalog::Tried<Plan> Catalog::try_rollback(RollbackRequest request) {
    Draft draft;
    draft.name = request.name;
    draft.dry_run = request.dry_run;
    HF_CO_TRY(draft.read, co_await read_head(request.name));
    if (!draft.read.exists()) co_return std::unexpected(co_await missing(request.name));
    draft.next = *draft.read.head;
    auto left = draft.next.current;
    if (request.only_from && *request.only_from != left)
        co_return fail(Errc::conflict, fmt::format("\"{}\" is at version {} by now, not {}",
                                                   request.name, left, *request.only_from));
    HF_CO_TRY(auto target, co_await rollback_version(request.name, left, request.to));
    auto artifact = co_await inspect(target.spec);
    const auto& program = target.spec.command.front();
    if (target.sha256.empty()) {
        draft.plan.warnings.push_back(
            fmt::format("nobody knows whether {} is still the file that version {} ran: it could "
                        "not be read then",
                        program, target.number));
    } else if (artifact.sha256.empty()) {
        co_return fail(
            artifact.code == Errc::unavailable ? artifact.code : Errc::conflict,
            fmt::format("version {} cannot be brought back: {}", target.number, artifact.trouble));
    } else if (artifact.sha256 != target.sha256) {
        co_return fail(
            Errc::conflict,
            fmt::format("version {} ran {} with SHA-256 {}..., and the file there now has {}...; "
                        "put the old file back, or apply a file that names another",
                        target.number, program, short_hash(target.sha256),
                        short_hash(artifact.sha256)));
    }
    draft.plan.kind = Plan::Kind::changed;
    draft.plan.name = request.name;
    draft.plan.before = left;
    if (auto current = co_await read_version(request.name, left)) {
        draft.plan.changes = differences(current->spec, target.spec);
        carry_instances(draft.next, current->spec, target.spec, draft.plan);
    } else {
        draft.plan.warnings.push_back(current.error().message);
        draft.next.instances.reset();
    }
    draft.leave_reason = !request.reason.empty() ? request.reason
                                                 : fmt::format("rolled back by {} to version {}",
                                                               request.author, target.number);
    draft.version = std::move(target);
    draft.version.sha256 = artifact.sha256;
    draft.version.restores =
        draft.version.restores != 0 ? draft.version.restores : draft.version.number;
    draft.version.author = request.author;
    draft.version.cause = Cause::rollback;
    co_return co_await make(std::move(draft));
}

runtime::Task<Result<Version>> Catalog::rollback_version(std::string name, VersionNumber current,
                                                         std::optional<VersionNumber> to) {
    if (!to) {
        HF_CO_TRY(auto entries, co_await history(name));
        // The history was read after the head; what has been made since is not gone back from.
        std::erase_if(entries, [&](const auto& each) { return each.version.number > current; });
        for (auto& each : entries) each.current = each.version.number == current;
        HF_CO_TRY(to, rollback_target(entries));
    }
    if (*to == current)
        co_return fail(Errc::invalid,
                       fmt::format("\"{}\" is at version {} already; `holdfast restart {}` starts "
                                   "it anew",
                                   name, current, name));
    co_return co_await read_version(name, *to);
}

Catalog::Tried<Plan> Catalog::make(Draft draft) {
    auto& head = draft.next;
    auto& version = draft.version;
    HF_CO_TRY(auto compares, co_await check_after(draft));
    coord::Transaction transaction{.when = std::move(compares), .then = {}};
    head.last += 1;
    head.current = head.last;
    head.after = version.spec.after;
    head.kept.push_back(head.current);
    version.number = head.current;
    version.made = now();
    draft.plan.version = head.current;
    if (draft.dry_run == DryRun::yes) co_return std::move(draft.plan);
    auto key = head_key(draft.name);
    transaction.when.push_back({key, draft.read.modified});
    HF_CO_TRY_VOID(co_await leave_version(draft, transaction));
    HF_CO_TRY_VOID(co_await forget_surplus(draft, transaction));
    transaction.then.push_back(coord::put(key, encode(head)));
    transaction.then.push_back(
        coord::put(version_key(draft.name, version.number), encode(version)));
    HF_CO_TRY(auto outcome, co_await coordinator_.commit(std::move(transaction)));
    if (!outcome.applied) co_return std::nullopt;
    co_return std::move(draft.plan);
}

// Refuses circles. The heads it goes by have to be the same when the version is made, else two that
// wait for each other could be made at once.
runtime::Task<Result<std::vector<coord::Compare>>> Catalog::check_after(Draft& draft) {
    const auto& after = draft.version.spec.after;
    std::vector<coord::Compare> compares;
    if (after.empty()) co_return compares;
    HF_CO_TRY(auto listing, co_await coordinator_.list(std::string(heads_prefix)));
    AfterGraph graph;
    std::map<std::string, coord::Revision> revisions;
    for (const auto& entry : listing.entries) {
        auto name = service_of_head_key(entry.key);
        auto head = decode_head(entry.key, entry.value);
        if (!name || !head || head->deleted) continue;  // Its own calls say what is wrong with it.
        graph[*name] = head->after;
        revisions[*name] = entry.modified;
    }
    graph[draft.name] = after;
    if (auto circle = after_cycle(graph, draft.name))
        co_return fail(Errc::invalid, fmt::format("\"after\" goes in a circle: {}",
                                                  fmt::join(*circle, " after ")));
    for (const auto& name : after)
        if (!graph.contains(name))
            draft.plan.warnings.push_back(
                fmt::format("it comes after \"{}\", which does not exist: it will not start "
                            "before that does",
                            name));
    constexpr std::size_t reach_max = 100;  // A transaction takes 128 operations.
    auto reach = after_reach(graph, draft.name);
    if (reach.size() > reach_max)
        co_return fail(Errc::invalid, fmt::format("\"after\" reaches {} services; at most {} are "
                                                  "possible",
                                                  reach.size(), reach_max));
    for (const auto& name : reach)
        if (auto known = revisions.find(name); known != revisions.end())
            compares.push_back({head_key(name), known->second});
    co_return compares;
}

runtime::Task<Result<void>> Catalog::leave_version(Draft& draft, coord::Transaction& transaction) {
    if (!draft.leave_reason) co_return Result<void>();
    auto key = outcome_key(draft.name, draft.plan.before);
    HF_CO_TRY(auto entry, co_await coordinator_.get(key));
    std::optional<VersionOutcome> known;
    if (entry)
        if (auto read = decode_outcome(key, entry->value)) known = *std::move(read);
    auto left = merge(known, {OutcomeState::rolled_back, *draft.leave_reason, now(), std::nullopt});
    transaction.when.push_back({key, entry ? entry->modified : 0});
    transaction.then.push_back(coord::put(key, encode(left)));
    co_return Result<void>();
}

runtime::Task<Result<void>> Catalog::forget_surplus(Draft& draft, coord::Transaction& transaction) {
    auto& kept = draft.next.kept;
    if (kept.size() <= history_most) co_return Result<void>();
    HF_CO_TRY(auto known, co_await outcomes(draft.name));
    if (draft.leave_reason) known.erase(draft.plan.before);
    auto forget = surplus(kept, draft.next.current, last_served(known, draft.next.current));
    constexpr std::size_t forget_max = 20;  // Of one transaction; the rest goes with the next.
    if (forget.size() > forget_max) forget.resize(forget_max);
    for (auto number : forget) {
        std::erase(kept, number);
        transaction.then.push_back(coord::erase(version_key(draft.name, number)));
        transaction.then.push_back(coord::erase(outcome_key(draft.name, number)));
    }
    co_return Result<void>();
}

}  // namespace holdfast::service
