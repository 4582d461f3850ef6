// All services of one machine: what supervision decides, without the world around it.
//
// Routes what happens to the service it happened to, holds services back until those they come
// after are ready, hands out turns to start, and orders the end: on shut_down() a service is
// stopped when nothing that comes after it runs any more.
//
// Pure. The driver feeds inputs and then calls step(), carries out the actions in order, and calls
// step() again at next_deadline(). Every action that needs an answer says which.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "service/catalog_desired.h"
#include "service/instance_action.h"
#include "service/service_core.h"
#include "service/start_gate.h"
#include "service/view.h"

namespace holdfast::service {

// A run the keeper has, with the release its note names.
struct FoundRun {
    runtime::RunReport report;
    ReleasePtr release;
};

class SupervisorCore {
  public:
    struct Options {
        int starting_max = 4;
        // After this an instance that is still not ready no longer counts as starting.
        Duration start_hold_max = std::chrono::seconds(10);
        runtime::RunId first_run = 1;  // Run ids from here on are free.
    };
    SupervisorCore(Options options, runtime::Random random);

    // Once, before all else: what the keeper has. At most two live runs of one slot.
    void adopt(Moment moment, std::vector<FoundRun> runs, const std::vector<std::string>& sockets);

    // `known`: what the catalog has on record of that version's rollout.
    void want(Instant now, const std::string& name, const DesiredService& wanted,
              std::optional<OutcomeState> known);
    void unwant(Instant now, const std::string& name);
    // These are all there are to be: unwants the others.
    void want_only(Instant now, const std::set<std::string>& names);
    void start_now(Instant now, std::string_view name);
    void rollback_refused(Instant now, const std::string& name, const std::string& why);
    void shut_down() { shutting_ = true; }

    void launched(Instant now, const runtime::RunReport& report);
    void launch_failed(Instant now, runtime::RunId run, const Error& error);
    void notified(Instant now, runtime::RunId run, const runtime::Notified& notified);
    void probed(Instant now, const ProbeVerdict& verdict);
    void exited(Instant now, runtime::RunId run, const runtime::Exit& exit);

    std::vector<Action> step(Instant now);
    Instant next_deadline() const;

    bool knows(runtime::RunId run) const { return find(run) != nullptr; }
    bool idle() const;  // Nothing runs.
    int starting() const { return gate_.starting(); }
    int starting_max() const { return gate_.starting_max(); }
    int queued() const { return gate_.waiting(); }
    std::vector<ServiceView> services(Moment moment) const;
    std::optional<ServiceView> service(Moment moment, std::string_view name) const;

  private:
    using Services = std::map<std::string, ServiceCore, std::less<>>;

    ServiceCore& service(const std::string& name);
    const ServiceCore* find(runtime::RunId run) const;
    ServiceCore* find(runtime::RunId run);
    std::optional<std::string> held_back(const ServiceCore& service) const;
    bool something_after(const ServiceCore& service) const;
    void stop_next(Instant now);
    bool grant(Instant now);
    std::vector<int> readiness() const;

    StartGate gate_;
    runtime::Random random_;
    runtime::RunId next_run_;
    Outbox out_;
    Services services_;
    std::vector<std::string> stray_sockets_;
    bool shutting_ = false;
    std::set<std::string, std::less<>> shut_;
};

}  // namespace holdfast::service
