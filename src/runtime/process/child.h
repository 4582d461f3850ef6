// Starting programs so that a keeper killed at any point leaves nothing running that it has not
// recorded, and so that nothing slow happens in the keeper.
//
// The forked child itself does all that may block: it looks up the user (a directory service may be
// slow), makes its FIFOs (a disk), and joins its cgroups. Then it says `Prepared` and waits. The
// keeper writes it into the table and releases it; if the keeper dies first, the child reads the
// end of the channel and exits. After the release it drops its user and executes; the channel
// closes by that, or brings the reason why not.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/process.h"
#include "runtime/process/cgroup.h"
#include "runtime/process/system.h"

namespace holdfast::runtime::process {

struct ChildPlan {
    runtime::LaunchSpec spec;
    std::string data_dir;
    std::string mark;  // Of the data directory: HOLDFAST_RUN=MARK.RUN.SLOT tells its processes.
    Cgroups cgroups;
    std::string oom_score_adj;
    std::vector<int> sockets;  // In the spec's order.
};

struct StartedChild {
    int pid = 0;
    Fd channel;
};

// What the child says before it waits, or why it ends.
struct Prepared {
    std::string failure;
    std::uint32_t uid = 0;
    std::uint64_t ooms = 0;
    std::vector<std::string> cgroups;
    std::vector<std::string> weakened;
    bool operator==(const Prepared&) const = default;
};
// As it travels over the channel, between two processes of one program.
std::string encode_prepared(const Prepared& prepared);
std::optional<Prepared> decode_prepared(std::string_view bytes);

Result<StartedChild> start_child(const ChildPlan& plan);
// The node: the keeper's user, group and output, a session of its own (Ctrl-C is the keeper's).
Result<StartedChild> start_node(const std::string& binary, const std::vector<std::string>& args,
                                const std::string& oom_score_adj);

std::string fifo_path(const std::string& data_dir, const std::string& mark, runtime::RunId run,
                      runtime::OutputStream stream);
std::string notify_name(const std::string& mark,
                        runtime::RunId run);  // Abstract: no leading '@' or 0.

// Which run of the keeper with this mark a process belongs to, by what it carries: the environment
// it was started with, the FIFO it writes to, or its cgroup; a program may have overwritten the
// first. 0: none. Does not allocate.
struct Marked {
    runtime::RunId run = 0;
    char slot[160] = {};  // Empty where only the FIFO told.
};
Marked run_of(int pid, const std::string& mark);

}  // namespace holdfast::runtime::process
