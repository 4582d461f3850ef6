// A simulated connection: two ends, and the segments under way between them.
//
// Segments of one direction arrive in the order sent. A lost one costs a retransmission; one that
// meets a cut link or a machine without power is tried again, ever more slowly, until the sender
// gives up and sees the connection time out. The receiver sees nothing.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "runtime/sim/network.h"

namespace holdfast::runtime {

class Connection {
  public:
    enum class End : std::size_t { client, server };
    static End other(End end) { return end == End::client ? End::server : End::client; }

    Connection(Fabric& fabric, std::uint64_t id, Host& client, Endpoint local, Host& server,
               Endpoint peer);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    std::uint64_t id() const { return id_; }
    Host& host(End end) { return side(end).host; }
    const Endpoint& address(End end) const { return sides_[static_cast<std::size_t>(end)].address; }
    bool alive(End end) const;  // Its machine has not lost its power since.
    bool touches(const Host& host) const;

    // Who is to be woken at that end; null when its stream goes.
    void attach(End end, Wakeup* reader, Wakeup* writer);

    // What a stream does at its end.
    std::size_t read(End end, std::span<char> into);  // Taken from what has arrived.
    bool ended(End end) const;                        // All has been read, no more will come.
    std::optional<Error> broken(End end) const;
    std::size_t write(End end,
                      std::string_view bytes);  // How much was accepted: as the window allows.
    void shut_write(End end);
    void close(End end);  // With a reset, if something was left unread.
    void abort(End end);  // With a reset.

    // That end learns that the connection is no more.
    void break_end(End end, const std::string& why);

  private:
    struct Segment {
        enum class Kind { bytes, fin, reset };
        Kind kind;
        std::string bytes;
        Instant at;
    };
    struct Side {
        Side(Connection& connection, End end, Host& machine, Endpoint at);
        Host& host;
        std::uint64_t boot;
        Endpoint address;
        Wakeup* reader = nullptr;
        Wakeup* writer = nullptr;
        bool closed = false;

        std::string received;
        bool end_received = false;
        std::optional<Error> broken;

        std::deque<Segment> under_way;
        std::size_t bytes_under_way = 0;
        bool end_sent = false;
        std::optional<Instant> stalled_since;
        Duration retransmit{};
        Timer arrival;
    };

    Side& side(End end) { return sides_[static_cast<std::size_t>(end)]; }
    const Side& side(End end) const { return sides_[static_cast<std::size_t>(end)]; }
    std::size_t room(End end) const;
    void send(End end, Segment::Kind kind, std::string bytes);
    void arrive(End from);
    void stall(End from);
    void take_in(End from);
    void answer_with_reset(End from);

    Fabric& fabric_;
    std::uint64_t id_;
    std::array<Side, 2> sides_;
};

class SimStream final : public Stream {
  public:
    SimStream(std::shared_ptr<Connection> connection, Connection::End end, SimClock& clock);
    ~SimStream() override;

    Task<Result<std::size_t>> read_some(std::span<char> into) override;
    Task<Result<void>> write_all(std::string_view bytes) override;
    void shut_write() override;
    Endpoint peer() const override { return connection_->address(Connection::other(end_)); }
    std::optional<PeerUser> peer_user() const override;

    void abort();  // Instead of an orderly close.

  private:
    std::unexpected<Error> broken(const Error& error) const;

    std::shared_ptr<Connection> connection_;  // Shared with the other end.
    Connection::End end_;
    Wakeup reader_;
    Wakeup writer_;
    bool shut_ = false;
};

}  // namespace holdfast::runtime
