// A user as it is kept: docs/formats/access.md.
//
// A token is 256 random bits behind the user's name, so a salted SHA-256 of it is as good as a slow
// password hash: there is nothing to guess. Only that hash is kept. The secret key signs S3
// requests (SigV4 is an HMAC), so both sides need the key itself and it is kept as it is; whoever
// reads the node's data directory has it, which is why that directory is its owner's alone.
//
// Pure: randomness is handed in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "access/role.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast::access {

struct User {
    std::string name;
    Role role = Role::viewer;
    std::string access_key;
    std::string secret_key;
    std::string token_salt;  // 16 bytes.
    Sha256 token_hash;       // Of salt and token.
    WallTime created;        // To the millisecond.

    bool operator==(const User&) const = default;
};

// [a-z0-9][-a-z0-9._]*, at most 63 characters. Errc::invalid gives an example.
Result<void> check_user_name(std::string_view name);

inline constexpr std::size_t user_random_bytes = 81;

struct NewUser {
    User user;
    std::string token;  // Shown once, kept nowhere.
};

// `random` is user_random_bytes of secret_bytes(). The name has been checked.
NewUser make_user(std::string name, Role role, std::string_view random, WallTime now);

// The name inside a user's token, "hft_NAME.RANDOM"; nothing if it is not one. Proves nothing.
std::optional<std::string> name_in_token(std::string_view token);

// In time that does not depend on where the two differ.
bool token_matches(const User& user, std::string_view token);
bool same_secret(std::string_view a, std::string_view b);

// JSON, without the name, which is the key's. A record with a field that this release does not know
// is Errc::corrupt: it may be a restriction, and ignoring one would widen what the user may do.
std::string encode(const User& user);
Result<User> decode_user(std::string name, std::string_view json);

inline constexpr std::string_view users_prefix = "access/users/";
std::string user_key(std::string_view name);

}  // namespace holdfast::access
