#include "cli/json_fields.h"

#include <boost/json.hpp>

#include "base/units.h"

namespace holdfast::cli {

namespace json = boost::json;

const json::value& member_of(const json::value& object, std::string_view member) {
    static const json::value null;
    const auto* fields = object.if_object();
    if (!fields) return null;
    const auto* found = fields->if_contains(member);
    return found ? *found : null;
}

const json::array& list_of(const json::value& object, std::string_view member) {
    static const json::array empty;
    const auto* list = member_of(object, member).if_array();
    return list ? *list : empty;
}

std::string text_of(const json::value& object, std::string_view member) {
    const auto* text = member_of(object, member).if_string();
    return text ? std::string(text->data(), text->size()) : std::string();
}

std::int64_t number_of(const json::value& object, std::string_view member) {
    const auto& value = member_of(object, member);
    if (const auto* whole = value.if_int64()) return *whole;
    if (const auto* large = value.if_uint64()) return static_cast<std::int64_t>(*large);
    if (const auto* real = value.if_double()) return static_cast<std::int64_t>(*real);
    return 0;
}

double real_of(const json::value& object, std::string_view member) {
    const auto& value = member_of(object, member);
    if (const auto* real = value.if_double()) return *real;
    return static_cast<double>(number_of(object, member));
}

bool flag_of(const json::value& object, std::string_view member) {
    const auto* flag = member_of(object, member).if_bool();
    return flag && *flag;
}

std::optional<WallTime> time_of(const json::value& object, std::string_view member) {
    auto time = parse_wall_time(text_of(object, member));
    if (!time) return std::nullopt;
    return *time;
}

}  // namespace holdfast::cli
