// The timeline: what changed, when, why, and what followed from it. Pure.
//
// A record is one change: of a service's or instance's state, of a verdict, of a run. The timeline
// keeps a bounded number of them in order, and folds them into incidents: from the moment a service
// left `ready` for `degraded` or `down` until it was ready again, which is the recovery time that
// was really had, as opposed to the one that was hoped for.
//
// Format on disk: docs/formats/journal.md.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::health {

using RecordId = std::uint64_t;  // Rises from 1 in the order of recording; 0: none.

struct Record {
    RecordId id = 0;      // Given by the journal.
    WallTime at;          // When it happened.
    std::string subject;  // "service/shop", "instance/shop.0", "node"
    std::string
        kind;  // "state", "verdict", "run", "alert", "job", ...: see docs/formats/journal.md
    std::string from;  // Of a change; may be empty.
    std::string to;
    std::string reason;  // In words, with measured times.
    std::vector<std::pair<std::string, std::string>> details;
    RecordId caused_by = 0;

    bool operator==(const Record&) const = default;
};

std::string encode_record(const Record& record);  // Without the id, which is its key.
Result<Record> decode_record(RecordId id, std::string_view bytes);

// An episode of a service not being ready. Open while `ended` is not set.
struct Incident {
    RecordId first = 0;  // The record that opened it.
    WallTime began;
    std::optional<WallTime> ended;
    std::string worst;         // "degraded" or "down"
    std::string cause;         // The reason that stands at the beginning of the chain.
    std::string resolution;    // The reason of the record that ended it.
    bool by_operator = false;  // It ended because the service was stopped or deleted.
    Duration lasted{};         // Until `ended`, or until asked. Never negative, clock steps or not.
    std::vector<RecordId> records;  // All that belongs to it, in order: at most 200, the last ones.
};

struct TimelineEntry {
    Record record;
    Duration after{};       // Since the entry before it.
    int indent = 0;         // Depth below the record that caused it, among those shown.
    RecordId incident = 0;  // `first` of the incident it belongs to; 0: none.
};

// What `why SERVICE` answers.
struct Account {
    std::string subject;
    std::string state;  // `to` of the last record of kind "state"; empty: nothing is known.
    WallTime since;
    std::string reason;
    std::vector<Incident> incidents;      // Oldest first.
    std::vector<TimelineEntry> timeline;  // Oldest first.
};

struct RecordQuery {
    std::string subject;  // Exactly, or a service's name with all its instances: "service/shop".
    std::size_t limit = 100;  // The last so many.
    std::optional<WallTime> since;
};

// Not thread-safe.
class Timeline {
  public:
    struct Limits {
        std::size_t records_max = 10'000;
        std::size_t per_subject_max = 1'000;
    };
    Timeline() = default;
    explicit Timeline(Limits limits) : limits_(limits) {}

    // Appends; returns the ids of records that went to make room. `record.id` must be larger than
    // all before.
    std::vector<RecordId> add(Record record);

    std::size_t size() const { return records_.size(); }
    RecordId last_id() const { return last_id_; }
    std::vector<Record> query(const RecordQuery& query) const;  // Oldest first.
    const Record* find(RecordId id) const;

    // Folds the records of a service (and of its instances) as of `now`.
    Account explain(std::string_view service, std::size_t limit, WallTime now) const;

  private:
    void drop(RecordId id);

    Limits limits_;
    std::map<RecordId, Record> records_;
    std::map<std::string, std::deque<RecordId>, std::less<>> by_subject_;
    RecordId last_id_ = 0;
};

// Incidents among records that are in order and belong to one service.
std::vector<Incident> fold_incidents(const std::vector<Record>& records, std::string_view service,
                                     WallTime now);

}  // namespace holdfast::health
