// The REST interface: requests in, answers out, as openapi.json says.
//
// Every request passes the same door in the same order: the guard (guard.h), the routes, whether
// its parameters are known, who sends it, and whether that one may. Only then does a call see it.
// What a call answers is JSON of shown.h, or a Refusal with what to do next.
//
// Tokens. "hfl_..." is a local one (access/local_token.h), "hft_..." a user's. A token that is
// given must be good, also where none is needed: somebody who believes to be known should not be
// served as a stranger.
//
// One event loop. All edges outlive the Api, and the Api its answers' streams.
#pragma once

#include <memory>

#include "access/local_token.h"
#include "base/metrics.h"
#include "coord/coordinator.h"
#include "gateway/message.h"
#include "gateway/operations.h"
#include "runtime/clock.h"
#include "runtime/task.h"
#include "service/catalog.h"

namespace holdfast::gateway {

struct ApiEdges {
    runtime::Clock& clock;
    coord::Coordinator& coordinator;
    service::Catalog& catalog;
    Operations& operations;
    const access::LocalTokens& local_tokens;
    MetricRegistry& metrics;  // Gets the build's and the process's.
    NodeFacts facts;
};

class Api {
  public:
    explicit Api(ApiEdges edges);
    ~Api();
    Api(const Api&) = delete;
    Api& operator=(const Api&) = delete;

    runtime::Task<Response> answer(Request request);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::gateway
