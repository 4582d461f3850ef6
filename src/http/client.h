// A small HTTP/1.1 client: one request, one connection, one answer.
//
// For probes, webhooks and the command line, which all want an answer or a reason soon, and none of
// which sends often enough to keep connections. Redirects are not followed: a probe must not be led
// elsewhere, and a webhook's owner should know where it goes.
//
// Not thread-safe: one event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "http/resolver.h"
#include "http/response_parser.h"
#include "http/tls_client.h"
#include "http/url.h"
#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/task.h"

namespace holdfast::http {

struct Request {
    std::string method = "GET";
    Headers headers{};  // Host, Connection and Content-Length are the client's own.
    std::string body{};
};

struct Response {
    int status = 0;
    Headers headers;
    std::string body;
};

struct CallOptions {
    Duration limit = std::chrono::seconds(10);  // For all of it, from resolving to the last byte.
    std::uint64_t body_bytes_max = 16 * 1024 * 1024;
};

// Takes pieces of a body as they come. `on_head` first, once; then `on_body` until it says false,
// which ends the call with success.
struct BodySink {
    std::function<void(const ResponseHead&)> on_head{};
    std::function<bool(std::string_view)> on_body{};
};

// The bytes of a request, ready to be sent. Errc::invalid: a method, header or target that would
// not survive the journey as what it is.
Result<std::string> write_request(const Url& url, const Request& request);

class Client {
  public:
    // Without a resolver only addresses work; without TLS only http. All outlive the client.
    struct Edges {
        runtime::Clock& clock;
        runtime::Network& network;
        Resolver* resolver = nullptr;
        TlsClient* tls = nullptr;
    };
    explicit Client(const Edges& edges) : edges_(edges) {}

    // Any status is a success. Errors: invalid (the request, or an answer that is not HTTP),
    // unavailable (no answer in time), denied (TLS), exhausted (an answer beyond the limits),
    // in_doubt (the request was sent, wholly or in part, and no answer came).
    runtime::Task<Result<Response>> fetch(Url url, Request request, CallOptions options);

    // As fetch(), but connects to `peer` whatever the URL's host, which is still sent as Host.
    runtime::Task<Result<Response>> fetch_at(runtime::Endpoint peer, Url url, Request request,
                                             CallOptions options);

    // The body goes to the sink as it arrives, without limit in size; `head_limit` is the deadline
    // until the answer's head is there, after that there is none: the caller may destroy the Task.
    runtime::Task<Result<void>> stream(Url url, Request request, Duration head_limit,
                                       BodySink sink);

  private:
    using Connection = std::unique_ptr<runtime::Stream>;
    struct Answer {
        Connection stream;
        ResponseParser parser;     // Past the head.
        std::string body_begun{};  // What came with the head: parsed, and not yet.
        std::string unparsed{};
    };
    runtime::Task<Result<Connection>> open(Url url, std::optional<runtime::Endpoint> peer);
    runtime::Task<Result<Answer>> ask(Url url, std::optional<runtime::Endpoint> peer,
                                      Request request, ResponseParser::Options limits, bool* sent);
    runtime::Task<Result<void>> read_body(Answer& answer,
                                          std::function<bool(std::string_view)> on_body);
    runtime::Task<Result<Response>> exchange(Url url, std::optional<runtime::Endpoint> peer,
                                             Request request, std::uint64_t body_bytes_max,
                                             bool* sent);
    runtime::Task<Result<Response>> fetch_from(std::optional<runtime::Endpoint> peer, Url url,
                                               Request request, CallOptions options);

    Edges edges_;
};

}  // namespace holdfast::http
