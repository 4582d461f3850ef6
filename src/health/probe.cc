#include "health/probe.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/units.h"

namespace holdfast::health {

using namespace std::chrono_literals;

namespace {

constexpr Duration quick_least = 20ms;
constexpr Duration quick_most = 250ms;
constexpr Duration confirm_after = 5ms;
// Growing so, a start that takes t is noticed within t/25: 40 ms for one of a second.
constexpr int quick_share = 25;
// A time-out noticed so much later than it was due is the node's own standstill.
constexpr Duration stall_tolerated = 200ms;

}  // namespace

std::string_view verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::unknown:
            return "unknown";
        case Verdict::passing:
            return "passing";
        case Verdict::failing:
            return "failing";
    }
    return "unknown";
}

std::string ordinal(int n) {
    int last = n % 10;
    bool teens = n % 100 >= 11 && n % 100 <= 13;
    std::string_view suffix = teens || last > 3 || last == 0 ? "th"
                              : last == 1                    ? "st"
                              : last == 2                    ? "nd"
                                                             : "rd";
    return fmt::format("{}{}", n, suffix);
}

std::string probe_name(const ProbeSpec& spec) {
    switch (spec.kind) {
        case ProbeSpec::Kind::tcp:
            return "tcp";
        case ProbeSpec::Kind::http:
            return "http:" + spec.path;
        case ProbeSpec::Kind::exec: {
            constexpr std::size_t shown = 60;
            bool cut = spec.command.size() > shown;
            return "exec:" + spec.command.substr(0, shown) + (cut ? "..." : "");
        }
        case ProbeSpec::Kind::grpc:
            return "grpc";
    }
    return "probe";
}

Probing::Probing(Options options, Instant launched, runtime::Random random)
    : options_(std::move(options)), launched_(launched), random_(std::move(random)) {
    HF_CHECK(options_.every > Duration::zero());
    HF_CHECK(options_.timeout > Duration::zero());
    HF_CHECK(options_.fall > 0);
    HF_CHECK(options_.rise > 0);
    asked_at_ = launched;
    row_began_ = launched;
    next_ = options_.quick_start ? launched + quick_least
                                 : launched + random_.between(Duration::zero(), options_.every);
}

Instant Probing::next_deadline() const {
    return asking_ ? asked_at_ + options_.timeout : next_;
}

Probing::Step Probing::advance(Instant now) {
    Step step;
    if (asking_ && now >= asked_at_ + options_.timeout) {
        bool late = now > asked_at_ + options_.timeout + stall_tolerated;
        asking_ = false;
        step.abandon = true;
        ProbeResult result{.answer = late ? Answer::unasked : Answer::unwell,
                           .reason = fmt::format("{} gave no answer in {}", options_.name,
                                                 format_duration(options_.timeout)),
                           .took = now - asked_at_};
        step.change = judge(result);
        schedule(now);
    }
    if (!asking_ && now >= next_) {
        asking_ = true;
        asked_at_ = now;
        step.start = ++attempt_;
    }
    return step;
}

std::optional<VerdictChange> Probing::answer(Attempt attempt, const ProbeResult& result,
                                             Instant now) {
    if (!asking_ || attempt != attempt_) return std::nullopt;
    asking_ = false;
    auto change = judge(result);
    schedule(now);
    return change;
}

std::optional<VerdictChange> Probing::judge(const ProbeResult& result) {
    last_ = result;
    if (result.answer == Answer::unasked) return std::nullopt;
    bool well = result.answer == Answer::well;
    if (in_a_row_ == 0 || well != last_well_) {
        in_a_row_ = 0;
        row_began_ = asked_at_;
    }
    last_well_ = well;
    ++in_a_row_;
    if (well) {
        unwell_since_.reset();
    } else if (!unwell_since_) {
        unwell_since_ = asked_at_;
    }
    auto verdict = well ? Verdict::passing : Verdict::failing;
    int needed = well ? options_.rise : options_.fall;
    in_a_row_ = std::min(in_a_row_, needed);
    if (verdict_ == Verdict::unknown) reason_ = result.reason;
    if (verdict == verdict_ || in_a_row_ < needed) return std::nullopt;
    passed_ = passed_ || well;
    reason_ = needed == 1 ? result.reason
                          : fmt::format("{}, {} of {}", result.reason, ordinal(needed), needed);
    auto from = std::exchange(verdict_, verdict);
    return VerdictChange{.from = from, .to = verdict, .reason = reason_, .since = row_began_};
}

void Probing::schedule(Instant now) {
    if (options_.quick_start && !passed_) {
        bool confirming = last_.answer == Answer::well;
        next_ = now + (confirming ? confirm_after
                                  : std::clamp<Duration>((now - launched_) / quick_share,
                                                         quick_least, quick_most));
        return;
    }
    next_ = now + random_.between(options_.every - options_.every / 10,
                                  options_.every + options_.every / 10);
}

}  // namespace holdfast::health
