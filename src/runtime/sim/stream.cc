#include "runtime/sim/stream.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::runtime {

namespace {

constexpr std::size_t segment_bytes_max = 64 * 1024;

// The user everybody on a simulated machine is.
constexpr PeerUser only_user{.uid = 1000, .gid = 1000, .pid = 1};

}  // namespace

Connection::Side::Side(Connection& connection, End end, Host& machine, Endpoint at)
    : host(machine),
      boot(machine.boot()),
      address(std::move(at)),
      arrival(machine.fabric().schedule().events(),
              [&connection, end] { connection.arrive(end); }) {}

Connection::Connection(Fabric& fabric, std::uint64_t id, Host& client, Endpoint local, Host& server,
                       Endpoint peer)
    : fabric_(fabric),
      id_(id),
      sides_{Side(*this, End::client, client, std::move(local)),
             Side(*this, End::server, server, std::move(peer))} {}

Connection::~Connection() {
    fabric_.forget(*this);
}

bool Connection::alive(End end) const {
    return side(end).host.boot() == side(end).boot;
}

bool Connection::touches(const Host& host) const {
    return &sides_[0].host == &host || &sides_[1].host == &host;
}

void Connection::attach(End end, Wakeup* reader, Wakeup* writer) {
    side(end).reader = reader;
    side(end).writer = writer;
}

std::size_t Connection::read(End end, std::span<char> into) {
    auto& here = side(end);
    auto count = std::min(into.size(), here.received.size());
    std::copy_n(here.received.begin(), count, into.begin());
    here.received.erase(0, count);
    auto& there = side(other(end));
    if (count > 0 && there.writer) there.writer->wake();
    return count;
}

bool Connection::ended(End end) const {
    return side(end).end_received && side(end).received.empty();
}

std::optional<Error> Connection::broken(End end) const {
    if (!alive(end)) return Error{Errc::unavailable, "the machine has lost its power"};
    return side(end).broken;
}

std::size_t Connection::room(End end) const {
    auto used = side(end).bytes_under_way + side(other(end)).received.size();
    return fabric_.times.window_bytes - std::min(used, fabric_.times.window_bytes);
}

// Cut up at any place now and then: a stream has no message boundaries.
std::size_t Connection::write(End end, std::string_view bytes) {
    auto count = std::min({bytes.size(), room(end), segment_bytes_max});
    if (count > 1 && fabric_.random().chance(0.1)) count = 1 + fabric_.random().below(count);
    if (count > 0) send(end, Segment::Kind::bytes, std::string(bytes.substr(0, count)));
    return count;
}

void Connection::shut_write(End end) {
    auto& here = side(end);
    if (std::exchange(here.end_sent, true) || here.broken) return;
    send(end, Segment::Kind::fin, {});
}

void Connection::close(End end) {
    auto& here = side(end);
    if (!here.received.empty()) {
        abort(end);
        return;
    }
    shut_write(end);
    here.closed = true;
}

void Connection::abort(End end) {
    auto& here = side(end);
    if (!here.broken && !here.closed && alive(end)) send(end, Segment::Kind::reset, {});
    here.closed = true;
    here.received.clear();
}

void Connection::break_end(End end, const std::string& why) {
    auto& here = side(end);
    if (here.broken || !alive(end)) return;
    here.broken = Error{Errc::unavailable, why};
    here.received.clear();
    here.under_way.clear();
    here.bytes_under_way = 0;
    here.arrival.disarm();
    if (here.reader) here.reader->wake();
    if (here.writer) here.writer->wake();
}

void Connection::send(End end, Segment::Kind kind, std::string bytes) {
    auto& here = side(end);
    if (!alive(end)) return;
    auto& there = side(other(end));
    auto& random = fabric_.random();
    Instant at = fabric_.schedule().now();
    if (&here.host == &there.host) {
        at += std::chrono::microseconds(10);
    } else {
        const auto& link = fabric_.quality(here.host, there.host);
        at += random.between(link.delay_least, link.delay_most);
        if (random.chance(link.late)) at += random.between(Duration::zero(), 100 * link.delay_most);
        auto again = fabric_.times.retransmit_least;
        while (random.chance(link.loss) && again < fabric_.times.retransmit_most) {
            at += again;
            again *= 2;
        }
    }
    here.bytes_under_way += bytes.size();
    here.under_way.push_back({kind, std::move(bytes), at});
    if (!here.arrival.armed()) here.arrival.arm(at);
}

