#include "keeper/node_watch.h"

#include <algorithm>

namespace holdfast::keeper {

using namespace std::chrono_literals;

void NodeWatch::become(NodeState state, WallTime wall) {
    if (state_ != state) since_ = wall;
    state_ = state;
}

NodeWatch::Due NodeWatch::due(Instant now) {
    if (now >= silent_at_) {
        silent_at_ = now + 1s;
        return Due::kill;
    }
    return now >= start_at_ ? Due::start : Due::nothing;
}

void NodeWatch::started(Instant now, WallTime wall) {
    start_at_ = Instant::max();
    silent_at_ = now + options_.start_max;
    born_ = now;
    if (state_ != NodeState::leaving) become(NodeState::starting, wall);
}

void NodeWatch::beat(Instant now) {
    silent_at_ = now + options_.beat_max;
}

void NodeWatch::excuse(Instant now) {
    if (silent_at_ != Instant::max()) silent_at_ = std::max(silent_at_, now + options_.beat_max);
}

void NodeWatch::ready(WallTime wall) {
    if (state_ == NodeState::starting) become(NodeState::ready, wall);
}

void NodeWatch::died(Instant now, WallTime wall, std::string reason, double dice) {
    deaths_.push_back({wall, std::move(reason)});
    if (deaths_.size() > 16) deaths_.erase(deaths_.begin());
    silent_at_ = Instant::max();
    if (state_ == NodeState::leaving || state_ == NodeState::held) return;
    quick_deaths_ = now - born_ >= 10s ? 0 : quick_deaths_ + 1;
    auto most = std::min<Duration>(10ms * (1 << std::clamp(quick_deaths_ - 2, 0, 9)), 5s);
    start_at_ =
        quick_deaths_ <= 1
            ? now
            : now + Duration(static_cast<Duration::rep>(dice * static_cast<double>(most.count())));
    ++restarts_;
    become(NodeState::absent, wall);
}

void NodeWatch::hold(Instant until, WallTime wall) {
    start_at_ = until;
    become(NodeState::held, wall);
}

void NodeWatch::leave(WallTime wall) {
    start_at_ = Instant::max();
    become(NodeState::leaving, wall);
}

void NodeWatch::restore(const std::vector<NodeDeath>& deaths, std::uint64_t restarts) {
    deaths_ = deaths;
    restarts_ = restarts;
}

}  // namespace holdfast::keeper
