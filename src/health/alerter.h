// The alerter: sends what Alerting decides, and keeps its lines under "a/" of the local store.
//
// Nothing waits for it: observed() and forget() return at once, run() does the rest. Up to eight
// messages are on their way at a time, so one receiver that hangs does not hold up the others.
//
// Lives on one event loop, not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "health/alert.h"
#include "http/client.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/store.h"
#include "runtime/task.h"

namespace holdfast::health {

class Journal;

struct AlerterOptions {
    std::string node = "node";
    std::string external_url;  // Where people look: "http://127.0.0.1:7400".
    Duration post_limit = std::chrono::seconds(10);
    AlertLimits limits;
};

class Alerter {
  public:
    struct Edges {
        runtime::Clock& clock;
        runtime::Store& store;
        http::Client& client;
        Journal& journal;
        runtime::Random random;
    };
    // Reads the lines that an earlier node kept; damaged ones are noted in the journal and dropped.
    static Result<std::unique_ptr<Alerter>> open(Edges edges, AlerterOptions options);
    ~Alerter();
    Alerter(const Alerter&) = delete;
    Alerter& operator=(const Alerter&) = delete;

    void observed(std::string_view service, const std::vector<std::string>& to, AlarmState state,
                  std::string reason, WallTime at);
    void forget(std::string_view service, std::string reason, WallTime at);

    runtime::Task<void> run();  // Ends only by being destroyed.

    std::size_t waiting() const;  // Messages that have not been taken.
    // Of which somebody has been told, or is about to be: those that are gone by now want forget().
    std::vector<std::string> services() const;

  private:
    struct State;
    explicit Alerter(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::health
