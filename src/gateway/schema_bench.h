// Judges JSON by the OpenAPI file's schemas: the part of JSON Schema that the file uses. A keyword
// it does not know is a complaint, so that no rule of the file is passed over.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace holdfast::gateway {

class SchemaCheck {
  public:
    explicit SchemaCheck(const boost::json::value& file) : file_(file) {}

    // What is wrong with the value; empty: nothing.
    std::vector<std::string> check(const boost::json::value& schema,
                                   const boost::json::value& value) {
        complaints_.clear();
        judge(schema.as_object(), value, "body");
        return complaints_;
    }

    const boost::json::value& resolve(const boost::json::value& item) const {
        const auto* reference = item.as_object().if_contains("$ref");
        if (reference == nullptr) return item;
        return resolve(file_.at_pointer(reference->as_string().subview(1)));
    }

  private:
    using Object = boost::json::object;
    using Value = boost::json::value;

    void complain(const std::string& where, std::string what) {
        complaints_.push_back(where + ": " + std::move(what));
    }

    void judge(const Object& schema, const Value& value, const std::string& where) {
        constexpr std::array known = {
            "$ref",    "type",       "enum",        "required",
            "items",   "properties", "description", "additionalProperties",
            "minimum", "maximum",    "default",     "example",
            "format",  "allOf"};
        for (const auto& [key, rule] : schema) {
            if (std::ranges::find(known, std::string_view(key)) == known.end()) {
                complain(where, fmt::format("keyword {} is not checked", std::string_view(key)));
            }
        }
        if (const auto* reference = schema.if_contains("$ref")) {
            return judge(file_.at_pointer(reference->as_string().subview(1)).as_object(), value,
                         where);
        }
        if (const auto* parts = schema.if_contains("allOf")) {
            for (const auto& part : parts->as_array()) judge(part.as_object(), value, where);
        }
        judge_type(schema, value, where);
        judge_bounds(schema, value, where);
        if (value.is_object()) judge_object(schema, value.as_object(), where);
        const auto* items = schema.if_contains("items");
        for (std::size_t i = 0; items != nullptr && value.is_array() && i < value.as_array().size();
             ++i) {
            judge(items->as_object(), value.as_array()[i], fmt::format("{}[{}]", where, i));
        }
    }

    void judge_type(const Object& schema, const Value& value, const std::string& where) {
        const auto* type = schema.if_contains("type");
        if (type == nullptr) return;
        const std::string_view name = type->as_string();
        bool whole = value.is_int64() || value.is_uint64();
        bool good =
            (name == "string" && value.is_string()) || (name == "integer" && whole) ||
            (name == "number" && value.is_number()) || (name == "boolean" && value.is_bool()) ||
            (name == "array" && value.is_array()) || (name == "object" && value.is_object());
        if (!good) complain(where, fmt::format("is no {}", name));
    }

    void judge_bounds(const Object& schema, const Value& value, const std::string& where) {
        const auto* choices = schema.if_contains("enum");
        if (choices != nullptr &&
            std::ranges::find(choices->as_array(), value) == choices->as_array().end()) {
            complain(where, "is none of its enum: " + boost::json::serialize(value));
        }
        const auto* least = schema.if_contains("minimum");
        if (least != nullptr && value.is_number() &&
            value.to_number<double>() < least->to_number<double>()) {
            complain(where, "is less than its minimum");
        }
        const auto* format = schema.if_contains("format");
        if (format != nullptr && value.is_string() && format->as_string() == "date-time" &&
            !parse_wall_time(value.as_string())) {
            complain(where, "is no time");
        }
    }

    void judge_object(const Object& schema, const Object& value, const std::string& where) {
        if (const auto* required = schema.if_contains("required")) {
            for (const auto& key : required->as_array()) {
                if (!value.contains(key.as_string())) {
                    complain(where, "lacks " + std::string(std::string_view(key.as_string())));
                }
            }
        }
        const auto* properties = schema.if_contains("properties");
        const auto* others = schema.if_contains("additionalProperties");
        for (const auto& [key, item] : value) {
            auto place = where + "." + std::string(std::string_view(key));
            const auto* rule =
                properties == nullptr ? nullptr : properties->as_object().if_contains(key);
            if (rule != nullptr) {
                judge(rule->as_object(), item, place);
            } else if (others != nullptr && others->is_object()) {
                judge(others->as_object(), item, place);
            } else if (others != nullptr && !others->as_bool()) {
                complain(place, "is not in the file");
            }
        }
    }

    const Value& file_;
    std::vector<std::string> complaints_;
};

}  // namespace holdfast::gateway
