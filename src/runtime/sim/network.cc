#include "runtime/sim/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "runtime/sim/stream.h"

namespace holdfast::runtime {

namespace {

constexpr std::size_t accept_queue_max = 1024;
constexpr std::size_t receive_queue_bytes_max = 212'992;  // net.core.rmem_default.
constexpr std::size_t datagram_bytes_max = 65'507;        // What UDP over IPv4 can carry.
constexpr Duration on_the_machine = std::chrono::microseconds(10);
constexpr Duration first_retry = std::chrono::seconds(1);     // Of a SYN.
constexpr Duration no_route_after = std::chrono::seconds(3);  // Nobody answers ARP.

bool is_unix(const std::string& address) {
    return address.starts_with('/') || address.starts_with('@');
}

bool is_loopback(const std::string& address) {
    return is_unix(address) || address.starts_with("127.") || address == "::1";
}

bool is_wildcard(const std::string& address) {
    return address == "0.0.0.0" || address == "::";
}

std::string wildcard_for(const std::string& address) {
    return address.find(':') != std::string::npos ? "::" : "0.0.0.0";
}

}  // namespace

// ---- The fabric.

Link& Fabric::link(const Host& from, const Host& to) {
    return links_.try_emplace({from.name(), to.name()}, default_link).first->second;
}

const Link& Fabric::quality(const Host& from, const Host& to) const {
    auto at = links_.find({from.name(), to.name()});
    return at == links_.end() ? default_link : at->second;
}

void Fabric::heal() {
    default_link.cut = false;
    for (auto& [ends, link] : links_) link.cut = false;
}

void Fabric::reset_streams(const Host& a, const Host& b) {
    auto connections = connections_;  // Breaking one may end it.
    for (auto& [id, weak] : connections) {
        auto connection = weak.lock();
        if (!connection || !connection->touches(a) || !connection->touches(b)) continue;
        connection->break_end(Connection::End::client, "connection reset by the network");
        connection->break_end(Connection::End::server, "connection reset by the network");
    }
}

void Fabric::lose_power(const Host& host, PeersSee peers) {
    if (peers == PeersSee::silence) return;
    for (auto& [id, weak] : connections_) {
        auto connection = weak.lock();
        if (!connection) continue;
        for (auto end : {Connection::End::client, Connection::End::server}) {
            auto& peer = connection->host(Connection::other(end));
            if (&connection->host(end) != &host || &peer == &host) continue;
            auto delay = transit(host, peer);
            if (!delay) continue;
            schedule_.after(*delay, [weak, end] {
                if (auto broken = weak.lock())
                    broken->break_end(Connection::other(end), "connection reset by the peer");
            });
        }
    }
}

Host* Fabric::find(const std::string& address) const {
    auto at = by_address_.find(address);
    return at == by_address_.end() ? nullptr : at->second;
}

std::optional<Duration> Fabric::transit(const Host& from, const Host& to) {
    if (&from == &to) return on_the_machine;
    const auto& link = quality(from, to);
    if (link.cut || random_.chance(link.loss)) return std::nullopt;
    auto delay = random_.between(link.delay_least, link.delay_most);
    if (random_.chance(link.late))
        delay += random_.between(Duration::zero(), 100 * link.delay_most);
    return delay;
}

std::shared_ptr<Connection> Fabric::connect(Host& from, Endpoint local, Host& to, Endpoint peer) {
    auto id = ++connected_;
    record(fmt::format("stream {} {} to {} {}", id, from.name(), to.name(), format_endpoint(peer)));
    auto connection =
        std::make_shared<Connection>(*this, id, from, std::move(local), to, std::move(peer));
    connections_.emplace(id, connection);
    return connection;
}

std::weak_ptr<Connection> Fabric::connection(std::uint64_t id) const {
    return connections_.at(id);
}

void Fabric::forget(const Connection& connection) {
    connections_.erase(connection.id());
}

// ---- Sockets.

class SimListener final : public Listener {
  public:
    SimListener(Host& host, SimClock& clock, Endpoint local)
        : host_(host), boot_(host.boot()), clock_(clock), local_(std::move(local)), came_(clock) {
        host_.listeners_.emplace(local_, this);
    }
    ~SimListener() override {
        for (auto& stream : queue_) stream->abort();
        if (alive()) host_.listeners_.erase(local_);
    }

