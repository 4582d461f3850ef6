// One instance's output on the disk: appending with rotation, and reading back from the end.
//
// Stateless between calls, so that a file which was moved or removed by hand does no harm.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/disk.h"
#include "runtime/task.h"
#include "service/output_log.h"

namespace holdfast::service {

// "2026-11-21T00:09:42.123Z out listening\n"
std::string format_output_line(const OutputLine& line);
std::optional<OutputLine> parse_output_line(std::string_view text);  // Without the newline.

struct OutputFile {
    runtime::Disk& disk;
    std::string directory;  // "logs/shop"
    std::string name;       // "0.log"
    std::uint64_t bytes_max;
    int files_max;
};

// Makes the directory if there is none; renames first when the text would not fit. The text may be
// larger than a file should be: then it is a file of its own.
runtime::Task<Result<void>> append(OutputFile file, std::string text);

// Of all instances in the directory, or one; merged by time. not_found: no output of it is kept.
runtime::Task<Result<std::vector<OutputLine>>> read_output(runtime::Disk& disk,
                                                           std::string directory,
                                                           OutputQuery query);

}  // namespace holdfast::service
