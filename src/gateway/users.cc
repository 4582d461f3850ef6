#include "gateway/users.h"

#include <fmt/format.h>

#include "runtime/random.h"

namespace holdfast::gateway {

runtime::Task<Result<std::vector<access::User>>> Users::list() {
    HF_CO_TRY(auto listing, co_await coordinator_.list(std::string(access::users_prefix)));
    std::vector<access::User> users;
    for (const auto& entry : listing.entries) {
        auto name = entry.key.substr(access::users_prefix.size());
        HF_CO_TRY(auto user, access::decode_user(std::move(name), entry.value));
        users.push_back(std::move(user));
    }
    co_return users;
}

runtime::Task<Result<access::NewUser>> Users::create(std::string name, access::Role role) {
    auto key = access::user_key(name);
    auto made = access::make_user(
        std::move(name), role, runtime::secret_bytes(access::user_random_bytes), clock_.wall_now());
    HF_CO_TRY(auto outcome,
              co_await coordinator_.commit({.when = {{.key = key, .modified = 0}},
                                            .then = {coord::put(key, access::encode(made.user))}}));
    if (outcome.applied) co_return made;
    co_return fail(Errc::conflict, fmt::format("there is a user {} already", made.user.name));
}

runtime::Task<Result<access::User>> Users::remove(std::string name) {
    auto key = access::user_key(name);
    auto missing = [&] { return fail(Errc::not_found, fmt::format("there is no user {}", name)); };
    HF_CO_TRY(auto entry, co_await coordinator_.get(key));
    if (!entry) co_return missing();
    // A damaged record goes as well, or nobody could ever be rid of it.
    auto user = access::decode_user(name, entry->value);
    HF_CO_TRY(auto outcome,
              co_await coordinator_.commit({.when = {{.key = key, .modified = entry->modified}},
                                            .then = {coord::erase(key)}}));
    if (!outcome.applied) co_return missing();
    if (!user)
        co_return access::User{.name = name,
                               .role = access::Role::viewer,
                               .access_key = {},
                               .secret_key = {},
                               .token_salt = {},
                               .token_hash = {},
                               .created = {}};
    co_return *std::move(user);
}

runtime::Task<Result<access::Principal>> Users::check(std::string token) {
    auto refused = [] { return fail(Errc::denied, "the token is not a valid one"); };
    auto name = access::name_in_token(token);
    if (!name) co_return refused();
    HF_CO_TRY(auto entry, co_await coordinator_.get(access::user_key(*name)));
    if (!entry) co_return refused();
    HF_CO_TRY(auto user, access::decode_user(*name, entry->value));
    if (!access::token_matches(user, token)) co_return refused();
    co_return access::Principal{.name = user.name, .role = user.role};
}

}  // namespace holdfast::gateway
