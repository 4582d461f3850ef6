// One simulated process: its behaviour acted out by the timers of its machine.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/sim/processes.h"

namespace holdfast::runtime {

class SimProcesses::Run {
  public:
    // What a process tells whoever keeps it.
    struct Listener {
        std::function<void(Run&, const std::string& line)> notified;
        std::function<void(Run&, OutputStream stream, const std::string& bytes)> printed;
        std::function<void(Run&, Exit exit)> ended;  // Last; once.
        std::function<void(Run&)> serving;           // On an inherited socket.
        std::function<void(Run&)> overdue;           // Its `deadline` has come.
    };

    Run(Edges edges, Random random, LaunchSpec spec, Behaviour behaviour, int pid,
        Listener listener);
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

    void begin();
    bool alive() const { return alive_; }
    bool serves(const std::string& socket) const;
    void deliver(int signal, EndedBy sender);
    void vanish();  // With the machine: nobody is told.
    void converse(std::unique_ptr<Stream> stream);

    const LaunchSpec spec;
    RunReport report;                // What the keeper knows.
    std::optional<Instant> kill_at;  // The keeper's deadlines for it.
    std::optional<Instant> limit_at;
    Timer deadline;

  private:
    void at(Duration after, std::function<void()> act);
    void beat();
    void serve();
    void end(Exit exit);
    Task<void> accept_all(std::unique_ptr<runtime::Listener> listener);
    Task<void> answer(std::unique_ptr<Stream> stream);

    Edges edges_;
    Random random_;
    Behaviour behaviour_;
    Listener listener_;
    bool alive_ = true;
    bool hung_ = false;
    bool serving_ = false;
    std::optional<Exit> dying_;
    Timer death_;
    Timer next_beat_;
    std::vector<std::unique_ptr<Timer>> script_;
    TaskGroup tasks_;
};

}  // namespace holdfast::runtime
