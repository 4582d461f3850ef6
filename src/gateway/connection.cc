#include "gateway/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace holdfast::gateway {
namespace {

constexpr std::size_t write_bytes_max = 64 << 10;
constexpr std::size_t drop_bytes_max = 2 << 20;  // Of what a refused client still sends.

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7).
std::string http_date(WallTime now) {
    auto seconds = static_cast<std::time_t>(
        std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count());
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[64];
    auto size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text, size};
}

// Codes of refusals that come from the transport and not from the handler.
std::string_view complaint_code(int status) {
    return status == 408 ? "timeout" : status == 400 ? "invalid" : "too_large";
}

}  // namespace

std::string write_head(const Response& response, HeadOptions options) {
    auto head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\n", response.status,
                            reason_phrase(response.status), http_date(options.now), response.type);
    if (options.chunked) {
        head += "Transfer-Encoding: chunked\r\n";
    } else if (!response.stream) {
        head += fmt::format("Content-Length: {}\r\n", response.body.size());
    }
    for (const auto& header : response.headers) {
        head += fmt::format("{}: {}\r\n", header.name, header.value);
    }
    head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
    if (!options.keep_alive) head += "Connection: close\r\n";
    return head += "\r\n";
}

Server::Connection::Connection(Server& server, std::unique_ptr<runtime::Stream> stream)
    : server_(server),
      number_(++server.accepted_),
      stream_(std::move(stream)),
      reader_(server.options_.reader) {
    server_.connections_.emplace(number_, this);
    server_.open_.set(static_cast<double>(server_.connections_.size()));
}

Server::Connection::~Connection() {
    server_.connections_.erase(number_);
    server_.open_.set(static_cast<double>(server_.connections_.size()));
    server_.tell_ended_.arm(server_.clock_.now());
}

runtime::Task<void> Server::Connection::serve() {
    for (;;) {
        auto read = co_await read_request();
        if (auto* complaint = std::get_if<RequestReader::Complaint>(&read)) {
            co_await refuse(std::move(*complaint));
            co_return;
        }
        auto* whole = std::get_if<RequestReader::Whole>(&read);
        if (whole == nullptr) co_return;
        if (!co_await answer(std::move(*whole))) co_return;
        if (server_.stopping_) co_return;
    }
}

// A read that was withdrawn has taken nothing, so `piece_` holds what was read and only that.
runtime::Task<Result<std::size_t>> Server::Connection::read_piece() {
    piece_bytes_ = 0;
    HF_CO_TRY(piece_bytes_, co_await stream_->read_some(piece_));
    co_return piece_bytes_;
}

// False: the time is over, or the client has gone.
runtime::Task<bool> Server::Connection::read_more(Duration limit) {
    auto read = co_await runtime::within(server_.clock_, limit, "the client", read_piece());
    co_return read && *read > 0;
}

runtime::Task<bool> Server::Connection::wait_for_first_byte() {
    if (server_.stopping_) co_return false;
    auto first = co_await runtime::race(read_more(server_.options_.idle_wait), stopping_.waited());
    co_return first.index() == 0 && std::get<0>(first);
}

runtime::Task<Server::Connection::Read> Server::Connection::read_request() {
    auto progress = reader_.take({});
    auto& clock = server_.clock_;
    Instant until = clock.now() + server_.options_.head_wait;
    auto stage = RequestReader::Progress::head;
    while (progress && *progress != RequestReader::Progress::done) {
        if (*progress != stage) {
            stage = *progress;
            until = clock.now() + server_.options_.body_wait;
            if (reader_.take_expects_continue() &&
                !co_await write("HTTP/1.1 100 Continue\r\n\r\n")) {
                co_return Over{};
            }
        }
        if (!reader_.begun()) {
            if (!co_await wait_for_first_byte()) co_return Over{};
            until = clock.now() + server_.options_.head_wait;
        } else if (clock.now() >= until) {
            co_return RequestReader::Complaint{408, "the request did not arrive in time"};
        } else if (!co_await read_more(until - clock.now())) {
            if (clock.now() < until) co_return Over{};
            continue;
        }
        progress = reader_.take({piece_.data(), piece_bytes_});
    }
    if (!progress) co_return std::move(progress).error();
    co_return reader_.release();
}

