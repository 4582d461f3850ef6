// Alertmanager's webhook, version 4, as its documentation describes it:
// https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "base/units.h"
#include "health/alert.h"

namespace holdfast::health {

namespace json = boost::json;

namespace {

using LabelSet = std::map<std::string, std::string>;

constexpr std::string_view no_end = "0001-01-01T00:00:00Z";

// The length of the UTF-8 sequence at the front, 0 if there is none.
std::size_t sequence_length(std::string_view text) {
    auto lead = static_cast<unsigned char>(text.front());
    std::size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (length == 0 || text.size() < length) return 0;
    std::uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
    for (char c : text.substr(1, length - 1)) {
        if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) return 0;
        code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool valid = code >= least[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return valid ? length : 0;
}

// A reason may quote what a service wrote, which may be anything; JSON is UTF-8.
std::string to_utf8(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        auto length = sequence_length(text);
        if (length == 0) {
            out += "\xef\xbf\xbd";
            text.remove_prefix(1);
        } else {
            out += text.substr(0, length);
            text.remove_prefix(length);
        }
    }
    return out;
}

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
        common = labels_of(line, message.to != AlarmState::healthy ? message.to : message.from, node);
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
