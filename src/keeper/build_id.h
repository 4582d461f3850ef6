// Which build this executable is: what `up` compares to tell an upgrade from a second start.
#pragma once

#include <string>

namespace holdfast::keeper {

// Lower-case hexadecimal: the GNU build id where the linker left one, else a hash of the file. Of
// /proc/self/exe or of any executable; empty if it cannot be read.
std::string build_id_of(const std::string& executable);
inline std::string own_build_id() {
    return build_id_of("/proc/self/exe");
}

}  // namespace holdfast::keeper
