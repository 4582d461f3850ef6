#include "keeper/messages.h"

#include <fmt/format.h>

namespace holdfast::keeper {

namespace {

// Tries the variant's alternatives in turn; false if `type` is none of theirs.
template <std::size_t I = 0>
bool decode_body(std::uint16_t type, ByteReader& in, std::optional<AnyMessage>& body) {
    if constexpr (I == std::variant_size_v<AnyMessage>) {
        return false;
    } else {
        using T = std::variant_alternative_t<I, AnyMessage>;
        if (type != T::type) return decode_body<I + 1>(type, in, body);
        T value;
        if (get(in, value) && in.done()) body = std::move(value);
        return true;
    }
}

}  // namespace

Result<Message> decode(std::string_view bytes) {
    ByteReader in(bytes);
    auto version = in.le<std::uint16_t>();
    auto type = in.le<std::uint16_t>();
    auto sequence = in.le<std::uint32_t>();
    if (!in.ok()) return fail(Errc::invalid, "shorter than a message's header");
    if (version != protocol_version) {
        return fail(Errc::invalid,
                    fmt::format("protocol version {}, not {}", version, protocol_version));
    }
    std::optional<AnyMessage> body;
    if (!decode_body(type, in, body))
        return fail(Errc::invalid, fmt::format("unknown message type {}", type));
    if (!body) return fail(Errc::invalid, fmt::format("malformed message of type {}", type));
    return Message{sequence, std::move(*body)};
}

Reply reply_of(const Error& error) {
    return Reply(static_cast<std::uint8_t>(1 + std::to_underlying(error.code)), error.message, {});
}

Result<std::string> outcome_of(Reply reply) {
    auto& [code, message, payload] = reply.values;
    if (code == 0) return std::move(payload);
    auto known = code <= std::to_underlying(Errc::in_doubt) + 1;
    return fail(known ? static_cast<Errc>(code - 1) : Errc::unavailable, std::move(message));
}

}  // namespace holdfast::keeper
