#include "service/backoff.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast::service {

void Backoff::set_bounds(Duration least, Duration most) {
    HF_CHECK(least > Duration::zero());
    HF_CHECK(least <= most);
    least_ = least;
    most_ = most;
}

Duration Backoff::failed(runtime::Random& random) {
    if (failures_ < 1'000'000) ++failures_;
    return random.between(Duration::zero(), bound());
}

Duration Backoff::bound() const {
    if (failures_ == 0) return Duration::zero();
    Duration bound = least_;
    for (int i = 1; i < failures_ && bound < most_; ++i) bound = std::min(most_, bound * 2);
    return bound;
}

}  // namespace holdfast::service
