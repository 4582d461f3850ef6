// Who follows which rollout: lines for people while it goes on, then its result.
//
// Readers are woken by a timer and never from within tell() or end(), so that what a reader does,
// going away included, cannot disturb whoever tells. Not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "runtime/clock.h"
#include "service/supervisor.h"
#include "service/view.h"

namespace holdfast::service {

class RolloutFeeds {
  public:
    explicit RolloutFeeds(runtime::Clock& clock);
    ~RolloutFeeds();  // Feeds that are left get no more lines and never end.
    RolloutFeeds(const RolloutFeeds&) = delete;
    RolloutFeeds& operator=(const RolloutFeeds&) = delete;

    std::unique_ptr<RolloutFeed> open(std::string service, VersionNumber version);

    void tell(std::string_view service, std::string line);
    void end(const RolloutResult& result);
    // Asks `judge` of each open feed whether its rollout has a result after all.
    using Judge = std::function<std::optional<RolloutResult>(const std::string& service,
                                                             VersionNumber version)>;
    void judge(const Judge& judge);

    // The latest results are remembered.
    const RolloutResult* result(std::string_view service, VersionNumber version) const;
    const RolloutResult* latest(std::string_view service) const;
    // The service has been deleted: ends the feeds that are left.
    void forget(std::string_view service, WallTime now);

  private:
    class Feed;
    runtime::Clock& clock_;
    std::set<Feed*> feeds_;
    std::map<std::string, std::deque<RolloutResult>, std::less<>> results_;
};

}  // namespace holdfast::service
