#include "cli/verbs.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/units.h"
#include "cli/json_fields.h"
#include "cli/render.h"
#include "cli/version.h"
#include "keeper/build_id.h"

namespace holdfast::cli {

namespace json = boost::json;

namespace {

Page page(Session& session) {
    Page page{.now = session.node.wall_now()};
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > page.width)
        page.width = size.ws_col;
    return page;
}

void print(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

int exit_code(const Answer& answer) {
    if (answer.ok()) return exit_done;
    return text_of(member_of(answer.json, "error"), "code") == "no_quorum" ? exit_no_quorum
                                                                           : exit_failed;
}

int refused(const Session& session, const Answer& answer) {
    if (session.output == Output::json && !answer.json.is_null()) {
        print(pretty(answer.json));
    } else if (answer.json.is_null()) {
        fmt::print(stderr, "error: the node answered {}: {}\n", answer.status, answer.text);
    } else {
        auto text = render_error(answer.json);
        std::fwrite(text.data(), 1, text.size(), stderr);
    }
    return exit_code(answer);
}

using Render = std::function<std::string(const json::value&)>;

// One question, one answer.
int ask(Session& session, const std::string& method, const std::string& target,
        const std::optional<Body>& body, const Render& render) {
    auto answer = session.node.call(method, target, body);
    if (!answer) return print_error(answer.error());
    if (!answer->ok()) return refused(session, *answer);
    print(session.output == Output::json ? pretty(answer->json) : render(answer->json));
    return exit_done;
}

// The same, over and over with --watch.
int show(Session& session, const std::string& target, const Render& render) {
    for (;;) {
        auto answer = session.node.call("GET", target);
        if (session.watch) print("\x1b[H\x1b[2J");
        int code = exit_done;
        if (!answer)
            code = print_error(answer.error());
        else if (!answer->ok())
            code = refused(session, *answer);
        else
            print(session.output == Output::json ? pretty(answer->json) : render(answer->json));
        if (!session.watch) return code;
        session.node.pause(std::chrono::seconds(1));
    }
}

std::string service_target(const std::string& service, std::string_view rest = {}) {
    return "/v1/services/" + percent_encode(service) + std::string(rest);
}

Body json_body(const json::value& value) {
    return {"application/json", json::serialize(value)};
}

// Prints progress as it comes; the last line tells how it ended.
int follow_progress(Session& session, const std::string& target, const std::optional<Body>& body) {
    std::string last;
    auto answer = session.node.stream("POST", target, body, [&](const json::value& line) {
        last = text_of(line, "kind");
        if (session.output == Output::json) {
            print(json::serialize(line) + "\n");
        } else {
            auto at = text_of(line, "at");
            auto clock = at.size() >= 23 ? at.substr(11, 12) : at;
            print(fmt::format("{}  {}\n", clock, text_of(line, "message")));
        }
        return true;
    });
    if (!answer) return print_error(answer.error());
    if (!answer->ok()) return refused(session, *answer);
    if (last == "live") return exit_done;
    if (last == "progress" || last.empty())
        return print_error({Errc::in_doubt,
                            "the node went away before it was done; look with "
                            "`holdfast status` and `holdfast history SERVICE`"});
    return exit_failed;
}

// What a rollout would change, or the rollout itself.
int roll_out(Session& session, const std::string& target, const json::object& request) {
    if (session.dry_run)
        return ask(session, "POST", target + "?dry_run=true", json_body(request), render_applied);
    return follow_progress(session, target, json_body(request));
}

Result<std::string> read_text(const std::string& path) {
    if (path == "-") {
        std::string text;
        char buffer[4096];
        for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;)
            text.append(buffer, n);
        return text;
    }
    std::ifstream file(path);
    if (!file)
        return fail(Errc::invalid, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    std::stringstream text;
    text << file.rdbuf();
    if (file.bad() || text.bad())
        return fail(Errc::invalid, fmt::format("cannot read {}: is it a file?", path));
    return text.str();
}

}  // namespace

int print_error(const Error& error) {
    fmt::print(stderr, "error: {}\n", error.message);
    return exit_failed;
}

int print_checks(const std::vector<Check>& checks, Output output) {
    bool failed = false;
    for (const auto& check : checks) failed = failed || check.verdict == Check::Verdict::failure;
    print(output == Output::json ? pretty(checks_json(checks)) : render_checks(checks));
    return failed ? exit_failed : exit_done;
}

void print_version(Output output) {
    json::object version{{"version", release}, {"build", keeper::own_build_id()}};
    print(output == Output::json ? pretty(version) : version_line() + "\n");
}

int show_status(Session& session) {
    bool degraded = false;
    int code = show(session, "/v1/status", [&](const json::value& status) {
        degraded = text_of(status, "health") != "ok";
        return render_status(status, page(session));
    });
    if (session.output == Output::json && code == exit_done) {
        auto answer = session.node.call("GET", "/v1/status");
        degraded = answer && text_of(answer->json, "health") != "ok";
    }
    return code == exit_done && degraded ? exit_degraded : code;
}

int show_services(Session& session, const std::optional<std::string>& service) {
    if (service)
        return show(session, service_target(*service),
                    [&](const json::value& shown) { return render_service(shown, page(session)); });
    return show(session, "/v1/services",
                [&](const json::value& shown) { return render_services(shown, page(session)); });
}

int show_history(Session& session, const std::string& service) {
    return show(session, service_target(service, "/versions"), [&](const json::value& versions) {
        return render_history(versions, page(session));
    });
}

int show_why(Session& session, const std::string& service) {
    return show(session, service_target(service, "/why"),
                [&](const json::value& why) { return render_why(why, page(session)); });
}

int show_runs(Session& session, const std::string& service) {
    return show(session, service_target(service, "/runs"),
                [&](const json::value& runs) { return render_runs(runs, page(session)); });
}

int show_spec(Session& session, const std::string& service, bool effective) {
    return show(session, service_target(service, effective ? "/spec?effective=true" : "/spec"),
                [](const json::value& spec) { return text_of(spec, "text"); });
}

int apply_files(Session& session, const std::vector<std::string>& files, Wait wait) {
    int worst = exit_done;
    for (const auto& file : files) {
        auto text = read_text(file);
        if (!text) {
            worst = print_error(text.error());
            continue;
        }
        std::string target = "/v1/services?file=" + percent_encode(file);
        if (session.dry_run) target += "&dry_run=true";
        Body body{"application/toml", std::move(*text)};
        int code = exit_done;
        if (wait == Wait::yes && !session.dry_run)
            code = follow_progress(session, target + "&wait=true", body);
        else
            code = ask(session, "POST", target, body, render_applied);
        worst = std::max(worst, code);
    }
    return worst;
}

int delete_service(Session& session, const std::string& service) {
    return ask(session, "DELETE", service_target(service, session.dry_run ? "?dry_run=true" : ""),
               {}, render_deleted);
}

int deploy(Session& session, const std::string& service, const DeployChoices& choices) {
    json::object request;
    json::object env;
    for (const auto& pair : choices.env) {
        auto equals = pair.find('=');
        if (equals == std::string::npos || equals == 0) {
            fmt::print(stderr, "error: --env {}: write it as NAME=VALUE\n", pair);
            return exit_usage;
        }
        env[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    if (!env.empty()) request["env"] = std::move(env);
    if (!choices.command.empty())
        request["command"] = json::array(choices.command.begin(), choices.command.end());
    return roll_out(session, service_target(service, "/deploy"), request);
}

int rollback(Session& session, const std::string& service, std::optional<int> to) {
    json::object request;
    if (to) request["to"] = *to;
    return roll_out(session, service_target(service, "/rollback"), request);
}

int restart(Session& session, const std::string& service, const std::optional<std::string>& mode) {
    json::object request;
    if (mode) request["mode"] = *mode;
    return ask(session, "POST", service_target(service, "/restart"), json_body(request),
               [&](const json::value& shown) { return render_service(shown, page(session)); });
}

int stop_service(Session& session, const std::string& service) {
    return ask(session, "POST", service_target(service, "/stop"), {},
               [&](const json::value& shown) { return render_service(shown, page(session)); });
}

int start_service(Session& session, const std::string& service) {
    return ask(session, "POST", service_target(service, "/start"), {},
               [&](const json::value& shown) { return render_service(shown, page(session)); });
}

int scale(Session& session, const std::string& service, int instances) {
    return ask(session, "POST", service_target(service, "/scale"),
               json_body(json::object{{"instances", instances}}),
               [&](const json::value& shown) { return render_service(shown, page(session)); });
}

int show_logs(Session& session, const std::string& service, const LogChoices& choices) {
    auto target = service_target(service, fmt::format("/logs?tail={}", choices.tail));
    if (choices.follow) target += "&follow=true";
    if (choices.instance) target += fmt::format("&instance={}", *choices.instance);
    auto answer = session.node.stream("GET", target, {}, [&](const json::value& line) {
        print(session.output == Output::json ? json::serialize(line) + "\n"
                                             : render_log_line(line));
        return true;
    });
    if (!answer) return print_error(answer.error());
    return answer->ok() ? exit_done : refused(session, *answer);
}

int create_user(Session& session, const UserChoices& choices) {
    json::object request{{"name", choices.name}};
    if (choices.role) request["role"] = *choices.role;
    if (choices.bucket) request["bucket"] = *choices.bucket;
    if (choices.prefix) request["prefix"] = *choices.prefix;
    if (choices.commands) request["commands"] = *choices.commands;
    return ask(session, "POST", "/v1/users", json_body(request), render_user_keys);
}

int list_users(Session& session) {
    return show(session, "/v1/users",
                [&](const json::value& users) { return render_users(users, page(session)); });
}

int delete_user(Session& session, const std::string& name) {
    return ask(session, "DELETE", "/v1/users/" + percent_encode(name), {},
               [&](const json::value&) { return fmt::format("user {} deleted\n", name); });
}

int show_settings(Session& session, const std::optional<std::string>& key) {
    if (key)
        return show(session, "/v1/settings/" + percent_encode(*key),
                    [](const json::value& setting) { return render_setting(setting); });
    return show(session, "/v1/settings", [&](const json::value& settings) {
        return render_settings(settings, page(session));
    });
}

int set_setting(Session& session, const std::string& key, const std::string& value) {
    return ask(session, "PUT", "/v1/settings/" + percent_encode(key),
               json_body(json::object{{"value", value}}), render_setting);
}

int unset_setting(Session& session, const std::string& key) {
    return ask(session, "DELETE", "/v1/settings/" + percent_encode(key), {}, render_setting);
}

}  // namespace holdfast::cli
