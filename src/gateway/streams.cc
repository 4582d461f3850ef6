#include "gateway/streams.h"

#include <algorithm>

#include "gateway/shown.h"

namespace holdfast::gateway {
namespace {

constexpr std::size_t piece_lines_max = 256;

// Files keep milliseconds.
service::OutputLine as_kept(service::OutputLine line) {
    line.at = std::chrono::floor<std::chrono::milliseconds>(line.at);
    return line;
}

}  // namespace

Response stream_response(std::unique_ptr<BodyStream> stream) {
    return {.status = 200,
            .type = std::string(lines_type),
            .headers = {},
            .body = {},
            .stream = std::move(stream)};
}

RolloutLines::RolloutLines(runtime::Clock& clock, std::string service,
                           service::VersionNumber version, std::vector<std::string> first,
                           std::unique_ptr<service::RolloutFeed> feed)
    : clock_(clock),
      service_(std::move(service)),
      version_(version),
      first_(first.begin(), first.end()),
      feed_(std::move(feed)) {}

runtime::Task<std::optional<std::string>> RolloutLines::next() {
    if (over_) co_return std::nullopt;
    if (!first_.empty()) {
        auto message = std::move(first_.front());
        first_.pop_front();
        co_return progress_json(service_, version_, message, clock_.wall_now());
    }
    if (auto line = co_await feed_->next()) {
        co_return progress_json(service_, version_, *line, clock_.wall_now());
    }
    over_ = true;
    HF_CHECK(feed_->result().has_value());
    co_return progress_json(*feed_->result());
}

OutputLines::OutputLines(std::vector<service::OutputLine> past,
                         std::unique_ptr<service::OutputFeed> feed, WallTime opened)
    : feed_(std::move(feed)) {
    auto from = std::chrono::floor<std::chrono::milliseconds>(opened);
    for (auto& line : past) {
        if (feed_ && line.at >= from) overlap_.push_back(as_kept(line));
        past_.push_back(std::move(line));
    }
}

bool OutputLines::shown_already(const service::OutputLine& line) {
    auto found = std::ranges::find(overlap_, as_kept(line));
    if (found == overlap_.end()) return false;
    overlap_.erase(found);
    return true;
}

runtime::Task<std::optional<std::string>> OutputLines::next() {
    if (!past_.empty()) {
        std::string piece;
        for (std::size_t i = 0; i < piece_lines_max && !past_.empty(); ++i) {
            piece += output_line_json(past_.front());
            past_.pop_front();
        }
        co_return piece;
    }
    while (feed_) {
        auto line = co_await feed_->next();
        if (!shown_already(line)) co_return output_line_json(line);
    }
    co_return std::nullopt;
}

}  // namespace holdfast::gateway
