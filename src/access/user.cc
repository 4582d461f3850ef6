#include "access/user.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>

#include "base/bytes.h"
#include "base/check.h"
#include "base/units.h"

namespace holdfast::access {
namespace {

namespace json = boost::json;

constexpr std::string_view token_prefix = "hft_";
constexpr std::size_t salt_bytes = 16;
constexpr std::size_t token_bytes = 32;
constexpr std::size_t secret_key_bytes = 24;
constexpr std::size_t access_key_bytes = 9;
static_assert(salt_bytes + token_bytes + secret_key_bytes + access_key_bytes == user_random_bytes);

Sha256 hash_token(std::string_view salt, std::string_view token) {
    return sha256(std::string(salt).append(token));
}

bool good_name(std::string_view name) {
    auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    if (name.empty() || name.size() > 63 || !plain(name.front())) return false;
    return std::ranges::all_of(
        name, [&](char c) { return plain(c) || c == '-' || c == '.' || c == '_'; });
}

std::string upper(std::string text) {
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
}

// The record's fields, all of them text.
struct Fields {
    std::string role, access_key, secret_key, token_salt, token_hash, created;

    std::string* named(std::string_view name) {
        if (name == "role") return &role;
        if (name == "access_key") return &access_key;
        if (name == "secret_key") return &secret_key;
        if (name == "token_salt") return &token_salt;
        if (name == "token_hash") return &token_hash;
        if (name == "created") return &created;
        return nullptr;
    }
};

Result<Fields> read_fields(std::string_view text) {
    boost::system::error_code failed;
    auto parsed = json::parse(text, failed);
    if (failed || !parsed.is_object()) return fail(Errc::corrupt, "it is not a JSON object");
    Fields fields;
    for (const auto& [key, value] : parsed.get_object()) {
        auto* field = fields.named(key);
        if (field == nullptr || !value.is_string()) {
            return fail(Errc::corrupt, fmt::format("this release does not know its field \"{}\"",
                                                   std::string_view(key)));
        }
        *field = std::string_view(value.get_string());
    }
    return fields;
}

Result<User> assemble(std::string name, const Fields& fields) {
    User user{.name = std::move(name),
              .role = Role::viewer,
              .access_key = fields.access_key,
              .secret_key = fields.secret_key,
              .token_salt = {},
              .token_hash = {},
              .created = {}};
    auto role = parse_role(fields.role);
    auto salt = from_hex(fields.token_salt);
    auto hash = from_hex(fields.token_hash);
    auto created = parse_wall_time(fields.created);
    if (!role) return fail(Errc::corrupt, "its role is none");
    if (!salt || salt->size() != salt_bytes) return fail(Errc::corrupt, "its salt is damaged");
    if (!hash || hash->size() != user.token_hash.bytes.size()) {
        return fail(Errc::corrupt, "its token's hash is damaged");
    }
    if (!created) return fail(Errc::corrupt, "its time is damaged");
    if (user.access_key.empty() || user.secret_key.empty()) {
        return fail(Errc::corrupt, "its keys are missing");
    }
    user.role = *role;
    user.token_salt = *salt;
    std::ranges::copy(*hash, user.token_hash.bytes.begin());
    user.created = *created;
    return user;
}

}  // namespace

Result<void> check_user_name(std::string_view name) {
    if (good_name(name)) return {};
    return fail(Errc::invalid,
                fmt::format("\"{}\" cannot be a user's name: lower-case letters, digits, and after "
                            "the first also - . _, at most 63, such as \"ann\"",
                            name.substr(0, 80)));
}

NewUser make_user(std::string name, Role role, std::string_view random, WallTime now) {
    HF_CHECK(random.size() == user_random_bytes);
    HF_CHECK(good_name(name));
    ByteReader reader(random);
    auto salt = reader.take(salt_bytes);
    auto token = fmt::format("{}{}.{}", token_prefix, name, to_hex(reader.take(token_bytes)));
    auto secret_key = to_hex(reader.take(secret_key_bytes));
    auto access_key = "HF" + upper(to_hex(reader.take(access_key_bytes)));
    auto hash = hash_token(salt, token);
    return {.user = {.name = std::move(name),
                     .role = role,
                     .access_key = std::move(access_key),
                     .secret_key = std::move(secret_key),
                     .token_salt = std::string(salt),
                     .token_hash = hash,
                     .created = std::chrono::floor<std::chrono::milliseconds>(now)},
            .token = std::move(token)};
}

std::optional<std::string> name_in_token(std::string_view token) {
    if (!token.starts_with(token_prefix)) return std::nullopt;
    token.remove_prefix(token_prefix.size());
    auto dot = token.rfind('.');
    if (dot == token.npos || !good_name(token.substr(0, dot))) return std::nullopt;
    return std::string(token.substr(0, dot));
}

bool same_secret(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool token_matches(const User& user, std::string_view token) {
    auto hash = hash_token(user.token_salt, token);
    return CRYPTO_memcmp(hash.bytes.data(), user.token_hash.bytes.data(), hash.bytes.size()) == 0;
}

std::string encode(const User& user) {
    return json::serialize(json::object{{"role", role_name(user.role)},
                                        {"access_key", user.access_key},
                                        {"secret_key", user.secret_key},
                                        {"token_salt", to_hex(user.token_salt)},
                                        {"token_hash", user.token_hash.hex()},
                                        {"created", format_wall_time(user.created)}});
}

Result<User> decode_user(std::string name, std::string_view json) {
    auto named = [key = user_key(name)](const Error& error) {
        return fail(error.code,
                    fmt::format("the record {} cannot be used: {}", key, error.message));
    };
    auto fields = read_fields(json);
    if (!fields) return named(fields.error());
    auto user = assemble(std::move(name), *fields);
    if (!user) return named(user.error());
    return user;
}

std::string user_key(std::string_view name) {
    return std::string(users_prefix).append(name);
}

}  // namespace holdfast::access