// The first segment under way from that end reaches the other, or does not.
void Connection::arrive(End from) {
    auto& sender = side(from);
    auto& receiver = side(other(from));
    if (!alive(from)) return;
    bool remote = &sender.host != &receiver.host;
    const auto& link = fabric_.quality(sender.host, receiver.host);
    if (!receiver.host.up() || (remote && link.cut)) {
        stall(from);
        return;
    }
    sender.stalled_since.reset();
    if (!alive(other(from)) || receiver.closed) {
        answer_with_reset(from);
        return;
    }
    if (remote && fabric_.random().chance(link.reset)) {
        fabric_.record(fmt::format("stream {} breaks", id_));
        break_end(from, "connection reset by the network");
        break_end(other(from), "connection reset by the network");
        return;
    }
    take_in(from);
    if (!sender.under_way.empty())
        sender.arrival.arm(std::max(sender.under_way.front().at, fabric_.schedule().now()));
}

void Connection::stall(End from) {
    auto& sender = side(from);
    Instant now = fabric_.schedule().now();
    if (!sender.stalled_since) {
        sender.stalled_since = now;
        sender.retransmit = fabric_.times.retransmit_least;
    }
    if (now - *sender.stalled_since >= fabric_.times.send_give_up) {
        fabric_.record(fmt::format("stream {} times out at {}", id_, sender.host.name()));
        break_end(from, "connection timed out");
        return;
    }
    sender.arrival.arm(now + sender.retransmit);
    sender.retransmit = std::min(sender.retransmit * 2, fabric_.times.retransmit_most);
}

void Connection::take_in(End from) {
    auto& sender = side(from);
    auto& receiver = side(other(from));
    auto segment = std::move(sender.under_way.front());
    sender.under_way.pop_front();
    sender.bytes_under_way -= segment.bytes.size();
    fabric_.record(fmt::format("stream {} {} to {}: {}", id_, sender.host.name(),
                               receiver.host.name(),
                               segment.kind == Segment::Kind::bytes
                                   ? std::to_string(segment.bytes.size())
                                   : (segment.kind == Segment::Kind::fin ? "end" : "reset")));
    switch (segment.kind) {
        case Segment::Kind::bytes:
            receiver.received += segment.bytes;
            break;
        case Segment::Kind::fin:
            receiver.end_received = true;
            break;
        case Segment::Kind::reset:
            break_end(other(from), "connection reset by the peer");
            return;
    }
    if (receiver.reader) receiver.reader->wake();
}

// What reaches an end that is no more is refused; the sender learns of it if the way back is open.
void Connection::answer_with_reset(End from) {
    auto& sender = side(from);
    bool answered = sender.under_way.front().kind != Segment::Kind::reset;
    sender.under_way.clear();
    sender.bytes_under_way = 0;
    auto delay = fabric_.transit(side(other(from)).host, sender.host);
    if (!answered || !delay) return;
    // The sender need not be there any more when the answer comes.
    auto self = fabric_.connection(id_);
    fabric_.schedule().after(*delay, [self, from] {
        if (auto connection = self.lock())
            connection->break_end(from, "connection reset by the peer");
    });
}

SimStream::SimStream(std::shared_ptr<Connection> connection, Connection::End end, SimClock& clock)
    : connection_(std::move(connection)), end_(end), reader_(clock), writer_(clock) {
    connection_->attach(end_, &reader_, &writer_);
}

SimStream::~SimStream() {
    connection_->attach(end_, nullptr, nullptr);
    connection_->close(end_);
}

void SimStream::abort() {
    connection_->abort(end_);
}

Task<Result<std::size_t>> SimStream::read_some(std::span<char> into) {
    for (;;) {
        if (auto error = connection_->broken(end_)) co_return broken(*error);
        if (auto count = connection_->read(end_, into); count > 0) co_return count;
        if (connection_->ended(end_) || into.empty()) co_return std::size_t{0};
        co_await reader_.wait();
    }
}

Task<Result<void>> SimStream::write_all(std::string_view bytes) {
    while (!bytes.empty()) {
        if (auto error = connection_->broken(end_)) co_return broken(*error);
        if (shut_) co_return broken({Errc::unavailable, "this end has been shut"});
        auto count = connection_->write(end_, bytes);
        bytes.remove_prefix(count);
        if (count == 0) co_await writer_.wait();
    }
    co_return {};
}

void SimStream::shut_write() {
    shut_ = true;
    connection_->shut_write(end_);
}

std::optional<PeerUser> SimStream::peer_user() const {
    bool is_unix = connection_->address(Connection::End::server).port == 0;
    return is_unix ? std::optional(only_user) : std::nullopt;
}

std::unexpected<Error> SimStream::broken(const Error& error) const {
    return fail(error.code, format_endpoint(peer()) + ": " + error.message);
}

}  // namespace holdfast::runtime
