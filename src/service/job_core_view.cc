// What people are shown of a job.
#include <fmt/format.h>

#include "service/job_core.h"

namespace holdfast::service {

JobView JobCore::view(std::string name, Now now) const {
    JobView view;
    view.name = std::move(name);
    view.version = wanted_.version;
    view.paused = wanted_.paused;
    if (!view.paused && !retired_) view.next = schedule_.next(now.instant, now.wall);
    if (current_) view.current = runs_.at(*current_);
    for (auto number : queue_) view.queued.push_back(runs_.at(number));
    for (auto run = runs_.rbegin(); run != runs_.rend() && !view.last_ended; ++run) {
        auto state = run->second.state;
        if (state == RunState::succeeded || state == RunState::failed)
            view.last_ended = run->second;
    }
    if (view.current) {
        view.reason = fmt::format("run {}: {}", view.current->number, view.current->reason);
    } else if (!queue_.empty()) {
        view.reason = fmt::format("run {} {}", queue_.front(), view.queued.front().reason);
    } else if (view.last_ended) {
        const auto& last = *view.last_ended;
        view.reason =
            fmt::format("run {} {}: {}", last.number, state_name(last.state), last.reason);
    } else {
        view.reason = view.paused ? "stopped by its owner" : "has not run yet";
    }
    return view;
}

}  // namespace holdfast::service
