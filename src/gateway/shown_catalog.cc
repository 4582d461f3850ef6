#include "gateway/shown_parts.h"
#include "service/spec_writer.h"

namespace holdfast::gateway {
namespace {

using namespace shown;

std::string_view kind_name(service::Plan::Kind kind) {
    switch (kind) {
        case service::Plan::Kind::created:
            return "created";
        case service::Plan::Kind::changed:
            return "changed";
        case service::Plan::Kind::unchanged:
            return "unchanged";
    }
    return "unknown";
}

json::object version_object(const service::HistoryEntry& entry) {
    const auto& version = entry.version;
    json::object out{{"version", version.number},
                     {"created", time(version.made)},
                     {"by", version.author},
                     {"cause", name_of(version.cause)},
                     {"current", entry.current},
                     {"file", to_utf8(version.file)},
                     {"command", texts(version.spec.command)},
                     {"sha256", version.sha256}};
    if (version.restores != 0) out["restores"] = version.restores;
    if (entry.outcome) {
        json::object outcome{{"state", name_of(entry.outcome->state)},
                             {"reason", to_utf8(entry.outcome->reason)},
                             {"since", time(entry.outcome->since)}};
        if (entry.outcome->live) outcome["live"] = time(*entry.outcome->live);
        out["outcome"] = std::move(outcome);
    }
    return out;
}

json::object user_object(const access::User& user) {
    return {{"name", user.name},
            {"role", role_name(user.role)},
            {"access_key", user.access_key},
            {"created", time(user.created)}};
}

json::object setting_object(const coord::SettingValue& setting) {
    std::string description(setting.info->description);
    if (!setting.info->awaits.empty()) {
        description += " Not available yet: it comes with ";
        description += setting.info->awaits;
        description += '.';
    }
    return {{"key", setting.info->key},
            {"value", setting.text},
            {"default", setting.info->default_text},
            {"unit", unit_name(setting.info->unit)},
            {"description", description},
            {"available", setting.info->awaits.empty()}};
}

json::object incident_object(const health::Incident& incident) {
    json::object out{{"id", incident.first},
                     {"began", time(incident.began)},
                     {"worst", incident.worst},
                     {"cause", to_utf8(incident.cause)},
                     {"resolution", to_utf8(incident.resolution)},
                     {"by_operator", incident.by_operator},
                     {"lasted_seconds", seconds(incident.lasted)}};
    if (incident.ended) out["ended"] = time(*incident.ended);
    return out;
}

json::object event_object(const health::TimelineEntry& entry) {
    const auto& record = entry.record;
    json::object details;
    for (const auto& [name, value] : record.details) details[name] = to_utf8(value);
    json::object out{{"id", record.id},
                     {"at", time(record.at)},
                     {"subject", record.subject},
                     {"kind", record.kind},
                     {"from", record.from},
                     {"to", record.to},
                     {"reason", to_utf8(record.reason)},
                     {"details", std::move(details)},
                     {"indent", entry.indent},
                     {"after_seconds", seconds(entry.after)}};
    if (record.caused_by != 0) out["caused_by"] = record.caused_by;
    if (entry.incident != 0) out["incident"] = entry.incident;
    return out;
}

}  // namespace

std::string plan_json(const service::Plan& plan, service::DryRun dry_run) {
    json::array changes;
    for (const auto& change : plan.changes) {
        changes.emplace_back(
            json::object{{"key", change.key}, {"from", change.from}, {"to", change.to}});
    }
    return json::serialize(json::object{{"service", plan.name},
                                        {"change", kind_name(plan.kind)},
                                        {"version", plan.version},
                                        {"before", plan.before},
                                        {"dry_run", dry_run == service::DryRun::yes},
                                        {"changes", std::move(changes)},
                                        {"warnings", texts(plan.warnings)}});
}

std::string deleted_json(std::string_view name, service::DryRun dry_run) {
    return json::serialize(
        json::object{{"service", name}, {"dry_run", dry_run == service::DryRun::yes}});
}

std::string spec_json(const service::Version& version, std::string_view name, bool effective) {
    auto text = effective ? service::write_spec(version.spec) : version.text;
    return json::serialize(json::object{{"service", name},
                                        {"version", version.number},
                                        {"effective", effective},
                                        {"text", to_utf8(text)}});
}

std::string history_json(std::string_view name, std::span<const service::HistoryEntry> history) {
    json::array versions;
    for (auto entry = history.rbegin(); entry != history.rend(); ++entry) {
        versions.emplace_back(version_object(*entry));
    }
    return json::serialize(json::object{{"service", name}, {"versions", std::move(versions)}});
}

std::string why_json(std::string_view name, const health::Account& account) {
    json::object out{{"service", name}, {"state", account.state}};
    if (!account.state.empty()) out["since"] = time(account.since);
    out["reason"] = to_utf8(account.reason);
    json::array incidents;
    for (const auto& incident : account.incidents) {
        incidents.emplace_back(incident_object(incident));
    }
    json::array timeline;
    for (const auto& entry : account.timeline) timeline.emplace_back(event_object(entry));
    out["incidents"] = std::move(incidents);
    out["timeline"] = std::move(timeline);
    return json::serialize(out);
}

std::string users_json(std::span<const access::User> users) {
    json::array list;
    for (const auto& user : users) list.emplace_back(user_object(user));
    return json::serialize(json::object{{"users", std::move(list)}});
}

std::string user_json(const access::User& user) {
    return json::serialize(user_object(user));
}

std::string user_keys_json(const access::NewUser& made) {
    auto out = user_object(made.user);
    out["secret_key"] = made.user.secret_key;
    out["token"] = made.token;
    return json::serialize(out);
}

std::string settings_json(std::span<const coord::SettingValue> settings) {
    json::array list;
    for (const auto& setting : settings) list.emplace_back(setting_object(setting));
    return json::serialize(json::object{{"settings", std::move(list)}});
}

std::string setting_json(const coord::SettingValue& setting) {
    return json::serialize(setting_object(setting));
}

}  // namespace holdfast::gateway
