#include "gateway/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/log.h"
#include "gateway/connection.h"

namespace holdfast::gateway {
namespace {

constexpr Duration accept_pause = std::chrono::milliseconds(100);

// Bounded: a client may send any word as a method.
std::string_view method_label(std::string_view method) {
    constexpr std::array known = {std::string_view("GET"),    std::string_view("HEAD"),
                                  std::string_view("POST"),   std::string_view("PUT"),
                                  std::string_view("DELETE"), std::string_view("none")};
    return std::ranges::find(known, method) == known.end() ? "other" : method;
}

}  // namespace

Server::Server(runtime::Clock& clock, MetricRegistry& metrics, Answer answer, ServerOptions options)
    : clock_(clock),
      metrics_(metrics),
      open_(metrics.gauge("holdfast_rest_connections", "Open connections to REST.")),
      durations_(metrics.histogram("holdfast_rest_request_duration_seconds",
                                   "Time from a whole request to its answer.",
                                   {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 30})),
      answer_(std::move(answer)),
      options_(options),
      tell_ended_(clock.timers(), [this] { one_ended_.wake(); }) {}

Server::~Server() = default;

void Server::count(std::string_view method, int status, Duration took) {
    metrics_
        .counter("holdfast_rest_requests_total", "Requests to REST that were answered.",
                 {{"method", std::string(method_label(method))},
                  {"code", fmt::format("{}xx", status / 100)}})
        .add();
    durations_.observe(std::chrono::duration<double>(took).count());
}

runtime::Task<void> Server::run(runtime::Listener& listener) {
    while (!stopping_) {
        auto outcome = co_await runtime::race(listener.accept(), stop_accepting_.waited());
        if (outcome.index() == 1) co_return;
        auto accepted = std::get<0>(std::move(outcome));
        if (!accepted) {
            log_warn("rest: cannot accept a connection: {}", accepted.error().message);
            co_await runtime::race(clock_.sleep_for(accept_pause), stop_accepting_.waited());
        } else if (connections_.size() >= options_.connections_max) {
            co_await refuse_surplus(std::move(*accepted));
        } else {
            tasks_.spawn(serve(std::move(*accepted)));
        }
    }
}

runtime::Task<void> Server::serve(std::unique_ptr<runtime::Stream> stream) {
    Connection connection(*this, std::move(stream));
    co_await connection.serve();
}

// A fresh connection has room for this, so it takes no time; if it had none, we would not wait.
runtime::Task<void> Server::refuse_surplus(std::unique_ptr<runtime::Stream> stream) {
    count("none", 503, Duration(0));
    auto response = refuse(
        {.status = 503,
         .code = "exhausted",
         .message = fmt::format("there are {} connections already", options_.connections_max),
         .next = "close some, or try again in a moment"});
    auto bytes = write_head(response, {.now = clock_.wall_now()}) + response.body;
    auto written = stream->write_all(bytes);
    auto outcome = co_await runtime::within(clock_, accept_pause, "the client", std::move(written));
    if (outcome) stream->shut_write();
}

runtime::Task<void> Server::stop(Duration grace) {
    HF_CHECK(!stopping_);
    stopping_ = true;
    stop_accepting_.wake();
    std::vector<std::uint64_t> open;
    for (const auto& [number, connection] : connections_) open.push_back(number);
    for (auto number : open) {
        auto found = connections_.find(number);
        if (found != connections_.end()) found->second->stop();
    }
    auto until = clock_.now() + grace;
    while (!connections_.empty() && clock_.now() < until) {
        co_await runtime::race(one_ended_.waited(), clock_.sleep_for(until - clock_.now()));
    }
    tasks_.stop();
}

}  // namespace holdfast::gateway
