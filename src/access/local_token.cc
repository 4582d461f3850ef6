#include "access/local_token.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <charconv>

#include "access/user.h"
#include "base/bytes.h"
#include "base/check.h"

namespace holdfast::access {
namespace {

constexpr std::string_view prefix = "hfl_";

// A claim is "UID.NANOSECONDS", both in hexadecimal.
struct Claim {
    std::uint32_t uid = 0;
    std::int64_t until_ns = 0;
};

template <class T>
bool read_hex(std::string_view text, T& value) {
    auto end = text.data() + text.size();
    auto [stopped, failed] = std::from_chars(text.data(), end, value, 16);
    return failed == std::errc() && stopped == end;
}

}  // namespace

LocalTokens::LocalTokens(std::string key) : key_(std::move(key)) {
    HF_CHECK(key_.size() == 32);
}

std::string LocalTokens::sign(std::string_view claim) const {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    auto* done =
        HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
             reinterpret_cast<const unsigned char*>(claim.data()), claim.size(), mac, &size);
    HF_CHECK(done != nullptr && size == 32);
    return to_hex({reinterpret_cast<const char*>(mac), size});
}

std::string LocalTokens::issue(std::uint32_t uid, Instant now) const {
    auto until = (now + local_token_life).time_since_epoch().count();
    auto claim = fmt::format("{:x}.{:x}", uid, until);
    return fmt::format("{}{}.{}", prefix, claim, sign(claim));
}

Result<Principal> LocalTokens::check(std::string_view token, Instant now) const {
    auto refused = [] { return fail(Errc::denied, "this node did not issue the local token"); };
    if (!looks_like_one(token)) return refused();
    token.remove_prefix(prefix.size());
    auto last = token.rfind('.');
    auto first = token.find('.');
    if (first == token.npos || first == last) return refused();
    if (!same_secret(sign(token.substr(0, last)), token.substr(last + 1))) return refused();
    Claim claim;
    HF_CHECK(read_hex(token.substr(0, first), claim.uid));
    HF_CHECK(read_hex(token.substr(first + 1, last - first - 1), claim.until_ns));
    if (now.time_since_epoch().count() >= claim.until_ns) {
        return fail(Errc::denied, "the local token is too old");
    }
    return Principal{.name = fmt::format("local:{}", claim.uid), .role = Role::admin};
}

}  // namespace holdfast::access
