// How one machine is set up: the file given by --config, and the flags of `up`, which win over it.
//
// Pure but for load(). Every key of the contract is known here. One whose feature is not there yet
// is refused, so that nobody believes in a setting that does nothing; an unknown one is refused
// with the nearest known one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/network.h"

namespace holdfast::cli {

struct MachineConfig {
    std::string name;            // Of this machine.
    std::string data_directory;  // Absolute.
    runtime::Endpoint rest;      // Where REST listens: a loopback address.
};

// What the file or the flags say; nothing where they say nothing.
struct MachineChoices {
    std::optional<std::string> name;
    std::optional<std::string> data_directory;
    std::optional<std::uint16_t> port_base;
    std::optional<runtime::Endpoint> rest;
};

// What the machine itself contributes where nobody chose.
struct MachineDefaults {
    std::string host_name;
    std::string data_directory;  // /var/lib/holdfast as root, else ~/.local/share/holdfast
    std::string working_directory;
};

// Errc::invalid lists every problem, a line each, as "FILE:LINE:COLUMN: reason".
Result<MachineChoices> parse_machine_file(std::string_view text, const std::string& file);

// Flags over file over defaults. Errc::invalid: a value that cannot be.
Result<MachineConfig> settle(const MachineChoices& flags, const MachineChoices& file,
                             const MachineDefaults& defaults);

// Reads the file and settles. With no `file`, /etc/holdfast/holdfast.toml if it is there.
Result<MachineConfig> load_machine_config(const std::optional<std::string>& file,
                                          const MachineChoices& flags);

// The sentence for a flag or key whose feature is still to come.
std::string not_available_yet(std::string_view what);

}  // namespace holdfast::cli
