// World: machines in virtual time, and everything that can happen to them.
//
//     World world(seed);
//     auto& a = world.machine("a");
//     a.run([](Machine& machine) { return std::make_unique<MyNode>(machine); });
//     world.after(10s, [&] { a.restart_node(2s); });
//     world.run_until(world.now() + 1min);
//
// One thread, no real time: a run is a function of its seed and of the code it runs. The machines'
// clocks differ from each other and from the world's, so that an instant of one compared with one
// of another shows itself. Nothing goes wrong by itself; a test says what does.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/sim/disk.h"
#include "runtime/sim/network.h"
#include "runtime/sim/processes.h"
#include "runtime/sim/schedule.h"
#include "runtime/sim/store.h"

namespace holdfast::runtime {

class Machine;
class World;

// What a machine runs: its constructor is the start, its destructor the death, at any co_await.
class Node {
  public:
    virtual ~Node() = default;
};
using NodeProgram = std::function<std::unique_ptr<Node>(Machine& machine)>;

// Lives as long as its world. Its edges outlive its nodes; a node must not outlive its death. The
// doings below are for the test, not for the node's own tasks: a task cannot destroy itself.
class Machine {
  public:
    Machine(World& world, std::string name, std::string address, Random random);
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    const std::string& name() const { return host_.name(); }
    const std::string& address() const { return address_; }  // "10.0.0.1", ...; others by host().

    // The edges for its node.
    SimClock& clock() { return clock_; }
    Network& network() { return network_; }
    SimProcesses& processes() { return processes_; }
    SimDisk& disk() { return disk_; }
    SimStore& store() { return store_; }
    Random& random() { return random_; }
    Host& host() { return host_; }

    // The node: starts it now, and again whenever the machine or the node is started.
    void run(NodeProgram program);
    Node* node() const { return node_.get(); }
    void kill_node();   // Its sockets close; processes, disk and store stay as they are.
    void start_node();  // If it is not running.
    void restart_node(Duration down = {});
    void kill_keeper(Duration down) { processes_.kill_keeper(down); }

    void pause_node(Duration duration) { clock_.pause(duration); }  // As SIGSTOP and SIGCONT.
    void pause(Duration duration);           // The whole machine, as a hypervisor does.
    void set_drift(std::int64_t drift_ppb);  // Nanoseconds its clock gains in a second.
    void shift_wall(Duration by);

    // Power cut: node, keeper and processes end, the disk and the store lose what they may lose.
    void crash(PeersSee peers = PeersSee::silence);
    void start();
    void restart(Duration down, PeersSee peers = PeersSee::silence);

  private:
    friend class World;
    void shut_down();  // With the world.

    World& world_;
    Random random_;
    std::string address_;
    SimClock::Options clock_options_;
    SimClock clock_;       // Of the node.
    SimClock host_clock_;  // Of the keeper and the processes: it shows the same, pauses apart.
    Host host_;
    SimNetwork network_;
    SimNetwork host_network_;
    SimProcesses processes_;
    SimDisk disk_;
    SimStore store_;
    NodeProgram program_;
    std::unique_ptr<Node> node_;
};

class World {
  public:
    explicit World(std::uint64_t seed);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    std::uint64_t seed() const { return seed_; }
    Machine& machine(const std::string& name);  // Made when first named.

    Instant now() const { return schedule_.now(); }  // No machine's.
    Random& random() { return random_; }             // For what the test leaves to chance.
    void after(Duration delay, std::function<void()> event) {
        schedule_.after(delay, std::move(event));
    }

    void run_until(Instant at);
    void run_for(Duration duration) { run_until(now() + duration); }
    // Until `busy` says false, asked after every step: true; false if it has not within the limit.
    bool run_while(const std::function<bool()>& busy, Duration limit);
    // The task's value, or nothing if it was not done within the limit, when it has been destroyed.
    template <class T>
    std::optional<detail::Kept<T>> complete(Task<T> task, Duration limit = std::chrono::minutes(1));

    // The links; each is one direction.
    Fabric& fabric() { return fabric_; }
    Link& link(const std::string& from, const std::string& to);
    void cut(const std::string& from, const std::string& to) { link(from, to).cut = true; }
    // Neither side reaches the other.
    void partition(const std::vector<std::string>& side, const std::vector<std::string>& other);
    void heal() { fabric_.heal(); }
    void reset_streams(const std::string& a, const std::string& b);

    // The trace: one line for everything that crossed a link or befell a machine, and whatever a
    // test adds. Two runs of one seed have the same digest; the last lines are kept to show where
    // not.
    void record(std::string_view line);
    std::uint64_t digest() const { return digest_; }
    const std::deque<std::string>& trace() const { return trace_; }

  private:
    friend class Machine;
    std::uint64_t seed_;
    Random random_;
    Fabric fabric_;  // Outlives the schedule, whose events may hold the last of a connection.
    Schedule schedule_;
    std::map<std::string, std::unique_ptr<Machine>> machines_;
    std::uint64_t digest_ = 0;
    std::deque<std::string> trace_;
};

template <class T>
std::optional<detail::Kept<T>> World::complete(Task<T> task, Duration limit) {
    std::optional<detail::Kept<T>> value;
    TaskGroup group;
    group.spawn([](auto& result, Task<T> inner) -> Task<void> {
        result.emplace(co_await detail::keep(std::move(inner)));
    }(value, std::move(task)));
    run_while([&] { return !value; }, limit);
    return value;
}

}  // namespace holdfast::runtime
