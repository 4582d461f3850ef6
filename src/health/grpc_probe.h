// The client's side of gRPC's health checking protocol, version 1: one question, one answer.
//
// grpc.health.v1.Health/Check with an empty service name, which stands for the server as a whole,
// over HTTP/2 without TLS and with prior knowledge. The messages are tiny and encoded here:
// the request is empty, the answer is one enumeration, and only SERVING is well.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
#pragma once

#include <string>
#include <string_view>

#include "health/probe.h"
#include "runtime/network.h"
#include "runtime/task.h"

namespace holdfast::health {

// No deadline of its own. `network` outlives the Task.
runtime::Task<ProbeResult> probe_grpc(runtime::Network& network, runtime::Endpoint peer);

// What the body of an answer says: "SERVING", "NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN"; empty if
// it is not one gRPC message that holds a HealthCheckResponse.
std::string_view serving_status(std::string_view body);

}  // namespace holdfast::health
