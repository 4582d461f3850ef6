// A server for tests: takes one request a connection and answers with whatever bytes it is told to.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/task.h"

namespace holdfast::http {

class ScriptedServer {
  public:
    struct Answer {
        std::string bytes;
        Duration after{};             // Before the first byte.
        std::size_t piece = 1 << 20;  // So many bytes a write ...
        Duration pause{};             // ... and this long between two.
        enum class Then { close, stay_open } then = Then::close;
    };
    using Script = std::function<Answer(const std::string& request)>;

    // Listens at once. Everything outlives it.
    ScriptedServer(runtime::Clock& clock, runtime::Network& network, runtime::Endpoint local,
                   Script script)
        : clock_(clock), script_(std::move(script)) {
        auto listener = network.listen(local);
        HF_CHECK(listener);
        listener_ = *std::move(listener);
        group_.spawn(serve());
    }
    runtime::Endpoint local() const { return listener_->local(); }
    const std::vector<std::string>& requests() const { return requests_; }

  private:
    runtime::Task<void> serve() {
        for (;;) {
            auto stream = co_await listener_->accept();
            if (!stream) co_return;
            group_.spawn(converse(*std::move(stream)));
        }
    }
    static bool is_whole(const std::string& request) {
        auto end = request.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        auto length = request.find("Content-Length: ");
        std::size_t body = length < end ? std::stoul(request.substr(length + 16)) : 0;
        return request.size() >= end + 4 + body;
    }
    runtime::Task<void> converse(std::unique_ptr<runtime::Stream> stream) {
        std::array<char, 4096> buffer;
        std::string request;
        while (!is_whole(request)) {
            auto count = co_await stream->read_some(buffer);
            if (!count || *count == 0) co_return;
            request.append(buffer.data(), *count);
        }
        requests_.push_back(request);
        auto answer = script_(request);
        co_await clock_.sleep_for(answer.after);
        std::string_view rest = answer.bytes;
        while (!rest.empty()) {
            auto written = co_await stream->write_all(rest.substr(0, answer.piece));
            if (!written) co_return;
            rest.remove_prefix(std::min(answer.piece, rest.size()));
            if (answer.pause > Duration::zero()) co_await clock_.sleep_for(answer.pause);
        }
        if (answer.then == Answer::Then::stay_open) (void)co_await stream->read_some(buffer);
    }

    runtime::Clock& clock_;
    Script script_;
    std::unique_ptr<runtime::Listener> listener_;
    std::vector<std::string> requests_;
    runtime::TaskGroup group_;
};

inline ScriptedServer::Answer answer_with(int status, std::string body = {}) {
    return {.bytes = "HTTP/1.1 " + std::to_string(status) +
                     " x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body};
}

}  // namespace holdfast::http
