// `holdfast up`: becomes the keeper of a data directory, or hands a running one over to this build.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/machine_config.h"

namespace holdfast::cli {

// Where this program and the keeper's stand on the disk.
struct Programs {
    std::string node;    // This executable.
    std::string keeper;  // Beside it.
};
Result<Programs> find_programs();

// The arguments with which the keeper starts the node, argv[0] left out.
std::vector<std::string> node_arguments(const MachineConfig& config, const Programs& programs);

// Does not return when this process has become the keeper. Otherwise: 0 when a keeper already runs
// there and has this build, now or already; else an Error.
Result<int> run_up(const MachineConfig& config);

}  // namespace holdfast::cli
