#include "health/timeline.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace holdfast::health {

namespace {

constexpr std::uint8_t record_format = 1;
constexpr std::size_t incident_records_max = 200;

bool is_trouble(std::string_view state) {
    return state == "degraded" || state == "down";
}
// How an incident ends: the service does what is wanted of it again.
bool is_rest(std::string_view state) {
    return state == "ready" || state == "stopped" || state == "gone";
}

Duration between(WallTime from, WallTime to) {
    return std::max(Duration::zero(), to - from);
}

// The service a subject belongs to: "service/shop" of "instance/shop.0" and of itself.
std::string service_of(std::string_view subject) {
    constexpr std::string_view instance = "instance/";
    if (!subject.starts_with(instance)) return std::string(subject);
    subject.remove_prefix(instance.size());
    return "service/" + std::string(subject.substr(0, subject.rfind('.')));
}

}  // namespace

std::string encode_record(const Record& record) {
    std::string out;
    append_le(out, record_format);
    append_le(out, std::int64_t{record.at.time_since_epoch().count()});
    for (const auto* text :
         {&record.subject, &record.kind, &record.from, &record.to, &record.reason}) {
        append_sized(out, *text);
    }
    append_le(out, static_cast<std::uint32_t>(record.details.size()));
    for (const auto& [name, value] : record.details) {
        append_sized(out, name);
        append_sized(out, value);
    }
    append_le(out, record.caused_by);
    append_le(out, crc32c(out));
    return out;
}

Result<Record> decode_record(RecordId id, std::string_view bytes) {
    auto damaged =
        fail(Errc::corrupt, "record " + std::to_string(id) + " of the journal is damaged");
    constexpr std::size_t checksum_bytes = sizeof(std::uint32_t);
    if (bytes.size() < checksum_bytes) return damaged;
    auto content = bytes.substr(0, bytes.size() - checksum_bytes);
    if (ByteReader(bytes.substr(content.size())).le<std::uint32_t>() != crc32c(content)) {
        return damaged;
    }
    ByteReader reader(content);
    if (reader.le<std::uint8_t>() != record_format) return damaged;
    Record record;
    record.id = id;
    record.at = WallTime(Duration(reader.le<std::int64_t>()));
    for (auto* text : {&record.subject, &record.kind, &record.from, &record.to, &record.reason}) {
        *text = reader.sized();
    }
    auto details = reader.le<std::uint32_t>();
    for (std::uint32_t i = 0; i < details && reader.ok(); ++i) {
        std::string name(reader.sized());
        record.details.emplace_back(std::move(name), reader.sized());
    }
    record.caused_by = reader.le<RecordId>();
    if (!reader.done()) return damaged;
    return record;
}

std::vector<RecordId> Timeline::add(Record record) {
    HF_CHECK(record.id > last_id_);
    last_id_ = record.id;
    auto& own = by_subject_[record.subject];
    own.push_back(record.id);
    std::vector<RecordId> gone;
    if (own.size() > limits_.per_subject_max) gone.push_back(own.front());
    records_.emplace(record.id, std::move(record));
    for (auto id : gone) drop(id);
    if (records_.size() > limits_.records_max) {
        gone.push_back(records_.begin()->first);
        drop(gone.back());
    }
    return gone;
}

void Timeline::drop(RecordId id) {
    auto found = records_.find(id);
    HF_CHECK(found != records_.end());
    auto own = by_subject_.find(found->second.subject);
    HF_CHECK(own != by_subject_.end() && own->second.front() == id);
    own->second.pop_front();
    if (own->second.empty()) by_subject_.erase(own);
    records_.erase(found);
}

const Record* Timeline::find(RecordId id) const {
    auto found = records_.find(id);
    return found == records_.end() ? nullptr : &found->second;
}

