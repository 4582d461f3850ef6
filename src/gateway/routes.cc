#include "gateway/routes.h"

#include <array>
#include <optional>

namespace holdfast::gateway {
namespace {

using access::Action;
using Words = std::array<std::string_view, 3>;

constexpr std::array<std::string_view, 1> dry_run = {"dry_run"};
constexpr Words apply_query = {"dry_run", "wait", "file"};
constexpr std::array<std::string_view, 1> spec_query = {"effective"};
constexpr Words logs_query = {"tail", "follow", "instance"};

constexpr auto observe = Action::observe;
constexpr auto inspect = Action::inspect;
constexpr auto operate = Action::operate;
constexpr auto administer = Action::administer;

constexpr std::string_view of_service = "/v1/services/{service}";

constexpr std::array table = {
    Route{Operation::healthz, "healthz", "GET", "/healthz", observe, {}},
    Route{Operation::readyz, "readyz", "GET", "/readyz", observe, {}},
    Route{Operation::metrics, "metrics", "GET", "/metrics", observe, {}},
    Route{Operation::openapi, "openapi", "GET", "/v1/openapi.json", observe, {}},
    Route{Operation::version, "version", "GET", "/v1/version", observe, {}},
    Route{Operation::node, "node", "GET", "/v1/node", observe, {}},
    Route{Operation::status, "status", "GET", "/v1/status", observe, {}},
    Route{Operation::services, "services", "GET", "/v1/services", observe, {}},
    Route{Operation::apply, "apply", "POST", "/v1/services", operate, apply_query},
    Route{Operation::service, "service", "GET", of_service, observe, {}},
    Route{Operation::remove, "delete", "DELETE", of_service, operate, dry_run},
    Route{Operation::spec, "spec", "GET", "/v1/services/{service}/spec", inspect, spec_query},
    Route{Operation::history, "history", "GET", "/v1/services/{service}/versions", observe, {}},
    Route{Operation::deploy, "deploy", "POST", "/v1/services/{service}/deploy", operate, dry_run},
    Route{Operation::rollback, "rollback", "POST", "/v1/services/{service}/rollback", operate,
          dry_run},
    Route{Operation::restart, "restart", "POST", "/v1/services/{service}/restart", operate, {}},
    Route{Operation::stop, "stop", "POST", "/v1/services/{service}/stop", operate, {}},
    Route{Operation::start, "start", "POST", "/v1/services/{service}/start", operate, {}},
    Route{Operation::scale, "scale", "POST", "/v1/services/{service}/scale", operate, {}},
    Route{Operation::logs, "logs", "GET", "/v1/services/{service}/logs", inspect, logs_query},
    Route{Operation::why, "why", "GET", "/v1/services/{service}/why", observe, {}},
    Route{Operation::runs, "runs", "GET", "/v1/services/{service}/runs", inspect, {}},
    Route{Operation::users, "users", "GET", "/v1/users", administer, {}},
    Route{Operation::create_user, "create_user", "POST", "/v1/users", administer, {}},
    Route{Operation::delete_user, "delete_user", "DELETE", "/v1/users/{user}", administer, {}},
    Route{Operation::settings, "settings", "GET", "/v1/settings", observe, {}},
    Route{Operation::setting, "setting", "GET", "/v1/settings/{key}", observe, {}},
    Route{Operation::set_setting, "set_setting", "PUT", "/v1/settings/{key}", administer, {}},
    Route{
        Operation::reset_setting, "reset_setting", "DELETE", "/v1/settings/{key}", administer, {}},
};

// The arguments, if the path fits the pattern.
std::optional<std::vector<std::string>> fit(std::string_view pattern,
                                            const std::vector<std::string>& segments) {
    std::vector<std::string> arguments;
    for (const auto& segment : segments) {
        if (pattern.empty()) return std::nullopt;
        pattern.remove_prefix(1);
        auto piece = pattern.substr(0, pattern.find('/'));
        if (piece.starts_with('{')) {
            arguments.push_back(segment);
        } else if (piece != segment) {
            return std::nullopt;
        }
        pattern.remove_prefix(piece.size());
    }
    if (!pattern.empty()) return std::nullopt;
    return arguments;
}

void add_word(std::string& list, std::string_view word) {
    if (!list.empty()) list += ", ";
    list += word;
}

}  // namespace

std::span<const Route> routes() {
    return table;
}

std::variant<Matched, NoPath, OtherMethods> match(std::string_view method,
                                                  const std::vector<std::string>& segments) {
    if (method == "HEAD") method = "GET";
    OtherMethods others;
    for (const auto& route : table) {
        auto arguments = fit(route.path, segments);
        if (!arguments) continue;
        if (route.method == method) return Matched{&route, std::move(*arguments)};
        add_word(others.allow, route.method);
        if (route.method == "GET") add_word(others.allow, "HEAD");
    }
    if (others.allow.empty()) return NoPath{};
    return others;
}

}  // namespace holdfast::gateway
