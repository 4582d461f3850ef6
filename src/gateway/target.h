// The target of a request, taken apart: "/v1/services/shop/logs?tail=10". Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace holdfast::gateway {

using Query = std::vector<std::pair<std::string, std::string>>;

struct Target {
    std::vector<std::string>
        segments;  // Decoded: {"v1", "services", "shop", "logs"}; "/" has none.
    Query query;   // Decoded, in order.
};

// Errc::invalid: a bad % sequence, an empty segment, a parameter given twice, or too much of it. A
// segment may hold anything once decoded, '/' and '..' included: it is a name, never a file's path.
Result<Target> parse_target(std::string_view target);

// Values of a query's parameters. Errc::invalid names the parameter.
std::optional<std::string_view> find(const Query& query, std::string_view name);
Result<bool> flag(const Query& query, std::string_view name);  // "true" or "false"; absent: false.
Result<std::optional<int>> number(const Query& query, std::string_view name, int most);  // From 0.

}  // namespace holdfast::gateway
