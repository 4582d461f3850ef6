// Members of a JSON object as values, with a fallback where they are missing or of another kind.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace holdfast::cli {

std::string text_of(const boost::json::value& object, std::string_view member);
std::int64_t number_of(const boost::json::value& object, std::string_view member);
double real_of(const boost::json::value& object, std::string_view member);
bool flag_of(const boost::json::value& object, std::string_view member);
std::optional<WallTime> time_of(const boost::json::value& object, std::string_view member);

// Null, the empty array, where there is none.
const boost::json::value& member_of(const boost::json::value& object, std::string_view member);
const boost::json::array& list_of(const boost::json::value& object, std::string_view member);

}  // namespace holdfast::cli
