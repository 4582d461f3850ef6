#include "health/grpc_probe.h"

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include "base/check.h"

namespace holdfast::health {

namespace {

using runtime::Stream;
using runtime::Task;

constexpr std::size_t answer_bytes_max = 4096;

// One gRPC message of no bytes: not compressed, length 0.
constexpr std::string_view empty_message("\0\0\0\0\0", 5);

// Base-128 varint, little end first; takes it off the front.
std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
        auto byte = static_cast<unsigned char>(bytes.front());
        bytes.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    return std::nullopt;
}

// Field 1 of a HealthCheckResponse; 0 (UNKNOWN) if it is not there, as proto3 says.
std::optional<std::uint64_t> decode_status(std::string_view message) {
    std::uint64_t status = 0;
    while (!message.empty()) {
        auto key = take_varint(message);
        if (!key) return std::nullopt;
        std::optional<std::uint64_t> length = 0;
        switch (*key & 7) {
            case 0: {
                auto value = take_varint(message);
                if (!value) return std::nullopt;
                if (*key >> 3 == 1) status = *value;
                break;
            }
            case 1:
                length = 8;
                break;
            case 2:
                length = take_varint(message);
                break;
            case 5:
                length = 4;
                break;
            default:
                return std::nullopt;
        }
        if (!length || *length > message.size()) return std::nullopt;
        message.remove_prefix(static_cast<std::size_t>(*length));
    }
    return status;
}

// What came back so far; filled by nghttp2's callbacks.
struct Reply {
    std::string http_status;
    std::string grpc_status;
    std::string grpc_message;
    std::string body;
    std::size_t request_sent = 0;
    bool closed = false;
    std::uint32_t closed_with = 0;
};

ssize_t read_request(nghttp2_session*, std::int32_t, std::uint8_t* into, std::size_t room,
                     std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& reply = *static_cast<Reply*>(source->ptr);
    auto rest = empty_message.substr(reply.request_sent).substr(0, room);
    std::copy(rest.begin(), rest.end(), into);
    reply.request_sent += rest.size();
    if (reply.request_sent == empty_message.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(rest.size());
}

int on_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
              std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
              std::uint8_t, void* user) {
    auto& reply = *static_cast<Reply*>(user);
    std::string_view key(reinterpret_cast<const char*>(name), name_size);
    std::string_view text(reinterpret_cast<const char*>(value),
                          std::min<std::size_t>(value_size, 200));
    if (key == ":status") reply.http_status = text;
    if (key == "grpc-status") reply.grpc_status = text;
    if (key == "grpc-message") reply.grpc_message = text;
    return 0;
}

int on_data(nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t* data,
            std::size_t size, void* user) {
    auto& reply = *static_cast<Reply*>(user);
    auto room = answer_bytes_max - reply.body.size();
    reply.body.append(reinterpret_cast<const char*>(data), std::min(size, room));
    return 0;
}

int on_close(nghttp2_session*, std::int32_t, std::uint32_t error, void* user) {
    auto& reply = *static_cast<Reply*>(user);
    reply.closed = true;
    reply.closed_with = error;
    return 0;
}

struct Delete {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
    void operator()(nghttp2_session_callbacks* callbacks) const {
        nghttp2_session_callbacks_del(callbacks);
    }
};
using Session = std::unique_ptr<nghttp2_session, Delete>;

Session open_session(Reply& reply) {
    nghttp2_session_callbacks* raw = nullptr;
    HF_CHECK(nghttp2_session_callbacks_new(&raw) == 0);
    std::unique_ptr<nghttp2_session_callbacks, Delete> callbacks(raw);
    nghttp2_session_callbacks_set_on_header_callback(raw, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(raw, on_close);
    nghttp2_session* session = nullptr;
    HF_CHECK(nghttp2_session_client_new(&session, raw, &reply) == 0);
    return Session(session);
}

nghttp2_nv field(std::string_view name, std::string_view value) {
    // nghttp2 copies both; it takes them as mutable for no reason of its own.
    auto bytes = [](std::string_view text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

void ask(nghttp2_session* session, Reply& reply, std::string_view authority) {
    HF_CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0) == 0);
    std::array fields{
        field(":method", "POST"),       field(":scheme", "http"),
        field(":authority", authority), field(":path", "/grpc.health.v1.Health/Check"),
        field("te", "trailers"),        field("content-type", "application/grpc"),
        field("user-agent", "holdfast")};
    nghttp2_data_provider body{};
    body.source.ptr = &reply;
    body.read_callback = read_request;
    auto stream =
        nghttp2_submit_request(session, nullptr, fields.data(), fields.size(), &body, nullptr);
    HF_CHECK(stream > 0);
}

// Moves bytes until the answer is complete. An empty text: it is; else what went wrong.
Task<std::string> converse(Stream& stream, nghttp2_session* session, Reply& reply) {
    std::array<char, 16 * 1024> buffer;
    for (;;) {
        const std::uint8_t* to_send = nullptr;
        for (;;) {
            auto count = nghttp2_session_mem_send(session, &to_send);
            if (count < 0) co_return nghttp2_strerror(static_cast<int>(count));
            if (count == 0) break;
            std::string_view bytes(reinterpret_cast<const char*>(to_send),
                                   static_cast<std::size_t>(count));
            auto written = co_await stream.write_all(bytes);
            if (!written) co_return written.error().message;
        }
        if (reply.closed) co_return std::string();
        // The session has ended itself over what came in.
        if (!nghttp2_session_want_read(session)) co_return std::string("does not speak HTTP/2");
        auto count = co_await stream.read_some(buffer);
        if (!count) co_return count.error().message;
        if (*count == 0) co_return std::string("closed the connection");
        auto taken = nghttp2_session_mem_recv(
            session, reinterpret_cast<const std::uint8_t*>(buffer.data()), *count);
        if (taken < 0) {
            co_return fmt::format("does not speak HTTP/2 ({})",
                                  nghttp2_strerror(static_cast<int>(taken)));
        }
    }
}

ProbeResult judge(const Reply& reply) {
    auto unwell = [](std::string reason) {
        return ProbeResult{Answer::unwell, std::move(reason), {}};
    };
    if (reply.closed_with != 0) {
        return unwell(fmt::format("grpc: the stream was reset ({})",
                                  nghttp2_http2_strerror(reply.closed_with)));
    }
    if (reply.http_status != "200") {
        return unwell(fmt::format("grpc answered HTTP status {}", reply.http_status));
    }
    if (reply.grpc_status == "12") {
        return unwell("grpc: the server does not implement grpc.health.v1.Health");
    }
    if (reply.grpc_status != "0") {
        return unwell(fmt::format("grpc answered status {}{}{}", reply.grpc_status,
                                  reply.grpc_message.empty() ? "" : ": ", reply.grpc_message));
    }
    auto status = serving_status(reply.body);
    if (status.empty()) return unwell("grpc answered with what is not a HealthCheckResponse");
    return {status == "SERVING" ? Answer::well : Answer::unwell,
            fmt::format("grpc answered {}", status),
            {}};
}

}  // namespace

std::string_view serving_status(std::string_view body) {
    if (body.size() < empty_message.size() || body[0] != 0) return {};
    std::uint32_t length = 0;
    for (char c : body.substr(1, 4)) length = length << 8 | static_cast<unsigned char>(c);
    body.remove_prefix(empty_message.size());
    if (body.size() != length) return {};
    auto status = decode_status(body);
    if (!status) return {};
    constexpr std::array<std::string_view, 4> names{"UNKNOWN", "SERVING", "NOT_SERVING",
                                                    "SERVICE_UNKNOWN"};
    return *status < names.size() ? names[*status] : names[0];
}

Task<ProbeResult> probe_grpc(runtime::Network& network, runtime::Endpoint peer) {
    auto authority = runtime::format_endpoint(peer);
    auto stream = co_await network.connect(std::move(peer));
    if (!stream) {
        co_return ProbeResult{Answer::unwell, "grpc: " + stream.error().message, {}};
    }
    Reply reply;
    auto session = open_session(reply);
    ask(session.get(), reply, authority);
    auto trouble = co_await converse(**stream, session.get(), reply);
    if (!trouble.empty()) co_return ProbeResult{Answer::unwell, "grpc: " + trouble, {}};
    co_return judge(reply);
}

}  // namespace holdfast::health