std::vector<Record> Timeline::query(const RecordQuery& query) const {
    std::vector<RecordId> ids;
    auto take = [&](const std::deque<RecordId>& own) {
        ids.insert(ids.end(), own.begin(), own.end());
    };
    if (auto own = by_subject_.find(query.subject); own != by_subject_.end()) take(own->second);
    constexpr std::string_view service = "service/";
    if (query.subject.starts_with(service)) {
        auto prefix = "instance/" + query.subject.substr(service.size()) + ".";
        for (auto own = by_subject_.lower_bound(prefix);
             own != by_subject_.end() && own->first.starts_with(prefix); ++own) {
            // "shop.0" is an instance of shop; "shop.x.0" would be one of another service.
            if (service_of(own->first) == query.subject) take(own->second);
        }
    }
    std::ranges::sort(ids);
    std::vector<Record> found;
    for (auto id : ids) {
        const auto& record = records_.at(id);
        if (!query.since || record.at >= *query.since) found.push_back(record);
    }
    if (found.size() > query.limit) {
        found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(query.limit));
    }
    return found;
}

namespace {

// One pass over a service's records: the state before it, and the incident that is open.
class Folding {
  public:
    explicit Folding(std::string_view service) : service_(service) {}

    void take(const Record& record) {
        bool of_service = record.subject == service_ && record.kind == "state";
        if (of_service && is_trouble(record.to)) {
            if (!open_) open(record);
            if (record.to == "down") incidents_.back().worst = "down";
        }
        if (open_) note(record);
        if (of_service && open_ && is_rest(record.to)) close(record);
        // What led to an incident stands before it: kept in case the next record opens one.
        if (!open_) before_ = record.subject == service_ ? std::nullopt : std::optional(record);
    }

    std::vector<Incident> finish(WallTime now) {
        if (open_) incidents_.back().lasted = between(incidents_.back().began, now);
        return std::move(incidents_);
    }

  private:
    void open(const Record& record) {
        open_ = true;
        auto& incident = incidents_.emplace_back();
        incident.first = record.id;
        incident.began = record.at;
        incident.worst = record.to;
        incident.cause = record.reason;
        constexpr Duration same_event = std::chrono::seconds(5);
        bool led_here = before_ && (record.caused_by == before_->id || record.caused_by == 0) &&
                        between(before_->at, record.at) <= same_event;
        if (led_here) {
            incident.first = before_->id;
            incident.began = std::min(before_->at, record.at);
            if (!before_->reason.empty()) incident.cause = before_->reason;
            incident.records.push_back(before_->id);
        }
    }

    void note(const Record& record) {
        auto& records = incidents_.back().records;
        if (records.size() == incident_records_max) records.erase(records.begin() + 1);
        records.push_back(record.id);
    }

    void close(const Record& record) {
        auto& incident = incidents_.back();
        incident.ended = record.at;
        incident.resolution = record.reason;
        incident.by_operator = record.to != "ready";
        incident.lasted = between(incident.began, record.at);
        open_ = false;
    }

    std::string_view service_;
    std::vector<Incident> incidents_;
    std::optional<Record> before_;
    bool open_ = false;
};

}  // namespace

std::vector<Incident> fold_incidents(const std::vector<Record>& records, std::string_view service,
                                     WallTime now) {
    Folding folding(service);
    for (const auto& record : records) folding.take(record);
    return folding.finish(now);
}

Account Timeline::explain(std::string_view service, std::size_t limit, WallTime now) const {
    Account account;
    account.subject = service;
    auto records =
        query({.subject = std::string(service), .limit = limits_.records_max, .since = {}});
    account.incidents = fold_incidents(records, service, now);
    for (const auto& record : records) {
        if (record.subject != service || record.kind != "state") continue;
        account.state = record.to;
        account.since = record.at;
        account.reason = record.reason;
    }
    std::map<RecordId, RecordId> incident_of;
    for (const auto& incident : account.incidents) {
        for (auto id : incident.records) incident_of[id] = incident.first;
    }
    std::map<RecordId, int> depth;
    auto shown = records.size() - std::min(limit, records.size());
    for (auto i = shown; i < records.size(); ++i) {
        auto& record = records[i];
        TimelineEntry entry;
        auto cause = depth.find(record.caused_by);
        entry.indent = cause == depth.end() ? 0 : cause->second + 1;
        depth[record.id] = entry.indent;
        if (i > 0) entry.after = between(records[i - 1].at, record.at);
        if (auto found = incident_of.find(record.id); found != incident_of.end()) {
            entry.incident = found->second;
        }
        entry.record = record;
        account.timeline.push_back(std::move(entry));
    }
    return account;
}

}  // namespace holdfast::health
