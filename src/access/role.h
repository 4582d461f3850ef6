// Who may do what: three roles, four kinds of deed, one table.
//
// The table is total and every step up includes the one before, so a role is understood without
// reading anything else. Finer limits (a bucket, a key prefix, kinds of Redis commands) belong to
// the protocols that know those words, and narrow what the role allows; they never widen it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::access {

enum class Role { viewer, operator_, admin };

enum class Action {
    observe,     // Read the state of things: status, history, metrics.
    inspect,     // Read what services print and how they are configured, which may hold secrets.
    operate,     // Declare, start, stop, deploy services.
    administer,  // Users and settings.
};

bool allowed(Role role, Action action);

std::string_view role_name(Role role);        // "admin", "operator", "viewer"
std::string_view action_name(Action action);  // "observe", ...
std::optional<Role> parse_role(std::string_view text);

// The least role that may: for the sentence that says what is missing.
Role needed_role(Action action);

// Somebody who has shown who they are.
struct Principal {
    std::string name;  // A user's, or "local:UID" for someone on this machine.
    Role role = Role::viewer;

    bool operator==(const Principal&) const = default;
};

}  // namespace holdfast::access
