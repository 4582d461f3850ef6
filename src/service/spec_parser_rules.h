// What each key does: reads its value and puts it into the spec being made. And the checks that
// look at several keys at once.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "service/spec.h"
#include "service/spec_parser.h"
#include "service/spec_parser_read.h"

namespace holdfast::service {

// A spec in the making. Defaults that depend on other keys are filled in by check_draft().
struct Draft {
    Spec spec;
    std::optional<Duration> probe_timeout;
    std::optional<DeploySpec::Strategy> strategy;
    // Keys that the file names, tables included, whether or not their values were accepted.
    std::map<std::string, Place, std::less<>> places;

    bool names(std::string_view key) const { return places.contains(key); }
};

using Problem = std::optional<Refusal>;

struct Rule {
    std::string_view path;
    Problem (*read)(const TomlValue& value, Draft& draft);
};

// Of the keys that take effect, and of those whose values are only checked.
std::span<const Rule> available_rules();
std::span<const Rule> later_rules();

// Fills in what depends on several keys, and says what does not fit together.
Diagnostics check_draft(Draft& draft);

}  // namespace holdfast::service
