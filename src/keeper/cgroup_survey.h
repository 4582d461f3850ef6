// Which limits this machine would let a keeper enforce: for `doctor`. Changes nothing.
#pragma once

#include <string>
#include <vector>

namespace holdfast::keeper {

// Of "memory", "cpu", "kill": those whose hierarchy this process may make groups in.
std::vector<std::string> writable_controllers();

}  // namespace holdfast::keeper
