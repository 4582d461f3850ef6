#include "gateway/bodies.h"
#include "gateway/calls.h"
#include "gateway/shown.h"

namespace holdfast::gateway {

Answered AdminCalls::list_users(Call) {
    HF_CO_TRY(auto users, co_await users_.list());
    co_return json_response(users_json(users));
}

Answered AdminCalls::create_user(Call call) {
    HF_CO_TRY(auto wanted, parse_new_user(call.body));
    HF_CO_TRY(auto made, co_await users_.create(std::move(wanted.name), wanted.role));
    co_return json_response(user_keys_json(made), 201);
}

Answered AdminCalls::delete_user(Call call) {
    auto gone = co_await users_.remove(call.name());
    if (!gone && gone.error().code == Errc::not_found) {
        co_return refuse(gone.error(), "`holdfast user list` lists the users");
    }
    if (!gone) co_return std::unexpected(gone.error());
    co_return json_response(user_json(*gone));
}

Answered AdminCalls::list_settings(Call) {
    HF_CO_TRY(auto settings, co_await settings_.list());
    co_return json_response(settings_json(settings));
}

namespace {

Result<Response> answer_setting(const Result<coord::SettingValue>& setting) {
    if (setting) return json_response(setting_json(*setting));
    if (setting.error().code == Errc::not_found) {
        return refuse(setting.error(), "`holdfast settings` lists the settings");
    }
    return std::unexpected(setting.error());
}

}  // namespace

Answered AdminCalls::show_setting(Call call) {
    co_return answer_setting(co_await settings_.get(call.name()));
}

Answered AdminCalls::set_setting(Call call) {
    HF_CO_TRY(auto wanted, parse_new_setting(call.body));
    co_return answer_setting(co_await settings_.set(call.name(), std::move(wanted.value)));
}

Answered AdminCalls::reset_setting(Call call) {
    co_return answer_setting(co_await settings_.reset(call.name()));
}

}  // namespace holdfast::gateway
