#include "runtime/clock.h"

#include "base/units.h"

namespace holdfast::runtime {

std::string took_longer(const std::string& what, Duration limit) {
    return what + " took longer than " + format_duration_rough(limit);
}

}  // namespace holdfast::runtime
