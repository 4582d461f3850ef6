// The control protocol: one message per SOCK_SEQPACKET datagram, between the keeper and the node
// and between the keeper and commands. docs/formats/keeper-control.md is its page.
//
// A request gets one `Reply` with its sequence number; Beat and Ready get none. What the keeper
// says unasked has sequence 0, but for the Progress of an upgrade.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "keeper/codec.h"

namespace holdfast::keeper {

inline constexpr std::uint16_t protocol_version = 1;

template <std::uint16_t Type, class... Fields>
struct Tagged {
    static constexpr std::uint16_t type = Type;
    std::tuple<Fields...> values;

    Tagged() = default;
    explicit Tagged(Fields... v)
        requires(sizeof...(Fields) > 0)
        : values(std::move(v)...) {}
    auto fields() {
        return std::apply([](auto&... v) { return std::tie(v...); }, values);
    }
};

enum class Thing : std::uint8_t { socket, output };
template <>
inline constexpr auto last_of<Thing> = Thing::output;
enum class Wish : std::uint8_t { activate, drain, shutdown };
template <>
inline constexpr auto last_of<Wish> = Wish::shutdown;

// Asked of the keeper.
using Hello = Tagged<1, bool, std::string>;  // Whether it is the node, which is verified; build id.
using Launch = Tagged<2, runtime::LaunchSpec>;
using Stop = Tagged<3, runtime::RunId, Duration, std::int32_t>;  // Grace, signal.
using Kill = Tagged<4, runtime::RunId>;
using Forget = Tagged<5, runtime::RunId>;
using List = Tagged<6, runtime::RunId>;             // Those with greater ids; answered by ListPage.
using OpenSocket = Tagged<7, runtime::SocketSpec>;  // Answered by the port and the socket itself.
using CloseSocket = Tagged<8, std::string>;
using ListSockets = Tagged<9>;
using Fetch = Tagged<10, Thing, std::string, runtime::RunId>;  // Answered with the descriptor.
using Offer = Tagged<11, Thing, std::string, runtime::RunId>;  // Carries one the keeper lacks.
using Beat = Tagged<12>;
using Ready = Tagged<13>;
using AskStatus = Tagged<14>;
// Node binary, keeper binary, the node's arguments. Answered when it is over; Progress meanwhile.
using AskUpgrade = Tagged<15, std::string, std::string, std::vector<std::string>>;
using AskShutdown = Tagged<16, bool>;  // At once.
using HoldNode = Tagged<17, Duration>;

// Said by the keeper.
using Reply =
    Tagged<64, std::uint8_t, std::string, std::string>;  // 0 or 1 + Errc, message, payload.
using Exited = Tagged<65, runtime::RunId, runtime::Exit>;
using NotifiedBy = Tagged<66, runtime::RunId, runtime::Notified>;
using OutputWaits = Tagged<67, runtime::RunId>;  // Again only after the node has emptied the ring.
using Asks = Tagged<68, Wish>;
using Progress = Tagged<69, std::string>;

// Payload of the Reply to List: at least one report while there are any, and whether there are
// more.
using ListPage = std::pair<std::vector<runtime::RunReport>, bool>;

using AnyMessage =
    std::variant<Hello, Launch, Stop, Kill, Forget, List, OpenSocket, CloseSocket, ListSockets,
                 Fetch, Offer, Beat, Ready, AskStatus, AskUpgrade, AskShutdown, HoldNode, Reply,
                 Exited, NotifiedBy, OutputWaits, Asks, Progress>;

struct Message {
    std::uint32_t sequence = 0;
    AnyMessage body;
};

template <class T>
std::string encode(std::uint32_t sequence, const T& body) {
    std::string out;
    append_le(out, protocol_version);
    append_le(out, T::type);
    append_le(out, sequence);
    put(out, body);
    return out;
}

// Errc::invalid says what is wrong: version, type, or fields.
Result<Message> decode(std::string_view bytes);

Reply reply_of(const Error& error);
// The payload, or the error, of a reply that came from outside.
Result<std::string> outcome_of(Reply reply);

}  // namespace holdfast::keeper
