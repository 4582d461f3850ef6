// The edge to the system's name service.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/task.h"

namespace holdfast::http {

class Resolver {
  public:
    virtual ~Resolver() = default;

    // Addresses of the host in the order they should be tried, at least one. An address is answered
    // with itself. Errc::unavailable: no answer, or no such name (which may be there later). No
    // deadline of its own: put within() around it.
    virtual runtime::Task<Result<std::vector<std::string>>> resolve(std::string host) = 0;
};

}  // namespace holdfast::http
