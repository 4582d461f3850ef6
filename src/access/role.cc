#include "access/role.h"

#include "base/check.h"

namespace holdfast::access {

Role needed_role(Action action) {
    switch (action) {
        case Action::observe:
            return Role::viewer;
        case Action::inspect:
            return Role::viewer;
        case Action::operate:
            return Role::operator_;
        case Action::administer:
            return Role::admin;
    }
    HF_CHECK(false);
    return Role::admin;
}

bool allowed(Role role, Action action) {
    return role >= needed_role(action);
}

std::string_view role_name(Role role) {
    switch (role) {
        case Role::viewer:
            return "viewer";
        case Role::operator_:
            return "operator";
        case Role::admin:
            return "admin";
    }
    return "unknown";
}

std::string_view action_name(Action action) {
    switch (action) {
        case Action::observe:
            return "observe";
        case Action::inspect:
            return "inspect";
        case Action::operate:
            return "operate";
        case Action::administer:
            return "administer";
    }
    return "unknown";
}

std::optional<Role> parse_role(std::string_view text) {
    for (Role role : {Role::viewer, Role::operator_, Role::admin}) {
        if (role_name(role) == text) return role;
    }
    return std::nullopt;
}

}  // namespace holdfast::access
