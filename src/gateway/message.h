// A request as the gateway's rooms see it, and what they answer: HTTP without its transport.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/response_parser.h"
#include "runtime/task.h"

namespace holdfast::gateway {

struct Request {
    std::string method;  // As sent: "GET".
    std::string target;  // As sent, in origin form: "/v1/services?x=y".
    http::Headers headers;
    std::string body;
};

// A body whose end is not known when it begins.
class BodyStream {
  public:
    virtual ~BodyStream() = default;
    // The next piece, not empty; nothing at the end. One caller. Destroying the Task abandons the
    // stream.
    virtual runtime::Task<std::optional<std::string>> next() = 0;
};

inline constexpr std::string_view json_type = "application/json";
inline constexpr std::string_view lines_type = "application/x-ndjson";
inline constexpr std::string_view text_type = "text/plain; charset=utf-8";

struct Response {
    int status = 200;
    std::string type{json_type};
    http::Headers headers;  // Beside those of every answer.
    std::string body;
    std::unique_ptr<BodyStream> stream;  // In place of `body`.
};

Response json_response(std::string body, int status = 200);
Response text_response(std::string body, int status = 200);

// {"error": {"code", "message", "next"}}. `next` says what the reader may do about it.
struct Refusal {
    int status = 400;
    std::string_view code;  // One of the interface's, such as "not_found".
    std::string message;
    std::string next;
};
Response refuse(const Refusal& refusal);

// By the error's code; an empty `next` gets the code's own advice.
Response refuse(const Error& error, std::string next = {});

std::string_view reason_phrase(int status);

}  // namespace holdfast::gateway
