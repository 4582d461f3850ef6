#include "http/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace holdfast::http {

namespace {

using runtime::Endpoint;
using runtime::Task;

constexpr std::size_t read_bytes = 16 * 1024;

bool is_token(std::string_view text) {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               marks.contains(c);
    });
}

bool is_field_value(std::string_view text) {
    return std::ranges::all_of(text, [](char c) {
        auto byte = static_cast<unsigned char>(c);
        return byte == '\t' || (byte >= ' ' && byte != 0x7f);
    });
}

// Asking again is safe whatever came of the first time.
bool is_idempotent(std::string_view method) {
    return method != "POST" && method != "PATCH";
}

bool is_address(std::string_view host) {
    return host.contains(':') ||
           std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

// Errc::in_doubt where the request may have done its work and must not be repeated blindly.
template <class T>
Result<T> judged(Result<T> answer, bool sent, bool idempotent) {
    if (!answer && answer.error().code == Errc::unavailable && sent && !idempotent) {
        answer.error().code = Errc::in_doubt;
    }
    return answer;
}

}  // namespace

Result<std::string> write_request(const Url& url, const Request& request) {
    if (!is_token(request.method)) return fail(Errc::invalid, "the request's method is not a word");
    if (!is_request_target(url.target)) {
        return fail(Errc::invalid, fmt::format("\"{}\" cannot stand in a request", url.target));
    }
    std::string out =
        fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, url.target, url.authority());
    bool agent = false;
    for (const auto& [name, value] : request.headers) {
        constexpr std::array<std::string_view, 5> ours{"host", "connection", "content-length",
                                                       "transfer-encoding", "expect"};
        if (!is_token(name) || !is_field_value(value)) {
            return fail(Errc::invalid, fmt::format("the header {} cannot be sent", name));
        }
        for (auto own : ours) {
            if (find_header({{name, ""}}, own)) {
                return fail(Errc::invalid, fmt::format("the header {} is the client's own", name));
            }
        }
        agent = agent || find_header({{name, ""}}, "user-agent") != nullptr;
        out += fmt::format("{}: {}\r\n", name, value);
    }
    if (!agent) out += "User-Agent: holdfast\r\n";
    bool with_body = !request.body.empty() || request.method == "POST" || request.method == "PUT" ||
                     request.method == "PATCH";
    if (with_body) out += fmt::format("Content-Length: {}\r\n", request.body.size());
    out += "Connection: close\r\n\r\n";
    out += request.body;
    return out;
}

Task<Result<Client::Connection>> Client::open(Url url, std::optional<Endpoint> peer) {
    std::vector<std::string> addresses{url.host};
    if (!peer && !is_address(url.host)) {
        if (!edges_.resolver) {
            co_return fail(Errc::invalid,
                           fmt::format("{} is a name, and there is nobody to resolve "
                                       "it; use an address",
                                       url.host));
        }
        HF_CO_TRY(addresses, co_await edges_.resolver->resolve(url.host));
    }
    bool tls = url.scheme == Url::Scheme::https;
    if (tls && !edges_.tls) co_return fail(Errc::invalid, "https is not available here");

    Result<Connection> stream = fail(Errc::unavailable, fmt::format("{} has no address", url.host));
    if (peer) {
        stream = co_await edges_.network.connect(*peer);
    } else {
        for (const auto& address : addresses) {
            stream = co_await edges_.network.connect(Endpoint{address, url.port});
            if (stream) break;
        }
    }
    if (!stream || !tls) co_return stream;
    co_return co_await edges_.tls->connect(*std::move(stream), url.host);
}

