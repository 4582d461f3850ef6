// What the kernel says of this process. Linux: /proc/self.
#pragma once

#include <cstdint>

#include "base/metrics.h"

namespace holdfast::gateway {

struct ProcessStats {
    std::uint64_t resident_bytes = 0;
    double cpu_seconds = 0;  // User and system.
    std::uint64_t open_files = 0;
    std::uint64_t threads = 0;
};

// Reads a few short files, which never block. What cannot be read is 0.
ProcessStats own_process_stats();

// Keeps holdfast_process_* up to date with every exposition.
void measure_process(MetricRegistry& metrics);

}  // namespace holdfast::gateway
