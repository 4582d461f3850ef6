// The command's end of the local token: asks the node on this machine for one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::access {

// Blocks for at most `limit`. Errc::unavailable: no node answers there; Errc::denied: this user is
// not trusted by the node, or the other end is not trusted by us, because a stranger's program
// could sit on a free name and wait for what the command sends.
Result<std::string> fetch_local_token(std::uint16_t port, Duration limit = std::chrono::seconds(2));

}  // namespace holdfast::access
