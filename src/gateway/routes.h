// What can be asked over REST: one table, which the OpenAPI file is held to. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "access/role.h"

namespace holdfast::gateway {

enum class Operation {
    healthz,
    readyz,
    metrics,
    openapi,
    version,
    node,
    status,
    services,
    apply,
    service,
    remove,
    spec,
    history,
    deploy,
    rollback,
    restart,
    stop,
    start,
    scale,
    logs,
    why,
    runs,
    users,
    create_user,
    delete_user,
    settings,
    setting,
    set_setting,
    reset_setting,
};

struct Route {
    Operation operation;
    std::string_view name;    // The OpenAPI file's operationId.
    std::string_view method;  // HEAD goes where GET goes.
    std::string_view path;    // "/v1/services/{service}/logs"
    access::Action action;
    std::span<const std::string_view> query;  // Parameters it knows; another one is refused.
};

std::span<const Route> routes();

struct Matched {
    const Route* route;
    std::vector<std::string> arguments;  // What stands at the braces, in order.
};
struct NoPath {};
struct OtherMethods {
    std::string allow;  // "GET, HEAD, PUT", for the header of that name.
};

std::variant<Matched, NoPath, OtherMethods> match(std::string_view method,
                                                  const std::vector<std::string>& segments);

// On loopback, reading the state of things is free. What services print or are given may hold
// secrets, and other users of the machine have no business there.
constexpr bool free_on_loopback(access::Action action) {
    return action == access::Action::observe;
}

}  // namespace holdfast::gateway
