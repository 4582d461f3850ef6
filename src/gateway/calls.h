// What each operation of the interface does; for api.cc and the calls' own .cc files.
#pragma once

#include <string>
#include <vector>

#include "coord/settings.h"
#include "gateway/api.h"
#include "gateway/message.h"
#include "gateway/routes.h"
#include "gateway/target.h"
#include "gateway/users.h"
#include "runtime/task.h"

namespace holdfast::gateway {

// A request that has passed the door.
struct Call {
    const Route* route;
    std::vector<std::string> arguments;
    Query query;
    std::string body;
    std::string author;  // For histories.

    const std::string& name() const { return arguments.front(); }
};

using Answered = runtime::Task<Result<Response>>;

// The node: what it is, how it is, what it measures.
class NodeCalls {
  public:
    explicit NodeCalls(const ApiEdges& edges) : edges_(edges) {}

    Answered health(Call call);  // healthz, readyz
    Answered metrics(Call call);
    Answered openapi(Call call);
    Answered version(Call call);
    Answered node(Call call);
    Answered status(Call call);

  private:
    runtime::Task<std::vector<std::string>> warnings();
    runtime::Task<std::vector<std::string>> services_as_root();
    void warn_of_missed_runs(std::vector<std::string>& warnings);

    const ApiEdges& edges_;
};

// Services and jobs: what is wanted of them, and how they are.
class ServiceCalls {
  public:
    explicit ServiceCalls(const ApiEdges& edges) : edges_(edges) {}

    Answered list(Call call);
    Answered show(Call call);
    Answered spec(Call call);
    Answered history(Call call);
    Answered why(Call call);
    Answered runs(Call call);
    Answered logs(Call call);

    Answered apply(Call call);
    Answered remove(Call call);
    Answered deploy(Call call);
    Answered rollback(Call call);
    Answered restart(Call call);
    Answered stop(Call call);
    Answered start(Call call);
    Answered scale(Call call);

  private:
    Answered shown(std::string name);
    Answered rolled_out(service::Plan plan);
    runtime::Task<Result<void>> must_exist(std::string name);

    const ApiEdges& edges_;
};

// Users and settings.
class AdminCalls {
  public:
    explicit AdminCalls(const ApiEdges& edges)
        : users_(edges.coordinator, edges.clock), settings_(edges.coordinator) {}

    Users& users() { return users_; }

    Answered list_users(Call call);
    Answered create_user(Call call);
    Answered delete_user(Call call);
    Answered list_settings(Call call);
    Answered show_setting(Call call);
    Answered set_setting(Call call);
    Answered reset_setting(Call call);

  private:
    Users users_;
    coord::Settings settings_;
};

}  // namespace holdfast::gateway
