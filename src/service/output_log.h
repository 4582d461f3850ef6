// What services print: taken from the keeper, kept in files, read back and followed.
//
// DATA/logs/SERVICE/INSTANCE.log holds lines such as
//
//     2026-11-21T00:09:42.123Z out listening on 8080
//
// The time is that of the line's first byte; the stream is `out`, `err`, or `log` for what Holdfast
// itself has to say there, such as how many bytes were lost. At a size the file is renamed to
// INSTANCE.log.1, that one to .2, and so on; the oldest goes.
//
// Never in anybody's way: taking output only appends to memory, which is bounded, and drops the
// oldest when the disk cannot follow, saying so in the file. One task writes. Nothing is synced: a
// power cut may take the last seconds of a log.
//
// Lives on one event loop. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "runtime/clock.h"
#include "runtime/completion.h"
#include "runtime/disk.h"
#include "runtime/process.h"
#include "runtime/task.h"

namespace holdfast::service {

struct OutputLogOptions {
    std::string directory = "logs";  // In the disk's tree.
    std::uint64_t file_bytes_max = 8 << 20;
    int files_max = 4;                      // Per instance, the current one included.
    std::size_t line_bytes_max = 16 << 10;  // Longer lines are cut into several.
    std::size_t queue_bytes_max = 1 << 20;  // Per instance, of lines waiting for the disk.
    Duration partial_wait = std::chrono::milliseconds(500);  // Then an unfinished line is written.
};

struct OutputLine {
    WallTime at;
    std::string stream;  // "out", "err" or "log"
    std::string text;
    int instance = 0;

    bool operator==(const OutputLine&) const = default;
};

struct OutputQuery {
    std::optional<int> instance;   // None: all, merged by time.
    std::size_t lines_max = 1000;  // The last so many.
    std::optional<WallTime> since;
};

// Lines as they come, from the moment of its making. A reader that is too slow misses the oldest
// and gets a `log` line that says how many.
class OutputFeed {
  public:
    virtual ~OutputFeed() = default;
    virtual runtime::Task<OutputLine> next() = 0;  // One caller; no end.
};

class OutputLog {
  public:
    // Both outlive it.
    OutputLog(runtime::Disk& disk, runtime::Clock& clock, OutputLogOptions options);
    ~OutputLog();
    OutputLog(const OutputLog&) = delete;
    OutputLog& operator=(const OutputLog&) = delete;

    // Writes what is taken; ends only by being destroyed.
    runtime::Task<void> run();

    void take(const std::string& service, int instance, const runtime::RunOutput& output);
    // A line of our own, such as "started as pid 12" or "exited with code 1".
    void say(const std::string& service, int instance, WallTime at, std::string text);
    // The run has ended: what it left unfinished is a line.
    void end_run(const std::string& service, int instance);

    // Oldest first, what still waits for the disk included. not_found: nothing was ever printed.
    runtime::Task<Result<std::vector<OutputLine>>> read(std::string service, OutputQuery query);
    std::unique_ptr<OutputFeed> follow(std::string service, std::optional<int> instance);

    // Everything taken so far is in the files.
    runtime::Task<void> flush();
    // Removes the service's files, once it has been deleted.
    runtime::Task<Result<void>> remove(std::string service);

    std::uint64_t dropped_bytes() const;  // Since the start, for want of a disk that follows.

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::service
