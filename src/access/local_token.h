// Tokens for people who are on this machine anyway.
//
// Whoever connects to the node's abstract socket and is trusted by its credentials (peer_trust.h)
// gets one, and is an admin while it lasts. A token says until when and for whom, and is signed
// with a key that the node draws at its start and never shows: nothing is kept per token, none
// outlives the node, and none can be made elsewhere.
//
// Pure: time and the key are handed in.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "access/role.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast::access {

inline constexpr Duration local_token_life = std::chrono::minutes(2);

class LocalTokens {
  public:
    explicit LocalTokens(std::string key);  // 32 bytes of secret_bytes().

    // "hfl_..." for the user with this id, good for local_token_life.
    std::string issue(std::uint32_t uid, Instant now) const;

    // Errc::denied: not one of ours, or too old. A token is checked when a request begins, so a
    // stream may go on after it.
    Result<Principal> check(std::string_view token, Instant now) const;

    static bool looks_like_one(std::string_view token) { return token.starts_with("hfl_"); }

  private:
    std::string sign(std::string_view claim) const;

    std::string key_;
};

}  // namespace holdfast::access
