// A keeper on a directory of its own, and this test process as its node.
//
// The keeper is the real executable. The rig is adopted as the node (--adopt), so that the test
// itself speaks over a KeeperLink; tests of the node's own death use testing/node.cc instead. Every
// wait has a deadline and fails the test when it passes.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "keeper/control.h"
#include "keeper/link.h"
#include "keeper/table.h"
#include "runtime/process/system.h"
#include "runtime/real/loop.h"

namespace holdfast::keeper::testing {

using namespace runtime::process;

using namespace std::chrono_literals;

// Removed with all in it; processes of keepers on it are killed first.
class TempDir {
  public:
    TempDir();
    ~TempDir();
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// Polls until it is true; the machine's processes have no events to wait for. Fails after 10 s.
bool eventually(const std::function<bool()>& condition);

bool alive(int pid);    // Runs; a zombie does not.
std::string program();  // testing/program.c
std::string keeper_binary();
std::string node_binary();  // testing/node.cc

// Starts the executable with standard output and error at `output` (or inherited); returns its pid.
int spawn(const std::vector<std::string>& words, int output = -1, bool session = true);
// SIGKILL, and wait for it.
void kill_hard(int pid);

struct RigOptions {
    std::vector<std::string> flags;  // Of the keeper.
    bool started = true;
};

class Rig {
  public:
    explicit Rig(RigOptions options = {});
    ~Rig();

    KeeperLink& link() { return *link_; }
    const std::string& dir() const { return dir_.path(); }
    int keeper_pid();
    void start_keeper();
    void new_link();  // As if the node had been restarted.
    void drop_link();

    // Runs the loop until the task is done.
    template <class T>
    Result<T> await(runtime::Task<Result<T>> task) {
        return loop_.complete(runtime::within(loop_.clock(), 20s, "the test", std::move(task)));
    }
    runtime::LaunchSpec spec(runtime::RunId run, std::vector<std::string> args,
                             std::string slot = "");
    runtime::RunReport launch(runtime::LaunchSpec spec);  // Fails the test if it fails.
    runtime::RunReport launch(runtime::RunId run, std::vector<std::string> args) {
        return launch(spec(run, std::move(args)));
    }
    // Reads events until the run's exit. Output on the way is added to out_, err_.
    runtime::Exit exit_of(runtime::RunId run);
    // Until the run's output contains the text; returns what follows it in its line.
    std::string output_after(runtime::RunId run, const std::string& text);
    runtime::Notified notified(runtime::RunId run,
                               std::function<bool(const runtime::Notified&)> enough);
    runtime::RunReport report(runtime::RunId run);
    std::string& out(runtime::RunId run) { return out_[run]; }
    std::string& err(runtime::RunId run) { return err_[run]; }
    std::uint64_t lost(runtime::RunId run) { return lost_[run]; }
    runtime::EventLoop& loop() { return loop_; }

  private:
    runtime::ProcessEvent next_event();

    TempDir dir_;
    RigOptions options_;
    runtime::EventLoop loop_;
    std::unique_ptr<runtime::TaskGroup> tasks_;
    std::unique_ptr<KeeperLink> link_;
    std::map<runtime::RunId, std::string> out_, err_;
    std::map<runtime::RunId, std::uint64_t> lost_;
    std::map<runtime::RunId, runtime::Exit> exits_;
    std::map<runtime::RunId, runtime::Notified> notified_;
};

}  // namespace holdfast::keeper::testing
