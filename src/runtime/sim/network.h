// The simulated network: the machines' stacks, and the fabric of links between them.
//
// What a link can do to datagrams: delay, lose, duplicate and, since each is delayed by itself,
// reorder them. Streams keep their order, as TCP does: a lost segment arrives a retransmission
// later, a cut link holds it until it heals or the sender gives up, and nobody is told of a peer
// that went silent but by that. A link is one direction; to partition two machines one way, cut one
// of them.
//
// A machine that loses its power resets or silences its streams at the peers; once it runs again,
// what still arrives for an old stream is answered with a reset. A stream closed with unread bytes
// resets its peer, as Linux does.
//
// Unix sockets, 127.0.0.1 and ::1 stay on the machine, where nothing is lost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/network.h"
#include "runtime/random.h"
#include "runtime/sim/schedule.h"

namespace holdfast::runtime {

// Probabilities are per datagram or segment.
struct Link {
    Duration delay_least = std::chrono::microseconds(100);
    Duration delay_most = std::chrono::microseconds(500);
    double loss = 0;
    double duplicate = 0;  // Datagrams only.
    double late = 0;       // Delayed by up to a hundred times delay_most.
    double reset = 0;      // The stream breaks, at both ends.
    bool cut = false;      // Nothing gets through.
};

// TCP's patience.
struct StreamTimes {
    Duration retransmit_least = std::chrono::milliseconds(200);
    Duration retransmit_most = std::chrono::seconds(10);
    Duration connect_give_up = std::chrono::seconds(127);
    Duration send_give_up = std::chrono::minutes(15);
    std::size_t window_bytes = 256 * 1024;  // Sent and not yet read.
};

class Connection;
class Host;
class SimDatagramSocket;
class SimListener;

enum class PeersSee { resets, silence };  // Of a machine that has lost its power.

class Fabric {
  public:
    using Recorder =
        std::function<void(std::string line)>;  // Told of everything that arrives or not.

    Fabric(Schedule& schedule, Random random, Recorder record)
        : schedule_(schedule), random_(std::move(random)), record_(std::move(record)) {}
    Fabric(const Fabric&) = delete;
    Fabric& operator=(const Fabric&) = delete;

    Link default_link;
    StreamTimes times;
    Link& link(const Host& from,
               const Host& to);  // For changing it: from now on not the default one.
    void heal();                 // Takes back every cut.
    // Breaks every stream between the two, seen by both at once.
    void reset_streams(const Host& a, const Host& b);

    // For the edges.
    Schedule& schedule() { return schedule_; }
    Random& random() { return random_; }
    void record(std::string line) { record_(std::move(line)); }
    Host* find(const std::string& address) const;
    const Link& quality(const Host& from, const Host& to) const;
    // How long the next datagram takes; nothing if it is lost.
    std::optional<Duration> transit(const Host& from, const Host& to);
    std::shared_ptr<Connection> connect(Host& from, Endpoint local, Host& to, Endpoint peer);
    std::weak_ptr<Connection> connection(std::uint64_t id) const;
    void forget(const Connection& connection);

  private:
    friend class Host;
    void lose_power(const Host& host, PeersSee peers);

    Schedule& schedule_;
    Random random_;
    Recorder record_;
    std::map<std::pair<std::string, std::string>, Link> links_;
    std::map<std::string, Host*> by_address_;
    // weak_ptr: a connection belongs to its two ends, which go in any order.
    std::map<std::uint64_t, std::weak_ptr<Connection>> connections_;
    std::uint64_t connected_ = 0;
};

// One machine's network stack: its addresses, ports and sockets, whoever uses them.
class Host {
  public:
    Host(Fabric& fabric, std::string name);
    ~Host();
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    const std::string& name() const { return name_; }
    void add_address(std::string address);
    void remove_address(const std::string& address);
    bool has_address(const std::string& address) const;

    void power_off(PeersSee peers);  // Its sockets are dead from now on, whoever still holds them.
    void power_on();
    bool up() const { return up_; }
    std::uint64_t boot() const { return boot_; }  // Another one after each loss of power.

    // For the edges.
    Fabric& fabric() { return fabric_; }
    SimListener* listener_at(const Endpoint& at) const;
    SimDatagramSocket* socket_at(const Endpoint& at) const;
    Host* reach(const std::string& address);  // Itself for what stays on the machine.
    // Where the kernel would send from to that address.
    Endpoint source_for(const std::string& address);
    enum class Kind { stream, datagram };
    Result<Endpoint> claim(const Endpoint& wanted, Kind kind);

  private:
    friend class SimListener;
    friend class SimDatagramSocket;
    std::uint16_t free_port();
    bool taken(const Endpoint& wanted, Kind kind) const;

    Fabric& fabric_;
    std::string name_;
    std::vector<std::string> addresses_;
    std::map<Endpoint, SimListener*> listeners_;
    std::map<Endpoint, SimDatagramSocket*> sockets_;
    std::uint16_t last_port_ = 32767;
    bool up_ = true;
    std::uint64_t boot_ = 1;
};

// A host's network as seen by the tasks of one clock.
class SimNetwork final : public Network {
  public:
    SimNetwork(Host& host, SimClock& clock) : host_(host), clock_(clock) {}

    Result<std::unique_ptr<Listener>> listen(const Endpoint& local) override;
    Task<Result<std::unique_ptr<Stream>>> connect(Endpoint peer) override;
    Result<std::unique_ptr<DatagramSocket>> bind(const Endpoint& local) override;

  private:
    Host& host_;
    SimClock& clock_;
};

}  // namespace holdfast::runtime
