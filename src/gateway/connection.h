// One connection of the REST server; for server.cc and connection.cc only.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "gateway/message.h"
#include "gateway/request_reader.h"
#include "gateway/server.h"
#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/task.h"

namespace holdfast::gateway {

// The head of an answer as it is sent. Pure.
struct HeadOptions {
    bool keep_alive = false;
    bool chunked = false;
    WallTime now;
};
std::string write_head(const Response& response, HeadOptions options);

class Server::Connection {
  public:
    Connection(Server& server, std::unique_ptr<runtime::Stream> stream);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Serves requests until the connection is to be closed.
    runtime::Task<void> serve();

    void stop() { stopping_.wake(); }

  private:
    // What reading a request came to.
    struct Over {};  // The client has gone, or nothing came: close without a word.
    using Read = std::variant<RequestReader::Whole, RequestReader::Complaint, Over>;

    runtime::Task<Read> read_request();
    runtime::Task<bool> read_more(Duration limit);
    runtime::Task<bool> wait_for_first_byte();
    runtime::Task<Result<std::size_t>> read_piece();
    runtime::Task<bool> answer(RequestReader::Whole whole);
    runtime::Task<Response> ask(Request request);
    runtime::Task<bool> write_whole(Response response, bool head_only, bool keep_alive);
    runtime::Task<void> write_stream(Response response, bool chunked);
    runtime::Task<void> pump(BodyStream& stream, bool chunked);
    runtime::Task<void> ended_from_outside();
    runtime::Task<void> client_gone();
    runtime::Task<bool> write(std::string bytes);
    runtime::Task<void> refuse(RequestReader::Complaint complaint);

    Server& server_;
    std::uint64_t number_;
    std::unique_ptr<runtime::Stream> stream_;
    RequestReader reader_;
    std::array<char, 16 << 10> piece_{};
    std::size_t piece_bytes_ = 0;
    runtime::Signal stopping_;
};

}  // namespace holdfast::gateway
