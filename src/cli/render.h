// What the node answers, as people read it in a terminal. Pure: JSON in, text out.
//
// The JSON is that of docs/openapi: fields that may be missing there may be missing here; `now`
// turns instants into ages. Lines are at most `width` columns, except where a single word is
// longer.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "base/time.h"
#include "cli/doctor.h"

namespace holdfast::cli {

struct Page {
    WallTime now;
    std::size_t width = 80;
};

std::string render_status(const boost::json::value& status, const Page& page);
std::string render_services(const boost::json::value& services, const Page& page);
std::string render_service(const boost::json::value& service, const Page& page);
std::string render_history(const boost::json::value& versions, const Page& page);
std::string render_why(const boost::json::value& why, const Page& page);
std::string render_runs(const boost::json::value& runs, const Page& page);
std::string render_users(const boost::json::value& users, const Page& page);
std::string render_user_keys(const boost::json::value& keys);
std::string render_settings(const boost::json::value& settings, const Page& page);
std::string render_setting(const boost::json::value& setting);
std::string render_applied(const boost::json::value& applied);
std::string render_deleted(const boost::json::value& deleted);
std::string render_log_line(const boost::json::value& line);

std::string render_checks(const std::vector<Check>& checks);
boost::json::value checks_json(const std::vector<Check>& checks);

// {"error": {...}} as two lines: what is wrong, and what to do.
std::string render_error(const boost::json::value& body);

// Indented by two, members in the order they came.
std::string pretty(const boost::json::value& value);

}  // namespace holdfast::cli
