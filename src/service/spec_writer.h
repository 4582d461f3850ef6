// A Spec as a TOML file with every default filled in: what `holdfast spec SERVICE --effective`
// prints, what a version in the catalog keeps, and what the differences in a plan are made of.
//
// parse_spec(write_spec(s)) == s for every s that parse_spec() returned. Because versions keep this
// text and not only their author's, a later release with other defaults changes no running service.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "service/spec.h"

namespace holdfast::service {

std::string write_spec(const Spec& spec);

// Dotted key and value as TOML writes it, in the order of write_spec(): {"health.every", "\"1s\""}.
std::vector<std::pair<std::string, std::string>> spec_fields(const Spec& spec);

}  // namespace holdfast::service
