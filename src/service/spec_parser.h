// From the text of a service's TOML file to a Spec, or to everything that is wrong with it at once.
//
// Every key of the contract is known here, also those whose feature is not available yet: their
// values are checked like all others, and then they are refused by name. A file is never accepted
// with a part of it ignored, because its author would believe that part to be in force. An unknown
// key is refused with the nearest known one. spec_keys.h lists the keys.
//
// Pure: no files are read, and whether users or programs exist is for the machine that starts them.
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "service/spec.h"

namespace holdfast::service {

inline constexpr std::size_t spec_bytes_max = 128 * 1024;
inline constexpr std::size_t diagnostics_most = 100;  // Then one that counts the others.

// One thing wrong with a file. Lines and columns count from 1; 0 where there is no one place.
struct Diagnostic {
    unsigned line = 0;
    unsigned column = 0;
    std::string key;     // Dotted, "listen.http"; empty for an error of syntax.
    std::string reason;  // With an example, or with the nearest known key.

    bool operator==(const Diagnostic&) const = default;
};

// In the order of the file, never empty.
using Diagnostics = std::vector<Diagnostic>;

// "shop.toml:3:1: unknown key "commnad"; did you mean "command"?", one line each.
std::string format_diagnostics(const Diagnostics& diagnostics, std::string_view file);

// An error of syntax hides everything after it, so then it is the only one reported.
std::expected<Spec, Diagnostics> parse_spec(std::string_view text);

// The same as a Result: Errc::invalid with format_diagnostics() as its message.
Result<Spec> parse_spec(std::string_view text, std::string_view file);

// The rule for names of services: [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 characters, as in DNS.
bool valid_service_name(std::string_view name);

// Why the spec cannot run as so many instances; Errc::invalid says what would have to change.
Result<void> check_instances(const Spec& spec, int instances);

// Name and value. An instance's are PORT (with `listen`), HOLDFAST_SERVICE, HOLDFAST_INSTANCE,
// HOLDFAST_NODE and HOLDFAST_EPOCH.
using Variables = std::vector<std::pair<std::string, std::string>>;

// Replaces each ${NAME}. Nothing else is special: not $NAME, not a lone $. A literal "${" is
// written
// "$${". Errc::invalid for an unknown name, and for a ${ that no NAME} follows.
Result<std::string> expand(std::string_view text, const Variables& variables);

// A spec's command and environment as one instance gets them: values of `env` may name the
// instance's variables, arguments of `command` those and `env` itself. `env` is in the order of the
// file, and without the instance's variables: the caller sets those as well, and PATH if `env` has
// none.
struct Expanded {
    std::vector<std::string> command;
    std::vector<std::pair<std::string, std::string>> env;
};
Result<Expanded> expand(const Spec& spec, const Variables& variables);

}  // namespace holdfast::service
