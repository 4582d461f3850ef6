// The node's role of this program: everything but the keeper. main() calls it, the keeper starts
// it.
#pragma once

#include <string>

#include "runtime/network.h"

namespace holdfast::cli {

struct NodeOptions {
    std::string name;
    std::string data_directory;
    runtime::Endpoint rest;
    std::string keeper_program;  // To start again should the keeper die.
};

// Until the keeper asks it to leave. Returns the exit code.
int run_node(const NodeOptions& options);

}  // namespace holdfast::cli
