#include "cli/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/units.h"
#include "cli/json_fields.h"
#include "cli/table.h"

namespace holdfast::cli {

namespace json = boost::json;

namespace {

std::string age(const json::value& object, std::string_view member, const Page& page) {
    auto since = time_of(object, member);
    if (!since) return "-";
    return format_duration_rough(std::max(page.now - *since, Duration::zero()));
}

std::string moment(const json::value& object, std::string_view member) {
    auto time = time_of(object, member);
    if (!time) return "-";
    auto text = format_wall_time(*time);
    return text.substr(0, 10) + " " +
           text.substr(11, 8);  // To the second; the zone is in the title.
}

// The state, with a star while a rollout is under way.
std::string state_of(const json::value& service) {
    auto state = text_of(service, "state");
    bool deploying = !member_of(service, "rollout").is_null();
    return deploying && state != "deploying" ? state + "*" : state;
}

std::string service_table(const json::array& services, const Page& page) {
    Table table({{.title = "SERVICE", .fit = Column::Fit::shrink},
                 {.title = "STATE"},
                 {.title = "READY", .align = Column::Align::right},
                 {.title = "VERSION", .align = Column::Align::right},
                 {.title = "SINCE", .align = Column::Align::right}});
    bool deploying = false;
    for (const auto& service : services) {
        bool job = text_of(service, "kind") == "job";
        auto ready =
            fmt::format("{}/{}", number_of(service, "ready"), number_of(service, "wanted"));
        table.add({text_of(service, "name"), state_of(service), job ? "job" : ready,
                   fmt::format("{}", number_of(service, "version")), age(service, "since", page)});
        deploying = deploying || state_of(service).ends_with('*');
    }
    return table.render(page.width) + (deploying ? "* a deploy is under way\n" : "");
}

void append_wrapped(std::string& out, std::string_view text, const Page& page, std::size_t indent) {
    out += std::string(indent, ' ') + wrap(text, page.width - indent, indent) + '\n';
}

std::string keeper_words(const json::value& keeper, const Page& page) {
    std::string out;
    const auto& deaths = list_of(keeper, "node_deaths");
    if (!deaths.empty())
        append_wrapped(
            out,
            fmt::format("node restarted {} times, last {} ago: {}",
                        number_of(keeper, "node_restarts"), age(deaths.back(), "at", page),
                        text_of(deaths.back(), "reason")),
            page, 0);
    if (auto took_over = text_of(keeper, "took_over"); !took_over.empty())
        append_wrapped(out, "keeper took over: " + took_over, page, 0);
    return out;
}

std::string instance_table(const json::array& instances, const Page& page) {
    Table table({{.title = "INSTANCE", .align = Column::Align::right},
                 {.title = "STATE"},
                 {.title = "PID", .align = Column::Align::right},
                 {.title = "VERSION", .align = Column::Align::right},
                 {.title = "SINCE", .align = Column::Align::right},
                 {.title = "RESTARTS", .align = Column::Align::right},
                 {.title = "LAST EXIT", .fit = Column::Fit::shrink}});
    for (const auto& instance : instances) {
        bool runs = !member_of(instance, "pid").is_null() && number_of(instance, "pid") != 0;
        table.add({fmt::format("{}", number_of(instance, "instance")), text_of(instance, "state"),
                   runs ? fmt::format("{}", number_of(instance, "pid")) : "-",
                   fmt::format("{}", number_of(instance, "version")), age(instance, "since", page),
                   fmt::format("{}", number_of(instance, "restarts")),
                   text_of(member_of(instance, "last_exit"), "reason")});
    }
    return table.render(page.width);
}

std::string instance_notes(const json::array& instances, const Page& page) {
    std::string out;
    for (const auto& instance : instances) {
        auto name = number_of(instance, "instance");
        auto reason = text_of(instance, "reason");
        auto status = text_of(instance, "status");
        if (!reason.empty()) append_wrapped(out, fmt::format("{}: {}", name, reason), page, 2);
        if (!status.empty()) append_wrapped(out, fmt::format("{} says: {}", name, status), page, 2);
        for (const auto& weak : list_of(instance, "weakened"))
            if (const auto* text = weak.if_string())
                append_wrapped(out,
                               fmt::format("{} without: {}", name,
                                           std::string_view(text->data(), text->size())),
                               page, 2);
    }
    return out.empty() ? out : "\n" + out;
}

std::string incident_words(const json::array& incidents, const Page& page) {
    std::string out;
    constexpr std::size_t shown_max = 5;
    std::size_t skip = incidents.size() > shown_max ? incidents.size() - shown_max : 0;
    if (!incidents.empty())
        out += fmt::format("\n{} {}", incidents.size(),
                           incidents.size() == 1 ? "incident" : "incidents");
    if (skip > 0) out += fmt::format(", the last {}", shown_max);
    if (!incidents.empty()) out += ":\n";
    for (const auto& incident : incidents) {
        if (skip > 0) {
            --skip;
            continue;
        }
        auto lasted = format_duration_rough(std::chrono::milliseconds(
            static_cast<std::int64_t>(1000 * real_of(incident, "lasted_seconds"))));
        bool over = !member_of(incident, "ended").is_null();
        auto line =
            fmt::format("{}  {} {}{}: {}", moment(incident, "began"), text_of(incident, "worst"),
                        over ? "for " : "since ", lasted, text_of(incident, "cause"));
        if (over) line += "; " + text_of(incident, "resolution");
        append_wrapped(out, line, page, 2);
    }
    return out;
}

std::string event_words(const json::value& event) {
    auto subject = text_of(event, "subject");
    auto words = subject.substr(subject.find('/') + 1);
    auto from = text_of(event, "from");
    auto to = text_of(event, "to");
    if (!from.empty() && !to.empty())
        words += fmt::format(": {} -> {}", from, to);
    else
        words += ": " + (to.empty() ? text_of(event, "kind") : to);
    if (auto reason = text_of(event, "reason"); !reason.empty()) words += ": " + reason;
    return words;
}

std::string rollout_words(const json::value& service, const Page& page) {
    std::string out;
    const auto& rollout = member_of(service, "rollout");
    if (!rollout.is_null()) {
        auto line = fmt::format("deploying version {} ({}): {}, {}/{} replaced, for {}",
                                number_of(rollout, "version"), text_of(rollout, "strategy"),
                                text_of(rollout, "phase"), number_of(rollout, "replaced"),
                                number_of(rollout, "wanted"), age(rollout, "since", page));
        if (auto reason = text_of(rollout, "reason"); !reason.empty()) line += ": " + reason;
        append_wrapped(out, line, page, 2);
    }
    const auto& last = member_of(service, "last_rollout");
    auto outcome = text_of(last, "outcome");
    if (!outcome.empty() && outcome != "live")
        append_wrapped(out,
                       fmt::format("version {} {} {} ago: {}", number_of(last, "version"), outcome,
                                   age(last, "at", page), text_of(last, "reason")),
                       page, 2);
    return out;
}

std::string command_words(const json::array& command) {
    std::string words;
    for (const auto& word : command) {
        if (!words.empty()) words += ' ';
        if (const auto* text = word.if_string())
            words += std::string_view(text->data(), text->size());
    }
    return words;
}

void append_pretty(std::string& out, const json::value& value, std::size_t indent) {
    std::string inner(indent + 2, ' ');
    bool first = true;
    auto begin_member = [&] {
        out += first ? "\n" : ",\n";
        first = false;
        out += inner;
    };
    if (const auto* object = value.if_object(); object && !object->empty()) {
        out += '{';
        for (const auto& member : *object) {
            begin_member();
            out += json::serialize(json::string_view(member.key())) + ": ";
            append_pretty(out, member.value(), indent + 2);
        }
        out += '\n' + std::string(indent, ' ') + '}';
    } else if (const auto* array = value.if_array(); array && !array->empty()) {
        out += '[';
        for (const auto& element : *array) {
            begin_member();
            append_pretty(out, element, indent + 2);
        }
        out += '\n' + std::string(indent, ' ') + ']';
    } else {
        out += json::serialize(value);
    }
}

}  // namespace

std::string pretty(const json::value& value) {
    std::string out;
    append_pretty(out, value, 0);
    return out + '\n';
}

std::string render_status(const json::value& status, const Page& page) {
    const auto& node = member_of(status, "node");
    const auto& keeper = member_of(node, "keeper");
    auto health = text_of(status, "health");
    std::string head = fmt::format("{}: {}", text_of(node, "name"), health);
    if (auto summary = text_of(status, "summary"); !summary.empty()) head += ", " + summary;
    std::string out = cut_to(head, page.width) + '\n';
    out += fmt::format("node up {} (pid {}), keeper {}", age(node, "started", page),
                       number_of(node, "pid"), text_of(keeper, "state"));
    if (number_of(keeper, "pid") != 0) out += fmt::format(" (pid {})", number_of(keeper, "pid"));
    out += '\n' + keeper_words(keeper, page);

    const auto& services = list_of(status, "services");
    if (services.empty())
        out += "\nNo services yet: declare one with holdfast apply FILE\n";
    else
        out += "\n" + service_table(services, page);

    for (const auto& problem : list_of(status, "problems")) {
        out += '\n';
        append_wrapped(out,
                       fmt::format("{}: {} (for {})", text_of(problem, "subject"),
                                   text_of(problem, "what"), age(problem, "since", page)),
                       page, 0);
        append_wrapped(out, "next: " + text_of(problem, "next"), page, 2);
    }
    const auto& warnings = list_of(status, "warnings");
    if (!warnings.empty()) out += '\n';
    for (const auto& warning : warnings)
        if (const auto* text = warning.if_string())
            append_wrapped(out, "warning: " + std::string(text->data(), text->size()), page, 0);
    return out;
}

std::string render_services(const json::value& services, const Page& page) {
    const auto& list = list_of(services, "services");
    if (list.empty()) return "No services yet: declare one with holdfast apply FILE\n";
    return service_table(list, page);
}

std::string render_service(const json::value& service, const Page& page) {
    auto head =
        fmt::format("{}: {} for {}, version {}, {}/{} ready", text_of(service, "name"),
                    state_of(service), age(service, "since", page), number_of(service, "version"),
                    number_of(service, "ready"), number_of(service, "wanted"));
    if (number_of(service, "port") != 0)
        head += fmt::format(", listens on {}:{}", text_of(service, "address"),
                            number_of(service, "port"));
    std::string out;
    append_wrapped(out, head, page, 0);
    if (auto reason = text_of(service, "reason"); !reason.empty())
        append_wrapped(out, reason, page, 2);
    out += rollout_words(service, page);
    const auto& instances = list_of(service, "instances");
    if (!instances.empty())
        out += "\n" + instance_table(instances, page) + instance_notes(instances, page);
    return out;
}

std::string render_history(const json::value& versions, const Page& page) {
    Table table({{.title = "VERSION", .align = Column::Align::right},
                 {.title = "MADE (UTC)"},
                 {.title = "CAUSE"},
                 {.title = "BY", .fit = Column::Fit::shrink},
                 {.title = "OUTCOME"},
                 {.title = "COMMAND", .fit = Column::Fit::shrink}});
    std::string reasons;
    for (const auto& version : list_of(versions, "versions")) {
        auto number = number_of(version, "version");
        auto cause = text_of(version, "cause");
        if (auto restores = number_of(version, "restores"))
            cause += fmt::format(" to {}", restores);
        const auto& outcome = member_of(version, "outcome");
        table.add({fmt::format("{}{}", flag_of(version, "current") ? "*" : "", number),
                   moment(version, "created"), cause, text_of(version, "by"),
                   text_of(outcome, "state"), command_words(list_of(version, "command"))});
        auto state = text_of(outcome, "state");
        bool worth_a_line = state == "failed" || state == "rolled_back";
        if (auto reason = text_of(outcome, "reason"); worth_a_line && !reason.empty())
            append_wrapped(reasons, fmt::format("{} {}: {}", number, state, reason), page, 2);
    }
    return table.render(page.width) + "* the current version\n" +
           (reasons.empty() ? "" : "\n" + reasons);
}

std::string render_why(const json::value& why, const Page& page) {
    std::string out;
    auto service = text_of(why, "service");
    auto state = text_of(why, "state");
    if (state.empty()) return service + ": nothing has been recorded of it yet\n";
    append_wrapped(out, fmt::format("{}: {} for {}", service, state, age(why, "since", page)), page,
                   0);
    if (auto reason = text_of(why, "reason"); !reason.empty()) append_wrapped(out, reason, page, 2);
    out += incident_words(list_of(why, "incidents"), page);

    std::string day;
    for (const auto& event : list_of(why, "timeline")) {
        auto at = text_of(event, "at");
        if (at.size() < 23) continue;
        if (at.substr(0, 10) != day) {
            day = at.substr(0, 10);
            out += "\n" + day + " (UTC)\n";
        }
        constexpr std::size_t indent = 14;  // Under the text after the time.
        auto depth =
            static_cast<std::size_t>(std::clamp<std::int64_t>(number_of(event, "indent"), 0, 4));
        auto line = at.substr(11, 12) + std::string(2 + 2 * depth, ' ') + event_words(event);
        out += wrap(line, page.width, indent + 2 * depth) + '\n';
    }
    return out;
}

std::string render_runs(const json::value& runs, const Page& page) {
    std::string out;
    append_wrapped(out, fmt::format("{}: {}", text_of(runs, "service"), text_of(runs, "reason")),
                   page, 0);
    if (auto next = moment(runs, "next"); next != "-") out += "next run at " + next + " UTC\n";
    const auto& list = list_of(runs, "runs");
    if (list.empty()) return out + "No runs yet.\n";
    out += '\n';
    Table table({{.title = "RUN", .align = Column::Align::right},
                 {.title = "DUE (UTC)"},
                 {.title = "STATE"},
                 {.title = "TRIES", .align = Column::Align::right},
                 {.title = "TOOK", .align = Column::Align::right},
                 {.title = "REASON", .fit = Column::Fit::shrink}});
    for (const auto& run : list) {
        auto started = time_of(run, "started");
        auto ended = time_of(run, "ended");
        auto state = text_of(run, "state");
        if (auto times = number_of(run, "times"); times > 1) state += fmt::format(" x{}", times);
        table.add({fmt::format("{}", number_of(run, "run")), moment(run, "due"), state,
                   fmt::format("{}", number_of(run, "tries")),
                   started && ended ? format_duration_rough(*ended - *started) : "-",
                   text_of(run, "reason")});
    }
    return out + table.render(page.width);
}

std::string render_users(const json::value& users, const Page& page) {
    const auto& list = list_of(users, "users");
    if (list.empty()) return "No users yet: holdfast user create NAME --role admin\n";
    Table table({{.title = "USER", .fit = Column::Fit::shrink},
                 {.title = "ROLE"},
                 {.title = "ACCESS KEY"},
                 {.title = "CREATED (UTC)"}});
    for (const auto& user : list)
        table.add({text_of(user, "name"), text_of(user, "role"), text_of(user, "access_key"),
                   moment(user, "created")});
    return table.render(page.width);
}

std::string render_user_keys(const json::value& keys) {
    return fmt::format(
        "user        {}\nrole        {}\naccess key  {}\nsecret key  {}\ntoken       {}\n"
        "The secret key and the token are shown this once: keep them now.\n",
        text_of(keys, "name"), text_of(keys, "role"), text_of(keys, "access_key"),
        text_of(keys, "secret_key"), text_of(keys, "token"));
}

std::string render_settings(const json::value& settings, const Page& page) {
    Table table({{.title = "KEY"},
                 {.title = "VALUE"},
                 {.title = "DEFAULT"},
                 {.title = "WHAT IT IS", .fit = Column::Fit::shrink}});
    for (const auto& setting : list_of(settings, "settings")) {
        bool available = flag_of(setting, "available");
        table.add({text_of(setting, "key"), text_of(setting, "value"), text_of(setting, "default"),
                   (available ? "" : "(not available yet) ") + text_of(setting, "description")});
    }
    return table.render(page.width);
}

std::string render_setting(const json::value& setting) {
    return fmt::format("{} = {} (default {}; {})\n{}\n", text_of(setting, "key"),
                       text_of(setting, "value"), text_of(setting, "default"),
                       text_of(setting, "unit"), text_of(setting, "description"));
}

std::string render_applied(const json::value& applied) {
    bool dry_run = flag_of(applied, "dry_run");
    auto change = text_of(applied, "change");
    std::string out = fmt::format("{}: {}{}", text_of(applied, "service"),
                                  dry_run && change != "unchanged" ? "would be " : "", change);
    if (auto version = number_of(applied, "version")) out += fmt::format(", version {}", version);
    out += '\n';
    for (const auto& field : list_of(applied, "changes")) {
        auto from = text_of(field, "from");
        auto to = text_of(field, "to");
        if (change == "created")
            out += fmt::format("  {} = {}\n", text_of(field, "key"), to);
        else
            out += fmt::format("  {}: {} -> {}\n", text_of(field, "key"),
                               from.empty() ? "(absent)" : from, to.empty() ? "(absent)" : to);
    }
    for (const auto& warning : list_of(applied, "warnings"))
        if (const auto* text = warning.if_string())
            out += fmt::format("warning: {}\n", std::string_view(text->data(), text->size()));
    return out;
}

std::string render_deleted(const json::value& deleted) {
    return fmt::format("{}: {}deleted\n", text_of(deleted, "service"),
                       flag_of(deleted, "dry_run") ? "would be stopped and " : "stopped and ");
}

std::string render_log_line(const json::value& line) {
    return fmt::format("{} {} {} {}\n", text_of(line, "at"), number_of(line, "instance"),
                       text_of(line, "stream"), text_of(line, "text"));
}

std::string render_checks(const std::vector<Check>& checks) {
    Table table({{.title = "CHECK"}, {.title = "RESULT"}, {.title = "FOUND"}});
    std::string advice;
    int problems = 0;
    for (const auto& check : checks) {
        table.add({check.name, std::string(verdict_name(check.verdict)), check.found});
        if (check.next.empty()) continue;
        ++problems;
        constexpr std::size_t width = 80;
        advice += "\n" + wrap(check.name + ": " + check.next, width, 2) + "\n";
    }
    auto text = table.render(80) + advice;
    return text + (problems == 0 ? "\nThis machine has what Holdfast needs.\n" : "");
}

json::value checks_json(const std::vector<Check>& checks) {
    json::array list;
    for (const auto& check : checks)
        list.push_back({{"check", check.name},
                        {"result", verdict_name(check.verdict)},
                        {"found", check.found},
                        {"next", check.next}});
    return json::object{{"checks", std::move(list)}};
}

std::string render_error(const json::value& body) {
    const auto& error = member_of(body, "error");
    auto message = text_of(error, "message");
    auto next = text_of(error, "next");
    std::string out = "error: " + (message.empty() ? pretty(body) : message + "\n");
    return next.empty() ? out : out + "next: " + next + "\n";
}

}  // namespace holdfast::cli
