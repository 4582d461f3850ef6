// The JSON bodies of requests. Pure.
//
// A key that is not known is an error, like everywhere: what was ignored would be believed to be in
// force. Errc::invalid says which key and what it should be.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access/role.h"
#include "base/result.h"

namespace holdfast::gateway {

struct DeployBody {
    std::vector<std::pair<std::string, std::string>> env;
    std::vector<std::string> command;
};
struct RollbackBody {
    std::optional<std::uint32_t> to;
};
enum class RestartWish { by_spec, hot, cold };
struct RestartBody {
    RestartWish mode = RestartWish::by_spec;
};
struct ScaleBody {
    int instances = 0;
};
struct NewUserBody {
    std::string name;
    access::Role role = access::Role::viewer;
};
struct NewSettingBody {
    std::string value;
};

// An empty body is an empty object, where nothing is required.
Result<DeployBody> parse_deploy(std::string_view body);
Result<RollbackBody> parse_rollback(std::string_view body);
Result<RestartBody> parse_restart(std::string_view body);
Result<ScaleBody> parse_scale(std::string_view body);
// `bucket`, `prefix` and `commands` restrict what S3 and Redis clients may do. Neither is there
// yet, so they are refused: a user who was thought to be restricted must not turn out not to be.
Result<NewUserBody> parse_new_user(std::string_view body);
Result<NewSettingBody> parse_new_setting(std::string_view body);

}  // namespace holdfast::gateway
