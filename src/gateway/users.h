// The users of Holdfast, in the coordinator: docs/formats/access.md.
//
// Every check reads the record anew, so a user that is deleted is gone with the next request, on
// every node. Not thread-safe: one event loop.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "access/user.h"
#include "base/result.h"
#include "coord/coordinator.h"
#include "runtime/clock.h"
#include "runtime/task.h"

namespace holdfast::gateway {

class Users {
  public:
    // Both outlive it.
    Users(coord::Coordinator& coordinator, runtime::Clock& clock)
        : coordinator_(coordinator), clock_(clock) {}

    runtime::Task<Result<std::vector<access::User>>> list();  // By name.
    // Errc::conflict: there is one of that name. The name has been checked.
    runtime::Task<Result<access::NewUser>> create(std::string name, access::Role role);
    // The user as it was. Errc::not_found.
    runtime::Task<Result<access::User>> remove(std::string name);
    // Errc::denied: no such user, or another token; the answer does not say which.
    runtime::Task<Result<access::Principal>> check(std::string token);

  private:
    coord::Coordinator& coordinator_;
    runtime::Clock& clock_;
};

}  // namespace holdfast::gateway
