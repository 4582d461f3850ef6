#include "health/alert.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/units.h"

namespace holdfast::health {

namespace {

constexpr std::uint8_t line_format = 1;

void append_time(std::string& out, WallTime time) {
    append_le(out, std::int64_t{time.time_since_epoch().count()});
}

WallTime take_time(ByteReader& reader) {
    return WallTime(Duration(reader.le<std::int64_t>()));
}

void append_message(std::string& out, const std::optional<AlarmMessage>& message) {
    append_le(out, static_cast<std::uint8_t>(message.has_value()));
    if (!message) return;
    append_le(out, static_cast<std::uint8_t>(message->from));
    append_le(out, static_cast<std::uint8_t>(message->to));
    for (auto time : {message->at, message->began, message->from_at}) append_time(out, time);
    append_sized(out, message->reason);
}

std::optional<AlarmState> take_state(ByteReader& reader) {
    auto value = reader.le<std::uint8_t>();
    if (value > static_cast<std::uint8_t>(AlarmState::down)) return std::nullopt;
    return static_cast<AlarmState>(value);
}

// False if what is there cannot be a message.
bool take_message(ByteReader& reader, std::optional<AlarmMessage>& into) {
    auto there = reader.le<std::uint8_t>();
    if (there == 0) return true;
    auto from = take_state(reader);
    auto to = take_state(reader);
    if (there != 1 || !from || !to) return false;
    AlarmMessage message{
        .from = *from, .to = *to, .at = {}, .began = {}, .from_at = {}, .reason = {}};
    for (auto* time : {&message.at, &message.began, &message.from_at}) *time = take_time(reader);
    message.reason = reader.sized();
    into = std::move(message);
    return reader.ok();
}

}  // namespace

std::string_view alarm_name(AlarmState state) {
    switch (state) {
        case AlarmState::healthy:
            return "recovered";
        case AlarmState::degraded:
            return "degraded";
        case AlarmState::down:
            return "down";
    }
    return "unknown";
}

std::string encode_line(const AlertLineKey& key, const AlertLine& line) {
    std::string out;
    append_le(out, line_format);
    append_sized(out, key.service);
    append_sized(out, key.url);
    append_le(out, static_cast<std::uint8_t>(line.told));
    append_time(out, line.began);
    append_time(out, line.told_at);
    append_message(out, line.telling);
    append_message(out, line.next);
    append_le(out, crc32c(out));
    return out;
}

Result<std::pair<AlertLineKey, AlertLine>> decode_line(std::string_view bytes) {
    auto damaged = fail(Errc::corrupt, "the record of an alert is damaged");
    constexpr std::size_t checksum_bytes = sizeof(std::uint32_t);
    if (bytes.size() < checksum_bytes) return damaged;
    auto content = bytes.substr(0, bytes.size() - checksum_bytes);
    if (ByteReader(bytes.substr(content.size())).le<std::uint32_t>() != crc32c(content)) {
        return damaged;
    }
    ByteReader reader(content);
    if (reader.le<std::uint8_t>() != line_format) return damaged;
    AlertLineKey key;
    key.service = reader.sized();
    key.url = reader.sized();
    auto told = take_state(reader);
    if (!told) return damaged;
    AlertLine line;
    line.told = *told;
    line.began = take_time(reader);
    line.told_at = take_time(reader);
    bool sound = take_message(reader, line.telling) && take_message(reader, line.next);
    if (!sound || !reader.done()) return damaged;
    return std::pair(std::move(key), std::move(line));
}

Alerting::Alerting(AlertLimits limits, runtime::Random random)
    : limits_(limits), random_(std::move(random)) {
    HF_CHECK(limits.hold >= Duration::zero());
    HF_CHECK(limits.backoff_least > Duration::zero());
    HF_CHECK(limits.backoff_least <= limits.backoff_most);
    HF_CHECK(limits.tries_max > 0);
    HF_CHECK(limits.posting_max > 0);
}

void Alerting::restore(std::vector<std::pair<AlertLineKey, AlertLine>> lines, Instant now) {
    HF_CHECK(lines_.empty());
    for (auto& [key, kept] : lines) {
        auto& line = lines_[key];
        line.kept = std::move(kept);
        line.first_attempt = now;
        // Whether the last attempt arrived nobody knows: it is made again, with the same alerts.
        if (line.kept.telling) line.retry_due = now + backoff(1);
        if (line.kept.next) line.next_due = now + limits_.hold;
    }
}

Alerting::Step Alerting::observed(std::string_view service, const std::vector<std::string>& to,
                                  AlarmState state, std::string reason, WallTime at, Instant now) {
    Step step;
    for (auto line = lines_.lower_bound({std::string(service), ""});
         line != lines_.end() && line->first.service == service;) {
        if (std::ranges::find(to, line->first.url) != to.end()) {
            ++line;
            continue;
        }
        if (line->second.posting) --posting_;
        step.changed.push_back(line->first);
        line = lines_.erase(line);
    }
    for (const auto& url : to) {
        AlertLineKey key{std::string(service), url};
        auto found = lines_.find(key);
        if (found == lines_.end()) {
            if (state == AlarmState::healthy) continue;  // Nothing was told, nothing is wrong.
            if (lines_.size() >= limits_.lines_max) {
                step.notes.push_back(
                    fmt::format("{}: too many alerts are outstanding to tell {}", service, url));
                continue;
            }
            found = lines_.emplace(key, Line{}).first;
        }
        want(key, found->second, state, reason, at, now, step);
    }
    return step;
}

Alerting::Step Alerting::forget(std::string_view service, std::string reason, WallTime at,
                                Instant now) {
    std::vector<std::string> to;
    for (auto line = lines_.lower_bound({std::string(service), ""});
         line != lines_.end() && line->first.service == service; ++line) {
        to.push_back(line->first.url);
    }
    return observed(service, to, AlarmState::healthy, std::move(reason), at, now);
}

void Alerting::want(const AlertLineKey& key, Line& line, AlarmState state,
                    const std::string& reason, WallTime at, Instant now, Step& step) {
    auto& kept = line.kept;
    auto base = kept.telling ? kept.telling->to : kept.told;
    auto intended = kept.next ? kept.next->to : base;
    if (state == intended) return;
    if (state == base) {
        kept.next.reset();  // It has gone back before it was told.
    } else {
        AlarmMessage message{
            .from = base, .to = state, .at = at, .began = at, .from_at = {}, .reason = reason};
        if (base != AlarmState::healthy) {
            message.began = kept.telling ? kept.telling->began : kept.began;
            message.from_at = kept.telling ? kept.telling->at : kept.told_at;
        }
        if (!kept.next) line.next_due = now + limits_.hold;
        kept.next = std::move(message);
    }
    conclude(key, line, step);
}

// The line has changed: it is to be kept, or, when there is nothing to remember, forgotten.
void Alerting::conclude(const AlertLineKey& key, Line& line, Step& step) {
    step.changed.push_back(key);
    HF_CHECK(!line.posting || line.kept.telling);
    if (line.kept.idle()) lines_.erase(AlertLineKey(key));
}

Instant Alerting::due(const Line& line) const {
    if (line.posting) return Instant::max();
    if (line.kept.telling) return line.retry_due;
    return line.kept.next ? line.next_due : Instant::max();
}

Instant Alerting::next_deadline() const {
    if (posting_ >= limits_.posting_max) return Instant::max();
    Instant earliest = Instant::max();
    for (const auto& [key, line] : lines_) earliest = std::min(earliest, due(line));
    return earliest;
}

Alerting::Step Alerting::advance(Instant now) {
    Step step;
    for (auto& [key, line] : lines_) {
        if (posting_ >= limits_.posting_max) break;
        if (due(line) > now) continue;
        if (!line.kept.telling) {
            line.kept.telling = std::exchange(line.kept.next, std::nullopt);
            line.attempts = 0;
            line.first_attempt = now;
            step.changed.push_back(key);
        }
        line.posting = true;
        ++posting_;
        step.posts.push_back({key, *line.kept.telling, ++line.attempts});
    }
    return step;
}

Alerting::Step Alerting::delivered(const AlertLineKey& key, Delivery delivery, std::string reason,
                                   Instant now) {
    Step step;
    auto found = lines_.find(key);
    // Its URL may have been taken out meanwhile.
    if (found == lines_.end() || !found->second.posting) return step;
    auto& line = found->second;
    line.posting = false;
    --posting_;
    bool spent = line.attempts >= limits_.tries_max || now - line.first_attempt >= limits_.try_for;
    if (delivery == Delivery::failed && !spent) {
        line.retry_due = now + backoff(line.attempts);
        return step;
    }
    auto message = *std::exchange(line.kept.telling, std::nullopt);
    if (delivery != Delivery::taken) {
        step.notes.push_back(
            fmt::format("{} was not told that {} is {}: {} after {} in {}", key.url, key.service,
                        alarm_name(message.to), reason,
                        line.attempts == 1 ? "1 try" : fmt::format("{} tries", line.attempts),
                        format_duration_rough(now - line.first_attempt)));
    }
    line.kept.told = message.to;
    line.kept.began = message.began;
    line.kept.told_at = message.at;
    line.retry_due = Instant::max();
    conclude(key, line, step);
    return step;
}

// Full jitter: uniform up to an exponentially growing limit.
Duration Alerting::backoff(int attempts) {
    auto limit = limits_.backoff_least;
    for (int i = 1; i < attempts && limit < limits_.backoff_most; ++i) limit *= 2;
    return random_.between(Duration::zero(), std::min(limit, limits_.backoff_most));
}

const AlertLine* Alerting::find(const AlertLineKey& key) const {
    auto found = lines_.find(key);
    return found == lines_.end() ? nullptr : &found->second.kept;
}

std::size_t Alerting::waiting() const {
    std::size_t count = 0;
    for (const auto& [key, line] : lines_) {
        count += line.kept.telling.has_value();
        count += line.kept.next.has_value();
    }
    return count;
}

std::vector<std::string> Alerting::services() const {
    std::vector<std::string> names;
    for (const auto& [key, line] : lines_) {
        if (names.empty() || names.back() != key.service) names.push_back(key.service);
    }
    return names;
}

}  // namespace holdfast::health
