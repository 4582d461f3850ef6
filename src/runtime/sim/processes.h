// The processes of a simulated machine, and the keeper that keeps them.
//
// Programs are behaviours a test writes down: when it is ready, when and how it ends, what it says,
// whether it heeds SIGTERM. A behaviour is chosen by the command's first word at each launch.
//
// The keeper here keeps the real one's promises (process.h): one live run per slot but for
// `beside`, the grace of a stop and the time limit of a run by its own timers, node or no node,
// exits until they are forgotten. When it is killed the processes run on, deadlines wait for its
// successor, and an end that comes meanwhile is seen by nobody: EndedBy::unknown. Calls made
// meanwhile wait.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/network.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "runtime/sim/schedule.h"

namespace holdfast::runtime {

// Times count from the launch. The default runs until it is told to stop, and is never ready.
struct Behaviour {
    struct Says {
        Duration after{};
        std::string line;  // "STATUS=warming up", "RELOADING=1", "WATCHDOG=trigger".
    };
    struct Prints {
        Duration after{};
        std::string bytes;
        OutputStream stream = OutputStream::out;
    };

    std::optional<Duration> ready_after{};  // READY=1.
    std::optional<Duration> exits_after{};
    int exit_code = 0;
    std::optional<int> exit_signal{};  // Instead of the code. SIGSEGV is of its own making.
    bool out_of_memory = false;        // That end is the kernel's OOM killer's.

    bool ignores_sigterm = false;
    Duration stops_within = std::chrono::milliseconds(10);  // Of SIGTERM ...
    std::optional<int> stop_code{};  // ... with this code; none: by the signal.

    std::optional<Duration> crashes_every{};  // On average, by SIGSEGV.
    std::optional<Duration> beats_every{};    // WATCHDOG=1.
    std::optional<Duration> beats_until{};    // Then it hangs: neither beats nor heeds SIGTERM.

    std::vector<Says> says{};
    std::vector<Prints> prints{};

    // Serves TCP at 127.0.0.1:${PORT}, or on the first socket it inherits, once it is ready: reads
    // a request, up to an empty line, and answers with this HTTP status. Until `beats_until`.
    std::optional<int> serves_status{};
};

class SimProcesses final : public Processes {
  public:
    // `host` is the clock by which processes and keeper live, `node` the one of the caller's tasks;
    // `network` the machine's own, with `host` as its clock.
    struct Edges {
        SimClock& host;
        SimClock& node;
        Network& network;
    };
    SimProcesses(Edges edges, Random random);
    ~SimProcesses() override;
    SimProcesses(const SimProcesses&) = delete;
    SimProcesses& operator=(const SimProcesses&) = delete;

    using Program = std::function<Behaviour(const LaunchSpec& spec)>;
    // From the next launch on. A command whose program is not installed is Errc::invalid.
    void install(std::string command, Program program);
    void install(std::string command, Behaviour behaviour);

    Task<Result<RunReport>> launch(LaunchSpec spec) override;
    Task<Result<void>> stop(RunId run, Duration grace, int signal) override;
    Task<Result<void>> kill(RunId run) override;
    Task<Result<void>> forget(RunId run) override;
    Task<Result<std::vector<RunReport>>> list() override;
    Task<Result<std::uint16_t>> open_socket(SocketSpec spec) override;
    Task<Result<void>> close_socket(std::string name) override;
    Task<Result<std::vector<SocketSpec>>> sockets() override;
    Task<Result<ProcessEvent>> next_event() override;

    // The world's doings.
    void strike(RunId run, int signal);  // A signal from outside; SIGSTOP makes it hang.
    void node_died();                    // What it was to be told is dropped; list() has the rest.
    void kill_keeper(Duration down);     // Another takes over after that long.
    // Everything ends. What was running is forgotten, or, if the keeper's table survived, listed
    // with an end that nobody saw.
    void power_off();

    // What really runs: how often the slot's program was started, and runs at this moment. An
    // oracle asserts that nothing runs twice.
    std::size_t starts(const std::string& slot) const;
    std::size_t live(const std::string& slot) const;
    RunId newest(const std::string& slot) const;  // Of the live runs; 0 if there is none.

  private:
    class Run;
    struct Socket;

    bool keeper_here() const { return !keeper_back_.armed(); }
    Task<void> reach_keeper();
    Task<void> answer();
    Result<void> may_start(const LaunchSpec& spec) const;
    Result<RunReport> start(LaunchSpec spec);
    void overdue(Run& run);
    static void arm_deadline(Run& run);
    void ended(Run& run, Exit exit);
    void tell(ProcessEvent event);
    void adopt();
    Run* live_run(RunId run) const;
    Run* serving_run(const std::string& socket);
    Task<void> share(Socket& socket);

    Edges edges_;
    Random random_;
    std::map<std::string, Program, std::less<>> programs_;
    std::set<RunId> used_;
    std::map<std::string, std::size_t> starts_;
    std::map<RunId, std::unique_ptr<Run>> runs_;
    std::map<std::string, std::unique_ptr<Socket>> sockets_;
    std::deque<ProcessEvent> events_;
    Wakeup told_;
    std::vector<Wakeup*> awaiting_keeper_;
    Timer keeper_back_;
    int last_pid_ = 1000;
};

}  // namespace holdfast::runtime