Task<Result<Client::Answer>> Client::ask(Url url, std::optional<Endpoint> peer, Request request,
                                         ResponseParser::Options limits, bool* sent) {
    HF_CO_TRY(auto bytes, write_request(url, request));
    HF_CO_TRY(auto stream, co_await open(url, std::move(peer)));
    *sent = true;
    // A peer may answer and close before it has read everything: its answer says why.
    auto written = co_await stream->write_all(bytes);
    limits.answers_head = request.method == "HEAD";
    Answer answer{.stream = std::move(stream), .parser = ResponseParser(limits)};
    std::array<char, read_bytes> buffer;
    while (!answer.parser.head_done()) {
        auto count = co_await answer.stream->read_some(buffer);
        if (!count) co_return std::unexpected(written ? count.error() : written.error());
        if (*count == 0) {
            HF_CO_TRY_VOID(answer.parser.end());
            break;
        }
        std::string_view arrived(buffer.data(), *count);
        HF_CO_TRY(auto step, answer.parser.feed(arrived));
        answer.body_begun = step.body;
        answer.unparsed = arrived.substr(step.consumed);
    }
    co_return answer;
}

Task<Result<void>> Client::read_body(Answer& answer,
                                     std::function<bool(std::string_view)> on_body) {
    if (!answer.body_begun.empty() && !on_body(answer.body_begun)) co_return Result<void>{};
    std::array<char, read_bytes> buffer;
    std::string_view rest = answer.unparsed;
    for (;;) {
        while (!rest.empty() && !answer.parser.done()) {
            HF_CO_TRY(auto step, answer.parser.feed(rest));
            rest.remove_prefix(step.consumed);
            if (!step.body.empty() && !on_body(step.body)) co_return Result<void>{};
        }
        if (answer.parser.done()) co_return Result<void>{};
        HF_CO_TRY(auto count, co_await answer.stream->read_some(buffer));
        if (count == 0) co_return answer.parser.end();
        rest = std::string_view(buffer.data(), count);
    }
}

Task<Result<Response>> Client::exchange(Url url, std::optional<Endpoint> peer, Request request,
                                        std::uint64_t body_bytes_max, bool* sent) {
    HF_CO_TRY(auto answer, co_await ask(std::move(url), std::move(peer), std::move(request),
                                        {.body_bytes_max = body_bytes_max}, sent));
    Response response;
    auto append = [&](std::string_view piece) {
        response.body.append(piece);
        return true;
    };
    HF_CO_TRY_VOID(co_await read_body(answer, append));
    response.status = answer.parser.head().status;
    response.headers = answer.parser.head().headers;
    co_return response;
}

Task<Result<Response>> Client::fetch_from(std::optional<Endpoint> peer, Url url, Request request,
                                          CallOptions options) {
    bool sent = false;
    bool idempotent = is_idempotent(request.method);
    auto what = fmt::format("{} {}", request.method, format_url(url));
    auto answer =
        co_await runtime::within(edges_.clock, options.limit, std::move(what),
                                 exchange(std::move(url), std::move(peer), std::move(request),
                                          options.body_bytes_max, &sent));
    co_return judged(std::move(answer), sent, idempotent);
}

Task<Result<Response>> Client::fetch(Url url, Request request, CallOptions options) {
    return fetch_from(std::nullopt, std::move(url), std::move(request), options);
}

Task<Result<Response>> Client::fetch_at(Endpoint peer, Url url, Request request,
                                        CallOptions options) {
    return fetch_from(std::move(peer), std::move(url), std::move(request), options);
}

Task<Result<void>> Client::stream(Url url, Request request, Duration head_limit, BodySink sink) {
    bool sent = false;
    bool idempotent = is_idempotent(request.method);
    auto what = fmt::format("{} {}", request.method, format_url(url));
    auto answer =
        judged(co_await runtime::within(
                   edges_.clock, head_limit, std::move(what),
                   ask(std::move(url), std::nullopt, std::move(request),
                       {.body_bytes_max = std::numeric_limits<std::uint64_t>::max()}, &sent)),
               sent, idempotent);
    if (!answer) co_return std::unexpected(answer.error());
    if (sink.on_head) sink.on_head(answer->parser.head());
    co_return co_await read_body(*answer, std::move(sink.on_body));
}

}  // namespace holdfast::http
