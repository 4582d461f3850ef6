#include "service/rollout.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace holdfast::service {

namespace {
constexpr int starts_failed_max = 2;
constexpr Duration ready_within_least = std::chrono::seconds(10);
}  // namespace

Duration ready_within(Duration watch, std::optional<Duration> measured) {
    return std::max({watch, ready_within_least, measured.value_or(Duration::zero()) * 3});
}

Rollout::Rollout(Instant now, RolloutPlan plan) : plan_(std::move(plan)), began_(now) {}

void Rollout::fail(std::string reason) {
    if (!verdict_) verdict_ = RolloutVerdict{false, std::move(reason)};
}

void Rollout::start_failed(Instant now, const std::string& reason, bool certain) {
    ++starts_failed_;
    if (certain) {
        fail(reason);
    } else if (starts_failed_ >= starts_failed_max) {
        fail(fmt::format("{}, before it was ready, start {} of {} within {}", reason,
                         starts_failed_, starts_failed_max, format_duration_rough(now - began_)));
    }
}

void Rollout::failed(Instant now, const std::string& reason) {
    fail(fmt::format("{}, {} into the rollout", reason, format_duration_rough(now - began_)));
}

void Rollout::hot_failed(Instant now, const std::string& reason) {
    fail(fmt::format("the new run beside the old one {}, {} into the rollout", reason,
                     format_duration_rough(now - began_)));
}

void Rollout::unready(Instant now, const std::string& reason) {
    fail(fmt::format("{}, {} into the rollout", reason, format_duration_rough(now - began_)));
}

void Rollout::start_is_slow(Instant now) {
    fail(fmt::format("not ready within {}, {} into the rollout",
                     format_duration_rough(plan_.ready_within),
                     format_duration_rough(now - began_)));
}

void Rollout::progress(Instant now, int ready, int wanted) {
    if (verdict_ || ready < wanted) return;
    if (!watch_until_) watch_until_ = now + plan_.watch;
    if (now >= *watch_until_) {
        verdict_ = RolloutVerdict{
            true, fmt::format("all {} ready, and no trouble for {}",
                              wanted == 1 ? "1 instance" : fmt::format("{} instances", wanted),
                              format_duration_rough(plan_.watch))};
    }
}

Instant Rollout::next_deadline() const {
    return verdict_ || !watch_until_ ? Instant::max() : *watch_until_;
}

void Rollout::begin_again(Instant now) {
    began_ = now;
    starts_failed_ = 0;
    watch_until_.reset();
    verdict_.reset();
}

}  // namespace holdfast::service
