// Every key of a service's file: the one table behind docs/spec.md, the parser's examples and its
// nearest-key suggestions. A test holds the parser to it.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace holdfast::service {

struct SpecKey {
    std::string_view path;     // Dotted: "listen.http". "env" and its like hold any names.
    std::string_view type;     // For people, with its range: "duration, 10ms to 1h".
    std::string_view initial;  // The default as TOML; or in words, in parentheses: "(none)".
    std::string_view example;  // An accepted value, as TOML.
    bool available;            // False: checked, then refused with "not available yet".
    std::string_view about;    // One line.
};

// In the order in which docs/spec.md shows them: tables together.
std::span<const SpecKey> spec_keys();

// Null if there is no such key.
const SpecKey* find_spec_key(std::string_view path);

// The reference page docs/spec.md.
std::string spec_reference();

}  // namespace holdfast::service
