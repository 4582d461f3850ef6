// How to ask an instance of a service whether it is well, and how to judge the answers.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/time.h"

namespace holdfast::health {

using namespace std::chrono_literals;

// How to ask an instance whether it is well.
struct ProbeSpec {
    enum class Kind { tcp, http, exec, grpc };
    Kind kind = Kind::tcp;
    std::string path;     // Of http.
    std::string command;  // Of exec: handed to /bin/sh -c.

    bool operator==(const ProbeSpec&) const = default;
};

struct HealthSpec {
    std::optional<ProbeSpec>
        ready;  // None: TCP connect to PORT, READY=1, or alive for 1 s (see 04).
    std::optional<ProbeSpec> live;  // None: no live probe.
    Duration every = 1s;
    Duration timeout = 1s;  // Of one probe; at most `every` unless set.
    int fall = 2;
    int rise = 2;

    bool operator==(const HealthSpec&) const = default;
};

}  // namespace holdfast::health
