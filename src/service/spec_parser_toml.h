// A TOML file as plain values with their places in the text. toml++ stays behind this header: it
// costs seconds of compilation, and keeps tables by name, where the order of the file matters to
// us.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "service/spec_parser.h"

namespace holdfast::service {

struct Place {
    unsigned line = 0;
    unsigned column = 0;

    auto operator<=>(const Place&) const = default;
};

struct TomlMember;

struct TomlValue {
    using Array = std::vector<TomlValue>;
    using Table = std::vector<TomlMember>;  // In the order of the file.
    struct Other {                          // A date or a time: no key takes one.
        std::string kind;
    };
    std::variant<std::string, std::int64_t, double, bool, Array, Table, Other> is;
    Place place;

    template <class T>
    const T* as() const {
        return std::get_if<T>(&is);
    }
};

struct TomlMember {
    std::string key;
    Place place;
    TomlValue value;
};

// Errors of syntax carry no key.
std::expected<TomlValue::Table, Diagnostic> parse_toml(std::string_view text);

// What a value is, for messages: `the text "8080"`, `the number 30`, `a table`.
std::string describe(const TomlValue& value);

// Text as a TOML string on one line: quoted, with everything that would break it escaped.
std::string toml_quoted(std::string_view text);

// A key as TOML writes it: bare where that is possible.
std::string toml_key(std::string_view key);

}  // namespace holdfast::service
