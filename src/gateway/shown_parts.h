// Pieces that several of the shown values have in common; for the .cc files of shown.h only.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "base/units.h"
#include "gateway/shown.h"
#include "health/utf8.h"

namespace holdfast::gateway::shown {

namespace json = boost::json;
using health::to_utf8;  // JSON is UTF-8; what services print need not be.

inline json::string time(WallTime at) {
    return json::string(format_wall_time(at));
}

inline double seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

inline json::array texts(const std::vector<std::string>& list) {
    json::array out;
    for (const auto& text : list) out.emplace_back(to_utf8(text));
    return out;
}

// Services and jobs together, by name.
json::array summaries(std::span<const service::ServiceView> servers,
                      std::span<const service::JobView> jobs, WallTime node_started);

}  // namespace holdfast::gateway::shown
