#include "gateway/bodies.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <limits>
#include <map>

#include "access/user.h"
#include "base/nearest.h"

namespace holdfast::gateway {
namespace {

namespace json = boost::json;

// Takes a key's value, or says what it should have been.
using Take = std::function<Result<void>(const json::value&)>;

struct Key {
    std::string_view name;
    Take take;
    bool required = false;
};

std::unexpected<Error> unknown_key(std::string_view name, const std::vector<Key>& keys) {
    std::vector<std::string_view> names;
    for (const auto& key : keys) names.push_back(key.name);
    auto nearest = nearest_word(name, names);
    return fail(Errc::invalid, fmt::format("the body has an unknown key \"{}\"{}", name,
                                           nearest ? fmt::format("; did you mean \"{}\"?", *nearest)
                                                   : std::string()));
}

Result<json::object> parse_object(std::string_view body) {
    if (body.find_first_not_of(" \t\r\n") == body.npos) return json::object();
    boost::system::error_code failed;
    auto value = json::parse(body, failed, {}, {.max_depth = 8});
    if (failed) {
        return fail(Errc::invalid, fmt::format("the body is not JSON: {}", failed.message()));
    }
    if (!value.is_object()) return fail(Errc::invalid, "the body is not a JSON object");
    return std::move(value.get_object());
}

Result<void> read_body(std::string_view body, const std::vector<Key>& keys) {
    HF_TRY(auto object, parse_object(body));
    for (const auto& [name, value] : object) {
        auto known = std::ranges::find(keys, std::string_view(name), &Key::name);
        if (known == keys.end()) return unknown_key(name, keys);
        HF_TRY_VOID(known->take(value));
    }
    for (const auto& key : keys) {
        if (key.required && !object.contains(key.name)) {
            return fail(Errc::invalid, fmt::format("the body lacks the key \"{}\"", key.name));
        }
    }
    return {};
}

std::unexpected<Error> not_a(std::string_view name, std::string_view what) {
    return fail(Errc::invalid, fmt::format("\"{}\" is not {}", name, what));
}

Take take_text(std::string_view name, std::string& into) {
    return [name, &into](const json::value& value) -> Result<void> {
        if (!value.is_string()) return not_a(name, "a string");
        into = std::string_view(value.get_string());
        return {};
    };
}

Take take_texts(std::string_view name, std::vector<std::string>& into) {
    return [name, &into](const json::value& value) -> Result<void> {
        if (!value.is_array()) return not_a(name, "an array of strings");
        for (const auto& item : value.get_array()) {
            if (!item.is_string()) return not_a(name, "an array of strings");
            into.emplace_back(std::string_view(item.get_string()));
        }
        return {};
    };
}

template <class Number>
Take take_number(std::string_view name, std::int64_t least, Number& into) {
    return [name, least, &into](const json::value& value) -> Result<void> {
        auto most = static_cast<std::int64_t>(std::numeric_limits<std::int32_t>::max());
        if (!value.is_int64() || value.get_int64() < least || value.get_int64() > most) {
            return not_a(name, fmt::format("a whole number from {}", least));
        }
        into = static_cast<std::int32_t>(value.get_int64());
        return {};
    };
}

Take not_yet(std::string_view name, std::string_view feature) {
    return [name, feature](const json::value&) {
        return fail(Errc::invalid,
                    fmt::format("\"{}\" is not available yet: it comes with {}", name, feature));
    };
}

}  // namespace

Result<DeployBody> parse_deploy(std::string_view body) {
    DeployBody deploy;
    auto take_env = [&](const json::value& value) -> Result<void> {
        if (!value.is_object()) return not_a("env", "an object of strings");
        for (const auto& [name, text] : value.get_object()) {
            if (!text.is_string()) return not_a("env", "an object of strings");
            deploy.env.emplace_back(std::string_view(name), std::string_view(text.get_string()));
        }
        return {};
    };
    HF_TRY_VOID(
        read_body(body, {{.name = "env", .take = take_env},
                         {.name = "command", .take = take_texts("command", deploy.command)}}));
    return deploy;
}

Result<RollbackBody> parse_rollback(std::string_view body) {
    RollbackBody rollback;
    HF_TRY_VOID(read_body(body, {{.name = "to", .take = take_number("to", 1, rollback.to)}}));
    return rollback;
}

Result<RestartBody> parse_restart(std::string_view body) {
    std::optional<std::string> mode;
    auto take_mode = [&](const json::value& value) -> Result<void> {
        if (!value.is_string()) return not_a("mode", "a string");
        mode = std::string(std::string_view(value.get_string()));
        return {};
    };
    HF_TRY_VOID(read_body(body, {{.name = "mode", .take = take_mode}}));
    if (!mode) return RestartBody{};
    if (*mode == "hot") return RestartBody{RestartWish::hot};
    if (*mode == "cold") return RestartBody{RestartWish::cold};
    return fail(Errc::invalid, fmt::format("\"mode\" is \"hot\" or \"cold\", not \"{}\"", *mode));
}

Result<ScaleBody> parse_scale(std::string_view body) {
    ScaleBody scale;
    HF_TRY_VOID(read_body(body, {{.name = "instances",
                                  .take = take_number("instances", 0, scale.instances),
                                  .required = true}}));
    return scale;
}

Result<NewUserBody> parse_new_user(std::string_view body) {
    NewUserBody user;
    auto take_role = [&](const json::value& value) -> Result<void> {
        auto role = value.is_string() ? access::parse_role(value.get_string()) : std::nullopt;
        if (!role) return not_a("role", "\"admin\", \"operator\" or \"viewer\"");
        user.role = *role;
        return {};
    };
    HF_TRY_VOID(
        read_body(body, {{.name = "name", .take = take_text("name", user.name), .required = true},
                         {.name = "role", .take = take_role},
                         {.name = "bucket", .take = not_yet("bucket", "S3")},
                         {.name = "prefix", .take = not_yet("prefix", "S3 and the Redis protocol")},
                         {.name = "commands", .take = not_yet("commands", "the Redis protocol")}}));
    HF_TRY_VOID(access::check_user_name(user.name));
    return user;
}

Result<NewSettingBody> parse_new_setting(std::string_view body) {
    NewSettingBody setting;
    HF_TRY_VOID(read_body(
        body, {{.name = "value", .take = take_text("value", setting.value), .required = true}}));
    return setting;
}

}  // namespace holdfast::gateway