    Task<Result<std::unique_ptr<Stream>>> accept() override {
        for (;;) {
            if (!alive())
                co_return fail(Errc::unavailable,
                               format_endpoint(local_) + ": the machine has lost its power");
            if (!queue_.empty()) {
                auto stream = std::move(queue_.front());
                queue_.pop_front();
                co_return stream;
            }
            co_await came_.wait();
        }
    }
    Endpoint local() const override { return local_; }

    // False: the queue is full.
    bool offer(const std::shared_ptr<Connection>& connection) {
        if (queue_.size() >= accept_queue_max) return false;
        queue_.push_back(std::make_unique<SimStream>(connection, Connection::End::server, clock_));
        came_.wake();
        return true;
    }
    bool full() const { return queue_.size() >= accept_queue_max; }

  private:
    bool alive() const { return host_.boot() == boot_; }

    Host& host_;
    std::uint64_t boot_;
    SimClock& clock_;
    Endpoint local_;
    std::deque<std::unique_ptr<SimStream>> queue_;
    Wakeup came_;
};

class SimDatagramSocket final : public DatagramSocket {
  public:
    SimDatagramSocket(Host& host, SimClock& clock, Endpoint local)
        : host_(host), boot_(host.boot()), local_(std::move(local)), came_(clock) {
        host_.sockets_.emplace(local_, this);
    }
    ~SimDatagramSocket() override {
        if (alive()) host_.sockets_.erase(local_);
    }

    Task<Result<Datagram>> receive() override {
        for (;;) {
            if (!alive())
                co_return fail(Errc::unavailable,
                               format_endpoint(local_) + ": the machine has lost its power");
            if (!queue_.empty()) {
                auto datagram = std::move(queue_.front());
                queue_.pop_front();
                queued_bytes_ -= datagram.payload.size();
                co_return datagram;
            }
            co_await came_.wait();
        }
    }

    bool send(const Endpoint& to, std::string_view payload) override {
        if (!alive() || payload.size() > datagram_bytes_max || is_unix(to.address)) return false;
        auto& fabric = host_.fabric();
        auto* target = host_.reach(to.address);
        if (!target) return true;  // Nobody is there: as good as lost.
        Endpoint from{
            is_wildcard(local_.address) ? host_.source_for(to.address).address : local_.address,
            local_.port};
        bool twice =
            target != &host_ && fabric.random().chance(fabric.quality(host_, *target).duplicate);
        for (int copies = twice ? 2 : 1; copies > 0; --copies) {
            auto delay = fabric.transit(host_, *target);
            if (!delay) {
                note(*target, payload, "lost");
                continue;
            }
            // By value: the sender may be gone when it arrives; a machine is not.
            fabric.schedule().after(*delay, [&fabric, &source = host_, target, to,
                                             datagram = Datagram{from, std::string(payload)}] {
                arrive(fabric, source, *target, to, datagram);
            });
        }
        return true;
    }

    Endpoint local() const override { return local_; }

  private:
    bool alive() const { return host_.boot() == boot_; }

    void note(const Host& target, std::string_view payload, std::string_view fate) {
        host_.fabric().record(fmt::format("datagram {} to {}: {} {}", host_.name(), target.name(),
                                          payload.size(), fate));
    }

    static void arrive(Fabric& fabric, const Host& source, const Host& target, const Endpoint& to,
                       Datagram datagram) {
        auto* socket = target.up() ? target.socket_at(to) : nullptr;
        bool cut = &source != &target && fabric.quality(source, target).cut;
        bool taken = !cut && socket &&
                     socket->queued_bytes_ + datagram.payload.size() <= receive_queue_bytes_max;
        fabric.record(fmt::format("datagram {} to {}: {}{}", source.name(), target.name(),
                                  datagram.payload.size(), taken ? "" : " dropped"));
        if (!taken) return;
        socket->queued_bytes_ += datagram.payload.size();
        socket->queue_.push_back(std::move(datagram));
        socket->came_.wake();
    }