runtime::Task<Response> Server::Connection::ask(Request request) {
    auto outcome = co_await runtime::race(server_.answer_(std::move(request)),
                                          server_.clock_.sleep_for(server_.options_.answer_wait));
    if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
    co_return gateway::refuse({.status = 504,
                               .code = "timeout",
                               .message = "no answer in time; it may or may not have been done",
                               .next = "look at the present state before doing it again"});
}

// Whether another request may follow.
runtime::Task<bool> Server::Connection::answer(RequestReader::Whole whole) {
    bool head_only = whole.request.method == "HEAD";
    auto method = whole.request.method;
    auto begun = server_.clock_.now();
    auto response = co_await ask(std::move(whole.request));
    server_.count(method, response.status, server_.clock_.now() - begun);
    if (response.stream && !head_only) {
        co_await write_stream(std::move(response), whole.chunks);
        co_return false;
    }
    bool keep_alive = whole.keep_alive && whole.chunks && !server_.stopping_;
    bool written = co_await write_whole(std::move(response), head_only, keep_alive);
    co_return written&& keep_alive;
}

runtime::Task<bool> Server::Connection::write(std::string bytes) {
    std::string_view rest = bytes;
    while (!rest.empty()) {
        auto piece = rest.substr(0, write_bytes_max);
        auto written = co_await runtime::within(server_.clock_, server_.options_.write_wait,
                                                "the client", stream_->write_all(piece));
        if (!written) co_return false;
        rest.remove_prefix(piece.size());
    }
    co_return true;
}

runtime::Task<bool> Server::Connection::write_whole(Response response, bool head_only,
                                                    bool keep_alive) {
    auto bytes = write_head(response, {.keep_alive = keep_alive,
                                       .chunked = response.stream != nullptr,
                                       .now = server_.clock_.wall_now()});
    if (!head_only) bytes += response.body;
    co_return co_await write(std::move(bytes));
}

runtime::Task<void> Server::Connection::write_stream(Response response, bool chunked) {
    auto head = write_head(
        response, {.keep_alive = false, .chunked = chunked, .now = server_.clock_.wall_now()});
    if (!co_await write(std::move(head))) co_return;
    if (server_.stopping_) co_return;
    co_await runtime::race(pump(*response.stream, chunked), ended_from_outside());
}

runtime::Task<void> Server::Connection::ended_from_outside() {
    co_await runtime::race(client_gone(), stopping_.waited());
}

runtime::Task<void> Server::Connection::pump(BodyStream& stream, bool chunked) {
    while (auto piece = co_await stream.next()) {
        if (piece->empty()) continue;
        auto bytes =
            chunked ? fmt::format("{:x}\r\n{}\r\n", piece->size(), *piece) : std::move(*piece);
        if (!co_await write(std::move(bytes))) co_return;
    }
    if (chunked) co_await write("0\r\n\r\n");
}

runtime::Task<void> Server::Connection::client_gone() {
    for (std::size_t dropped = 0; dropped < drop_bytes_max; dropped += piece_bytes_) {
        auto read = co_await read_piece();
        if (!read || *read == 0) co_return;
    }
}

// What the client still sends is read and dropped for a moment: closing at once would reset the
// connection, and the client might lose the answer that says what was wrong.
runtime::Task<void> Server::Connection::refuse(RequestReader::Complaint complaint) {
    server_.count("none", complaint.status, Duration(0));
    auto response = gateway::refuse({.status = complaint.status,
                                     .code = complaint_code(complaint.status),
                                     .message = complaint.message,
                                     .next = "send a well-formed request of HTTP/1.1"});
    if (!co_await write_whole(std::move(response), false, false)) co_return;
    stream_->shut_write();
    co_await runtime::race(client_gone(), server_.clock_.sleep_for(server_.options_.linger_wait));
}

}  // namespace holdfast::gateway
