// Alertmanager's webhook, version 4, as its documentation describes it:
// https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "base/units.h"
#include "health/alert.h"
#include "health/utf8.h"

namespace holdfast::health {

namespace json = boost::json;

namespace {

using LabelSet = std::map<std::string, std::string>;

constexpr std::string_view no_end = "0001-01-01T00:00:00Z";

// As Prometheus computes it, so that receivers may compare: FNV-1a over the sorted labels.
std::string fingerprint(const LabelSet& labels) {
    std::uint64_t hash = 14695981039346656037u;
    auto add = [&](std::string_view text) {
        for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
        hash = (hash ^ 255u) * 1099511628211u;
    };
    for (const auto& [name, value] : labels) {
        add(name);
        add(value);
    }
    return fmt::format("{:016x}", hash);
}

json::object object_of(const LabelSet& labels) {
    json::object object;
    for (const auto& [name, value] : labels) object[name] = value;
    return object;
}

LabelSet labels_of(const AlertLineKey& line, AlarmState state, std::string_view node) {
    bool down = state == AlarmState::down;
    return {{"alertname", down ? "ServiceDown" : "ServiceDegraded"},
            {"severity", down ? "critical" : "warning"},
            {"service", line.service},
            {"node", std::string(node)}};
}

LabelSet annotations_of(const AlertLineKey& line, const AlarmMessage& message) {
    auto trouble = message.at - message.began;
    auto summary = message.to == AlarmState::healthy
                       ? fmt::format("{} has recovered after {}", line.service,
                                     format_duration_rough(std::max(trouble, Duration::zero())))
                       : fmt::format("{} is {}", line.service, alarm_name(message.to));
    return {{"summary", summary}, {"description", to_utf8(message.reason)}};
}

}  // namespace

std::string alert_json(const AlertLineKey& line, const AlarmMessage& message, std::string_view node,
                       std::string_view external_url) {
    auto annotations = annotations_of(line, message);
    json::array alerts;
    auto add = [&](AlarmState state, bool firing, WallTime starts) {
        auto labels = labels_of(line, state, node);
        alerts.push_back(json::object{
            {"status", firing ? "firing" : "resolved"},
            {"labels", object_of(labels)},
            {"annotations", object_of(annotations)},
            {"startsAt", format_wall_time(starts)},
            {"endsAt", firing ? std::string(no_end) : format_wall_time(message.at)},
            {"generatorURL", std::string(external_url)},
            {"fingerprint", fingerprint(labels)},
        });
    };
    if (message.to != AlarmState::healthy) add(message.to, true, message.at);
    if (message.from != AlarmState::healthy) add(message.from, false, message.from_at);

    LabelSet common{{"service", line.service}, {"node", std::string(node)}};
    auto group = common;
    if (alerts.size() == 1) {
        common =
            labels_of(line, message.to != AlarmState::healthy ? message.to : message.from, node);
    }
    return json::serialize(json::object{
        {"version", "4"},
        {"groupKey", fmt::format("{{}}:{{node=\"{}\", service=\"{}\"}}", node, line.service)},
        {"truncatedAlerts", 0},
        {"status", message.to != AlarmState::healthy ? "firing" : "resolved"},
        {"receiver", "holdfast"},
        {"groupLabels", object_of(group)},
        {"commonLabels", object_of(common)},
        {"commonAnnotations", object_of(annotations)},
        {"externalURL", std::string(external_url)},
        {"alerts", std::move(alerts)},
    });
}

}  // namespace holdfast::health
