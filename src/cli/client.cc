#include "cli/client.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "access/local_token_client.h"
#include "http/client.h"
#include "runtime/real/loop.h"
#include "runtime/real/network.h"

namespace holdfast::cli {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr Duration call_limit = 30s;
constexpr Duration patience = 2s;       // With a node that is not listening.
constexpr Duration retry_every = 50ms;  // Meanwhile.
constexpr std::size_t line_bytes_max = 1 << 20;

std::optional<json::value> parse(std::string_view text) {
    boost::system::error_code error;
    auto value = json::parse(text, error);
    if (error) return std::nullopt;
    return value;
}

bool on_this_machine(const http::Url& url) {
    return url.host == "localhost" || url.host == "::1" || url.host.starts_with("127.");
}

// Cuts what arrives into lines and hands each on as JSON.
class LineReader {
  public:
    explicit LineReader(const std::function<bool(const json::value&)>& on_line)
        : on_line_(on_line) {}

    bool take(std::string_view bytes) {
        pending_ += bytes;
        std::size_t begin = 0;
        for (std::size_t end; (end = pending_.find('\n', begin)) != std::string::npos;
             begin = end + 1) {
            auto value = parse(std::string_view(pending_).substr(begin, end - begin));
            if (value && !on_line_(*value)) return false;
        }
        pending_.erase(0, begin);
        return pending_.size() <= line_bytes_max;
    }

  private:
    const std::function<bool(const json::value&)>& on_line_;
    std::string pending_;
};

}  // namespace

struct NodeClient::State {
    http::Url url;
    std::optional<std::string> token;
    runtime::EventLoop loop;
    runtime::RealNetwork network{loop};
    http::Client client{{.clock = loop.clock(), .network = network}};

    runtime::Endpoint endpoint() const {
        return {url.host == "localhost" ? "127.0.0.1" : url.host, url.port};
    }

    http::Url at(const std::string& target) const {
        auto whole = url;
        whole.target = target;
        return whole;
    }

    // What an unreachable node means to the person who typed the command.
    Error explain(const Error& error) const {
        if (error.code == Errc::in_doubt)
            return {error.code, error.message +
                                    "; it may or may not have been done: look with "
                                    "`holdfast status`"};
        return {error.code,
                fmt::format("no node answers at {} ({}); start one with `holdfast up`, or name "
                            "another with --node URL",
                            http::format_url(at("/")), error.message)};
    }

    http::Request request(const std::string& method, const std::optional<Body>& body) {
        http::Request made{.method = method, .headers = {}, .body = {}};
        auto shown = token;
        if (!shown && on_this_machine(url)) {
            // A new one each time, because they are short-lived and views repeat themselves.
            // Without one, what is free to read is still answered, and all else says what it needs.
            auto fetched = access::fetch_local_token(url.port);
            if (fetched) shown = std::move(*fetched);
        }
        if (shown) made.headers.emplace_back("Authorization", "Bearer " + *shown);
        if (body) {
            made.headers.emplace_back("Content-Type", body->type);
            made.body = body->text;
        }
        return made;
    }

    runtime::Task<Result<http::Response>> fetch(std::string method, std::string target,
                                                std::optional<Body> body) {
        auto& clock = loop.clock();
        Instant give_up = clock.now() + patience;
        for (;;) {
            auto response = co_await client.fetch_at(endpoint(), at(target), request(method, body),
                                                     {.limit = call_limit});
            bool nobody_there = !response && response.error().code == Errc::unavailable;
            if (!nobody_there || clock.now() >= give_up) co_return response;
            co_await clock.sleep_for(retry_every);
        }
    }
};

NodeClient::NodeClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
NodeClient::~NodeClient() = default;

Result<std::unique_ptr<NodeClient>> NodeClient::open(std::string_view node_url,
                                                     std::optional<std::string> token) {
    auto url = http::parse_url(node_url);
    if (!url)
        return fail(Errc::invalid, fmt::format("\"{}\" is not the URL of a node: {}; write it as "
                                               "http://127.0.0.1:7400",
                                               node_url, url.error().message));
    if (url->scheme == http::Url::Scheme::https)
        return fail(Errc::invalid, "nodes do not serve https yet: use http://127.0.0.1:7400");
    auto state = std::make_unique<State>();
    state->url = std::move(*url);
    state->token = std::move(token);
    return std::unique_ptr<NodeClient>(new NodeClient(std::move(state)));
}

WallTime NodeClient::wall_now() {
    return state_->loop.clock().wall_now();
}

void NodeClient::pause(Duration duration) {
    state_->loop.complete(state_->loop.clock().sleep_for(duration));
}

Result<Answer> NodeClient::call(const std::string& method, const std::string& target,
                                const std::optional<Body>& body) {
    auto response = state_->loop.complete(state_->fetch(method, target, body));
    if (!response) return std::unexpected(state_->explain(response.error()));
    auto value = parse(response->body);
    return Answer{.status = response->status,
                  .json = value.value_or(nullptr),
                  .text = std::move(response->body)};
}

Result<Answer> NodeClient::stream(const std::string& method, const std::string& target,
                                  const std::optional<Body>& body,
                                  const std::function<bool(const json::value&)>& on_line) {
    // The first contact goes through call()'s patience; the stream itself is not repeated.
    HF_TRY(auto ready, call("GET", "/healthz"));
    if (!ready.ok()) return ready;

    Answer answer;
    LineReader lines(on_line);
    http::BodySink sink{
        .on_head = [&](const http::ResponseHead& head) { answer.status = head.status; },
        .on_body =
            [&](std::string_view bytes) {
                if (answer.ok()) return lines.take(bytes);
                answer.text += bytes;
                return answer.text.size() <= line_bytes_max;
            }};
    auto outcome = state_->loop.complete(state_->client.stream(
        state_->at(target), state_->request(method, body), call_limit, std::move(sink)));
    if (!outcome) return std::unexpected(state_->explain(outcome.error()));
    answer.json = parse(answer.text).value_or(nullptr);
    return answer;
}

std::string percent_encode(std::string_view text) {
    std::string encoded;
    for (char c : text) {
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     std::string_view("-._~").find(c) != std::string_view::npos;
        if (plain)
            encoded += c;
        else
            encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
}

}  // namespace holdfast::cli
