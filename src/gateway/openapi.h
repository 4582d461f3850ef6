// The text of openapi.json, as it was when the program was built.
#pragma once

#include <string_view>

namespace holdfast::gateway {

std::string_view openapi_json();

}  // namespace holdfast::gateway