    Host& host_;
    std::uint64_t boot_;
    Endpoint local_;
    std::deque<Datagram> queue_;
    std::size_t queued_bytes_ = 0;
    Wakeup came_;
};

// ---- The host.

Host::Host(Fabric& fabric, std::string name) : fabric_(fabric), name_(std::move(name)) {}

Host::~Host() {
    for (auto& address : addresses_) fabric_.by_address_.erase(address);
}

void Host::add_address(std::string address) {
    fabric_.by_address_[address] = this;  // A second owner takes it over, as after gratuitous ARP.
    addresses_.push_back(std::move(address));
}

void Host::remove_address(const std::string& address) {
    std::erase(addresses_, address);
    if (fabric_.find(address) == this) fabric_.by_address_.erase(address);
}

bool Host::has_address(const std::string& address) const {
    return std::ranges::find(addresses_, address) != addresses_.end();
}

void Host::power_off(PeersSee peers) {
    if (!std::exchange(up_, false)) return;
    fabric_.lose_power(*this, peers);
    ++boot_;
    listeners_.clear();
    sockets_.clear();
}

void Host::power_on() {
    up_ = true;
}

SimListener* Host::listener_at(const Endpoint& at) const {
    auto found = listeners_.find(at);
    if (found == listeners_.end()) found = listeners_.find({wildcard_for(at.address), at.port});
    return found == listeners_.end() ? nullptr : found->second;
}

SimDatagramSocket* Host::socket_at(const Endpoint& at) const {
    auto found = sockets_.find(at);
    if (found == sockets_.end()) found = sockets_.find({wildcard_for(at.address), at.port});
    return found == sockets_.end() ? nullptr : found->second;
}

Host* Host::reach(const std::string& address) {
    if (is_loopback(address) || is_wildcard(address) || has_address(address)) return this;
    return fabric_.find(address);
}

Endpoint Host::source_for(const std::string& address) {
    if (is_unix(address)) return {};
    if (is_loopback(address) || addresses_.empty()) return {address, free_port()};
    return {addresses_.front(), free_port()};
}

// As Linux does: the wildcard and a particular address of one port exclude each other.
bool Host::taken(const Endpoint& wanted, Kind kind) const {
    auto overlaps = [&](const Endpoint& there) {
        if (there.port != wanted.port) return false;
        if (there.address == wanted.address) return true;
        auto wildcard = wildcard_for(wanted.address);
        return wanted.port != 0 && wildcard == wildcard_for(there.address) &&
               (there.address == wildcard || wanted.address == wildcard);
    };
    auto in_use = [&](const auto& sockets) {
        return std::ranges::any_of(sockets, [&](auto& entry) { return overlaps(entry.first); });
    };
    return kind == Kind::stream ? in_use(listeners_) : in_use(sockets_);
}

std::uint16_t Host::free_port() {
    constexpr std::uint16_t first = 32768, last = 60999;  // ip_local_port_range.
    last_port_ = last_port_ >= last || last_port_ < first
                     ? first
                     : static_cast<std::uint16_t>(last_port_ + 1);
    return last_port_;
}

Result<Endpoint> Host::claim(const Endpoint& wanted, Kind kind) {
    auto text = format_endpoint(wanted);
    HF_TRY(auto endpoint, parse_endpoint(text));
    if (!up_) return fail(Errc::unavailable, text + ": the machine has lost its power");
    if (is_unix(endpoint.address)) {
        if (kind == Kind::datagram)
            return fail(Errc::invalid, text + ": Unix sockets carry streams only");
    } else if (!is_loopback(endpoint.address) && !is_wildcard(endpoint.address) &&
               !has_address(endpoint.address)) {
        return fail(Errc::invalid, text + ": not an address of this machine");
    } else if (endpoint.port == 0) {
        do endpoint.port = free_port();
        while (taken(endpoint, kind));
    }
    if (taken(endpoint, kind)) return fail(Errc::conflict, text + ": address already in use");
    return endpoint;
}

// ---- Connecting.

namespace {

// A connection being made. Its packets cross the links by themselves; the task that waits for the
// outcome may be paused or destroyed meanwhile.
class Dialogue : public std::enable_shared_from_this<Dialogue> {
  public:
    Dialogue(Host& from, Endpoint local, Endpoint peer)
        : fabric_(from.fabric()),
          from_(from),
          boot_(from.boot()),
          local_(std::move(local)),
          peer_(std::move(peer)),
          started_(fabric_.schedule().now()) {}

    void call() {
        if (over()) return;
        auto* to = from_.reach(peer_.address);
        if (!to) {
            later(no_route_after, [this] { finish_with("no route to host"); });
            return;
        }
        auto delay = fabric_.transit(from_, *to);
        if (delay && to->up())
            later(*delay, [this, to] { arrive(*to); });
        else
            again([this] { call(); });
    }

