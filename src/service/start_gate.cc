#include "service/start_gate.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast::service {

namespace {
constexpr int urgent_in_a_row_max = 3;
}

StartGate::StartGate(int starting_max, Duration hold_max)
    : starting_max_(starting_max), hold_max_(hold_max) {
    HF_CHECK(starting_max >= 1);
    HF_CHECK(hold_max > Duration::zero());
}

StartGate::Queue& StartGate::queue_of(Urgency urgency) {
    return urgency == Urgency::last_candidate ? urgent_ : ordinary_;
}

void StartGate::request(const StartKey& key, Urgency urgency) {
    HF_CHECK(!held_.contains(key));
    auto [place, fresh] = places_.try_emplace(key, Place{order_, urgency});
    if (fresh) {
        ++order_;
    } else {
        queue_of(place->second.urgency).erase(place->second.order);
        place->second.urgency = urgency;
    }
    queue_of(urgency).emplace(place->second.order, key);
}

void StartGate::release(const StartKey& key) {
    held_.erase(key);
    auto place = places_.find(key);
    if (place == places_.end()) return;
    queue_of(place->second.urgency).erase(place->second.order);
    places_.erase(place);
}

std::optional<StartKey> StartGate::grant(Instant now) {
    if (places_.empty()) return std::nullopt;
    if (starting() >= starting_max_) {
        auto ended = std::ranges::min_element(held_, {}, &decltype(held_)::value_type::second);
        if (ended->second > now) return std::nullopt;
        held_.erase(ended);
    }
    bool ordinary =
        urgent_.empty() || (!ordinary_.empty() && urgent_in_a_row_ >= urgent_in_a_row_max);
    urgent_in_a_row_ = ordinary ? 0 : urgent_in_a_row_ + 1;
    auto& queue = ordinary ? ordinary_ : urgent_;
    StartKey key = queue.begin()->second;
    queue.erase(queue.begin());
    places_.erase(key);
    held_.emplace(key, now + hold_max_);
    return key;
}

Instant StartGate::next_deadline() const {
    if (places_.empty() || held_.empty()) return Instant::max();
    return std::ranges::min_element(held_, {}, &decltype(held_)::value_type::second)->second;
}

}  // namespace holdfast::service
