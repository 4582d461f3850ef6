// What this program is: printed by `holdfast version`, shown in status and metrics.
#pragma once

#include <string>

namespace holdfast::cli {

inline constexpr const char* release = HF_RELEASE;

// "holdfast 0.1.0 (build 1f0c9a2b3d4e)"
std::string version_line();

}  // namespace holdfast::cli
