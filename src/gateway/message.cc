#include "gateway/message.h"

#include <boost/json.hpp>

namespace holdfast::gateway {
namespace {

namespace json = boost::json;

struct Meaning {
    int status;
    std::string_view next;
};

Meaning meaning_of(Errc code) {
    switch (code) {
        case Errc::invalid:
            return {400, "correct the request and send it again"};
        case Errc::denied:
            return {403, "ask somebody whose role allows it"};
        case Errc::not_found:
            return {404, "`holdfast services` lists what there is"};
        case Errc::conflict:
            return {409, "look at the present state, then decide again"};
        case Errc::corrupt:
            return {500, "`holdfast doctor` checks this machine"};
        case Errc::exhausted:
            return {503, "try again in a moment"};
        case Errc::unavailable:
            return {503, "try again; `holdfast status` says what is wrong"};
        case Errc::in_doubt:
            return {504, "it may have been done: look before doing it again"};
    }
    return {500, ""};
}

json::object body_of(std::string_view code, std::string_view message, std::string_view next) {
    return {{"error", json::object{{"code", code}, {"message", message}, {"next", next}}}};
}

}  // namespace

Response json_response(std::string body, int status) {
    body += '\n';
    return {.status = status, .headers = {}, .body = std::move(body), .stream = nullptr};
}

Response text_response(std::string body, int status) {
    return {.status = status,
            .type = std::string(text_type),
            .headers = {},
            .body = std::move(body),
            .stream = nullptr};
}

Response refuse(const Refusal& refusal) {
    return json_response(json::serialize(body_of(refusal.code, refusal.message, refusal.next)),
                         refusal.status);
}

Response refuse(const Error& error, std::string next) {
    auto meaning = meaning_of(error.code);
    return refuse({.status = meaning.status,
                   .code = errc_name(error.code),
                   .message = error.message,
                   .next = next.empty() ? std::string(meaning.next) : std::move(next)});
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 413:
            return "Content Too Large";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        default:
            return "Unknown";
    }
}

}  // namespace holdfast::gateway
