#include "gateway/request_reader.h"

#include <fmt/format.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/check.h"

namespace holdfast::gateway {
namespace {

namespace beast = boost::beast::http;

constexpr std::string_view head_end = "\r\n\r\n";

}  // namespace

struct RequestReader::State {
    explicit State(ReaderLimits l) : limits(l) {}

    using Outcome = std::expected<Progress, Complaint>;

    Outcome refuse(int status, std::string message) const {
        return std::unexpected(Complaint{status, std::move(message)});
    }

    Outcome read_head();
    Outcome read_body();
    Outcome feed(std::size_t* taken);

    ReaderLimits limits;
    std::string pending;  // Bytes that the parser has not had.
    std::size_t searched = 0;
    std::optional<beast::request_parser<beast::string_body>> parser;
    http::Headers headers;
    bool expects_continue = false;
};

RequestReader::State::Outcome RequestReader::State::read_head() {
    auto from = searched < head_end.size() ? 0 : searched - head_end.size();
    auto end = pending.find(head_end, from);
    searched = pending.size();
    auto size = end == pending.npos ? pending.size() : end + head_end.size();
    if (size > limits.head_bytes_max) {
        return refuse(431,
                      fmt::format("the header is longer than {} bytes", limits.head_bytes_max));
    }
    if (end == pending.npos) return Progress::head;
    if (auto wrong = check_head({pending.data(), size}, limits.headers_max)) {
        return refuse(400, *wrong);
    }
    parser.emplace();
    parser->header_limit(static_cast<std::uint32_t>(limits.head_bytes_max));
    parser->body_limit(limits.body_bytes_max);
    std::size_t taken = 0;
    if (auto fed = feed(&taken); !fed) return fed;
    HF_CHECK(parser->is_header_done());
    pending.erase(0, taken);
    // Now, because Beast adds the fields of a trailer to those of the header.
    for (const auto& field : parser->get()) {
        headers.push_back({std::string(field.name_string()), std::string(field.value())});
    }
    parser->eager(true);
    if (parser->is_done()) return Progress::done;
    expects_continue =
        parser->get().version() == 11 && parser->get()[beast::field::expect] == "100-continue";
    return read_body();
}

// Hands the parser what is pending: the head, which is whole by then, or as much of the body as
// there is.
RequestReader::State::Outcome RequestReader::State::feed(std::size_t* taken) {
    boost::system::error_code failed;
    *taken = parser->put(boost::asio::buffer(pending), failed);
    if (!failed || failed == beast::error::need_more) return Progress::body;
    if (failed == beast::error::body_limit) {
        return refuse(413, fmt::format("the body is longer than {} bytes", limits.body_bytes_max));
    }
    return refuse(400, fmt::format("the request is not HTTP/1.1: {}", failed.message()));
}

RequestReader::State::Outcome RequestReader::State::read_body() {
    while (!parser->is_done() && !pending.empty()) {
        std::size_t taken = 0;
        if (auto fed = feed(&taken); !fed) return fed;
        pending.erase(0, taken);
        if (taken == 0) break;
    }
    if (pending.size() > limits.head_bytes_max && !parser->is_done()) {
        return refuse(400, "a chunk's head is too long");
    }
    return parser->is_done() ? Progress::done : Progress::body;
}

RequestReader::RequestReader(ReaderLimits limits) : state_(std::make_unique<State>(limits)) {}
RequestReader::~RequestReader() = default;

std::expected<RequestReader::Progress, RequestReader::Complaint> RequestReader::take(
    std::string_view bytes) {
    state_->pending.append(bytes);
    return state_->parser ? state_->read_body() : state_->read_head();
}

bool RequestReader::begun() const {
    return state_->parser || !state_->pending.empty();
}

bool RequestReader::take_expects_continue() {
    return std::exchange(state_->expects_continue, false);
}

RequestReader::Whole RequestReader::release() {
    HF_CHECK(state_->parser && state_->parser->is_done());
    auto message = state_->parser->release();
    Whole whole{.request = {.method = std::string(message.method_string()),
                            .target = std::string(message.target()),
                            .headers = std::exchange(state_->headers, {}),
                            .body = std::move(message.body())},
                .keep_alive = message.keep_alive(),
                .chunks = message.version() == 11};
    state_->parser.reset();
    state_->searched = 0;
    state_->expects_continue = false;
    return whole;
}

}  // namespace holdfast::gateway
