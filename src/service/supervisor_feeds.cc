#include "service/supervisor_feeds.h"

#include <fmt/format.h>

namespace holdfast::service {

namespace {
constexpr std::size_t lines_max = 1000;  // Of one feed, unread.
constexpr std::size_t results_max = 20;  // Of one service.
}  // namespace

class RolloutFeeds::Feed final : public RolloutFeed {
  public:
    Feed(RolloutFeeds& feeds, std::string service, VersionNumber version)
        : service_(std::move(service)),
          version_(version),
          feeds_(&feeds),
          timer_(feeds.clock_.timers(), [this] { signal_.wake(); }) {
        feeds_->feeds_.insert(this);
    }
    ~Feed() override {
        if (feeds_) feeds_->feeds_.erase(this);
    }

    runtime::Task<std::optional<std::string>> next() override {
        for (;;) {
            if (lost_ > 0) {
                co_return fmt::format("({} lines were lost)", std::exchange(lost_, 0));
            }
            if (!lines_.empty()) {
                auto line = std::move(lines_.front());
                lines_.pop_front();
                co_return line;
            }
            if (result_) co_return std::nullopt;
            co_await signal_.wait();
        }
    }
    const std::optional<RolloutResult>& result() const override { return result_; }

    void tell(std::string line) {
        if (result_) return;
        lines_.push_back(std::move(line));
        if (lines_.size() > lines_max) {
            lines_.pop_front();
            ++lost_;
        }
        timer_.arm(feeds_->clock_.now());
    }
    void end(RolloutResult result) {
        if (result_) return;
        result_ = std::move(result);
        timer_.arm(feeds_->clock_.now());
    }
    void leave() { feeds_ = nullptr; }

    const std::string service_;
    const VersionNumber version_;

  private:
    RolloutFeeds* feeds_;
    std::deque<std::string> lines_;
    std::size_t lost_ = 0;
    std::optional<RolloutResult> result_;
    runtime::Signal signal_;
    runtime::Timer timer_;
};

RolloutFeeds::RolloutFeeds(runtime::Clock& clock) : clock_(clock) {}

RolloutFeeds::~RolloutFeeds() {
    for (auto* feed : feeds_) feed->leave();
}

std::unique_ptr<RolloutFeed> RolloutFeeds::open(std::string service, VersionNumber version) {
    auto feed = std::make_unique<Feed>(*this, std::move(service), version);
    if (const auto* known = result(feed->service_, version)) feed->end(*known);
    return feed;
}

void RolloutFeeds::tell(std::string_view service, std::string line) {
    for (auto* feed : feeds_) {
        if (feed->service_ == service) feed->tell(line);
    }
}

void RolloutFeeds::end(const RolloutResult& result) {
    auto& results = results_[result.service];
    results.push_back(result);
    if (results.size() > results_max) results.pop_front();
    for (auto* feed : feeds_) {
        if (feed->service_ == result.service && feed->version_ == result.version) {
            feed->end(result);
        }
    }
}

void RolloutFeeds::judge(const Judge& judge) {
    for (auto* feed : feeds_) {
        if (feed->result()) continue;
        if (auto result = judge(feed->service_, feed->version_)) feed->end(std::move(*result));
    }
}

const RolloutResult* RolloutFeeds::result(std::string_view service, VersionNumber version) const {
    auto known = results_.find(service);
    if (known == results_.end()) return nullptr;
    for (auto result = known->second.rbegin(); result != known->second.rend(); ++result) {
        if (result->version == version) return &*result;
    }
    return nullptr;
}

const RolloutResult* RolloutFeeds::latest(std::string_view service) const {
    auto known = results_.find(service);
    return known == results_.end() ? nullptr : &known->second.back();
}

void RolloutFeeds::forget(std::string_view service, WallTime now) {
    if (auto known = results_.find(service); known != results_.end()) results_.erase(known);
    for (auto* feed : feeds_) {
        if (feed->service_ != service) continue;
        feed->end({feed->service_, feed->version_, RolloutOutcome::superseded,
                   "the service was deleted", 0, now});
    }
}

}  // namespace holdfast::service
