#include "cli/version.h"

#include <fmt/format.h>

#include "keeper/build_id.h"

namespace holdfast::cli {

std::string version_line() {
    constexpr std::size_t shown = 12;
    return fmt::format("holdfast {} (build {})", release, keeper::own_build_id().substr(0, shown));
}

}  // namespace holdfast::cli
