// The command's line to a node: REST calls that block until the answer is there.
//
// A call that finds nobody listening is repeated for two seconds, because a node that was killed is
// back within one; a call that was sent is never repeated. For a node on this machine a token is
// fetched over its local socket; for others HOLDFAST_TOKEN holds it.
#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "http/url.h"

namespace holdfast::cli {

struct Body {
    std::string type;  // "application/json"
    std::string text;
};

struct Answer {
    int status = 0;
    boost::json::value json;  // Null if the answer was not JSON.
    std::string text;

    bool ok() const { return status >= 200 && status < 300; }
};

class NodeClient {
  public:
    // Errc::invalid: not a URL of a node.
    static Result<std::unique_ptr<NodeClient>> open(std::string_view node_url,
                                                    std::optional<std::string> token);
    ~NodeClient();
    NodeClient(const NodeClient&) = delete;
    NodeClient& operator=(const NodeClient&) = delete;

    // Errors: unavailable (no node there, with what to do), in_doubt (sent, and no answer came).
    Result<Answer> call(const std::string& method, const std::string& target,
                        const std::optional<Body>& body = {});

    // An answer in lines of JSON, handed over as they come until `on_line` says false. An answer
    // that is not a success comes back as an Answer as from call(); a success with an empty text.
    Result<Answer> stream(const std::string& method, const std::string& target,
                          const std::optional<Body>& body,
                          const std::function<bool(const boost::json::value&)>& on_line);

    // The calendar and a pause, for views that repeat themselves.
    WallTime wall_now();
    void pause(Duration duration);

  private:
    struct State;
    explicit NodeClient(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// "a b/c" as part of a path or query.
std::string percent_encode(std::string_view text);

}  // namespace holdfast::cli