    void abandon() {
        abandoned_ = true;
        waiter_ = nullptr;
    }
    void wait_with(Wakeup& waiter) { waiter_ = &waiter; }
    std::optional<Result<std::shared_ptr<Connection>>> take() {
        return std::exchange(outcome_, {});
    }

  private:
    bool over() const { return abandoned_ || from_.boot() != boot_; }

    void later(Duration delay, std::function<void()> act) {
        fabric_.schedule().after(delay,
                                 [self = shared_from_this(), act = std::move(act)] { act(); });
    }

    // A packet was lost: once more, unless it has gone on too long.
    void again(std::function<void()> act) {
        if (fabric_.schedule().now() - started_ >= fabric_.times.connect_give_up) {
            finish_with("connection timed out");
            return;
        }
        later(retry_, std::move(act));
        retry_ *= 2;
    }

    void arrive(Host& to) {
        auto* listener = to.up() ? to.listener_at(peer_) : nullptr;
        if (!to.up() || (listener && listener->full())) {
            again([this] { call(); });
        } else if (!listener) {
            reply(to, [this] { finish_with("connection refused"); });
        } else {
            auto connection = fabric_.connect(from_, local_, to, peer_);
            listener->offer(connection);
            reply(to, [this, connection] { finish(connection); });
        }
    }

    void reply(Host& to, std::function<void()> act) {
        if (auto delay = fabric_.transit(to, from_))
            later(*delay, std::move(act));
        else
            again([this, &to, act = std::move(act)] { reply(to, act); });
    }

    void finish_with(const std::string& why) {
        finish(fail(Errc::unavailable, "connecting to " + format_endpoint(peer_) + ": " + why));
    }

    void finish(Result<std::shared_ptr<Connection>> outcome) {
        if (over()) {
            // Nobody is there to take the answer: the server learns of it by a reset.
            if (outcome) (*outcome)->abort(Connection::End::client);
            return;
        }
        outcome_ = std::move(outcome);
        if (waiter_) waiter_->wake();
    }

    Fabric& fabric_;
    Host& from_;
    std::uint64_t boot_;
    Endpoint local_;
    Endpoint peer_;
    Instant started_;
    Duration retry_ = first_retry;
    bool abandoned_ = false;
    Wakeup* waiter_ = nullptr;
    std::optional<Result<std::shared_ptr<Connection>>> outcome_;
};

// The waiting task's share of it: whatever comes of a dialogue that nobody waits for any more is
// taken back.
class Calling {
  public:
    explicit Calling(std::shared_ptr<Dialogue> dialogue) : dialogue_(std::move(dialogue)) {}
    ~Calling() {
        dialogue_->abandon();
        auto outcome = dialogue_->take();
        if (outcome && *outcome) (**outcome)->abort(Connection::End::client);
    }
    Calling(const Calling&) = delete;
    Calling& operator=(const Calling&) = delete;
    Dialogue* operator->() { return dialogue_.get(); }

  private:
    std::shared_ptr<Dialogue> dialogue_;  // Shared with the packets under way.
};

}  // namespace

Task<Result<std::unique_ptr<Stream>>> SimNetwork::connect(Endpoint peer) {
    auto text = format_endpoint(peer);
    HF_CO_TRY(peer, parse_endpoint(text));
    if (!host_.up()) co_return fail(Errc::unavailable, text + ": this machine has lost its power");
    Wakeup answered(clock_);
    Calling calling(
        std::make_shared<Dialogue>(host_, host_.source_for(peer.address), std::move(peer)));
    calling->wait_with(answered);
    calling->call();
    for (;;) {
        if (auto outcome = calling->take()) {
            HF_CO_TRY(auto connection, std::move(*outcome));
            co_return std::make_unique<SimStream>(connection, Connection::End::client, clock_);
        }
        co_await answered.wait();
    }
}

Result<std::unique_ptr<Listener>> SimNetwork::listen(const Endpoint& local) {
    HF_TRY(auto endpoint, host_.claim(local, Host::Kind::stream));
    return std::make_unique<SimListener>(host_, clock_, std::move(endpoint));
}

Result<std::unique_ptr<DatagramSocket>> SimNetwork::bind(const Endpoint& local) {
    HF_TRY(auto endpoint, host_.claim(local, Host::Kind::datagram));
    return std::make_unique<SimDatagramSocket>(host_, clock_, std::move(endpoint));
}

}  // namespace holdfast::runtime
