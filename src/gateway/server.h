// The REST server: connections in, requests to a handler, answers out. HTTP/1.1 with keep-alive.
//
// It stands on runtime::Network, so the same code serves real sockets and simulated ones. Every
// wait on a client has a deadline: for a request to begin, for its header, for its body, for the
// client to take each piece of the answer. A client that is slower is cut off, because connections
// are few.
//
// Deviations from HTTP that are meant: no pipelining into a stream (a streamed answer ends its
// connection, and what the client sends meanwhile is dropped), a client that shuts its side down
// while it is streamed to is taken for gone, no upgrade, no trailers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/metrics.h"
#include "gateway/message.h"
#include "gateway/request_reader.h"
#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/task.h"

namespace holdfast::gateway {

struct ServerOptions {
    ReaderLimits reader{};
    std::size_t connections_max = 256;                // One more is answered 503 and closed.
    Duration idle_wait = std::chrono::seconds(30);    // For a request to begin.
    Duration head_wait = std::chrono::seconds(10);    // From its first byte.
    Duration body_wait = std::chrono::seconds(30);    // From the end of its header.
    Duration answer_wait = std::chrono::seconds(30);  // For the handler; 504.
    Duration write_wait = std::chrono::seconds(10);   // For each 64 KiB of an answer.
    Duration linger_wait = std::chrono::seconds(1);   // For a refused client to hear why.
};

class Server {
  public:
    // Called once for each request, many at a time. Its answer's stream is destroyed when the
    // client goes.
    using Answer = std::function<runtime::Task<Response>(Request)>;

    // Clock and metrics outlive it.
    Server(runtime::Clock& clock, MetricRegistry& metrics, Answer answer,
           ServerOptions options = {});
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Accepts until stop() or until destroyed. The listener outlives the call.
    runtime::Task<void> run(runtime::Listener& listener);

    // Takes no more connections, ends idle ones and streams at once, lets others have their answer,
    // and cuts what is left after `grace`. Then run() returns. Once.
    runtime::Task<void> stop(Duration grace);

    std::size_t connections() const { return connections_.size(); }

  private:
    class Connection;

    runtime::Task<void> refuse_surplus(std::unique_ptr<runtime::Stream> stream);
    runtime::Task<void> serve(std::unique_ptr<runtime::Stream> stream);
    void count(std::string_view method, int status, Duration took);

    runtime::Clock& clock_;
    MetricRegistry& metrics_;
    Gauge& open_;
    Histogram& durations_;
    Answer answer_;
    ServerOptions options_;
    bool stopping_ = false;
    runtime::Signal stop_accepting_;
    runtime::Signal one_ended_;
    runtime::Timer tell_ended_;  // Wakes it from the loop: stop() may not run inside what it stops.
    std::uint64_t accepted_ = 0;
    std::map<std::uint64_t, Connection*> connections_;  // In the order accepted.
    runtime::TaskGroup tasks_;                          // Last: ends before what it uses.
};

}  // namespace holdfast::gateway
