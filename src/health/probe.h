// Probing: when to ask one instance whether it is well, and what to make of the answers.
//
// Pure, one per instance and kind of probe. It says when the next probe is due and when a running
// one has taken too long; whoever drives it asks, and tells it the answer.
//
// Hysteresis: after `fall` bad answers in a row the verdict is failing, after `rise` good ones it
// is passing; one of the other kind starts the count again. Until it first passes the cadence is
// quick, from 20 ms growing with the time since launch to 250 ms, and 5 ms between good answers, so
// that being ready is noticed within 50 ms of a start of up to a second; later it is `every`, give
// or take a tenth, so that a fleet's probes do not march in step. Bad answers make a verdict during
// a start too: whether that matters yet is for those to say who know how long starts may take.
//
// A probe that could not be carried out (Answer::unasked) counts for nothing: an instance is not
// ill because its doctor is. The same holds for a time-out which is noticed late because the node
// itself stood still.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "health/probe_spec.h"
#include "runtime/random.h"

namespace holdfast::health {

enum class Answer {
    well,
    unwell,
    unasked,  // The probe could not be carried out for a reason of our own.
};

struct ProbeResult {
    Answer answer = Answer::unasked;
    std::string reason;  // "http:/ready answered 503"; of a good answer too: "answered 200".
    Duration took{};
};

enum class Verdict { unknown, passing, failing };
std::string_view verdict_name(Verdict verdict);

struct VerdictChange {
    Verdict from = Verdict::unknown;
    Verdict to = Verdict::unknown;
    std::string reason;  // "http:/ready answered 503, 2nd of 2"
    // When the first of the answers that led to it was asked for.
    Instant since;
};

// Not thread-safe. Instants passed in must never decrease.
class Probing {
  public:
    struct Options {
        std::string name;  // For reasons: "http:/ready"; see probe_name().
        Duration every = std::chrono::seconds(1);
        Duration timeout = std::chrono::seconds(1);
        int fall = 2;
        int rise = 2;
        // A probe that waits out the start (live): quick cadence off, first probe after `every`.
        bool quick_start = true;
    };

    // `launched`: when the instance's run began.
    Probing(Options options, Instant launched, runtime::Random random);

    using Attempt = std::uint64_t;
    struct Step {
        std::optional<Attempt> start;  // Ask now, and answer() with this number.
        bool abandon = false;          // The running probe has timed out: stop asking.
        std::optional<VerdictChange> change;
    };

    // Time passed. Call at next_deadline(), or whenever it suits.
    Step advance(Instant now);
    // The answer of the attempt; one that was abandoned is ignored.
    std::optional<VerdictChange> answer(Attempt attempt, const ProbeResult& result, Instant now);

    // When advance() will have something to say: the next probe, or the running one's time-out.
    Instant next_deadline() const;

    Verdict verdict() const { return verdict_; }
    bool asking() const { return asking_; }
    // The reason of the verdict, or of the last answer before there is one.
    const std::string& reason() const { return reason_; }
    // The last answer of any kind, for people.
    const ProbeResult& last() const { return last_; }
    // How long the instance has been answering badly, from the first bad answer since the last good
    // one; none while the last answer was good.
    std::optional<Instant> unwell_since() const { return unwell_since_; }

  private:
    std::optional<VerdictChange> judge(const ProbeResult& result);
    void schedule(Instant now);

    Options options_;
    Instant launched_;
    runtime::Random random_;
    Verdict verdict_ = Verdict::unknown;
    std::string reason_ = "not asked yet";
    ProbeResult last_;
    int in_a_row_ = 0;  // Answers of the kind of the last one.
    bool last_well_ = false;
    bool asking_ = false;
    Attempt attempt_ = 0;
    Instant asked_at_;
    Instant row_began_;
    Instant next_;
    bool passed_ = false;  // Has been passing.
    std::optional<Instant> unwell_since_;
};

// "http:/ready", "tcp", "grpc", "exec:CMD" (cut at 60 bytes): as the spec writes it.
std::string probe_name(const ProbeSpec& spec);

// "1st", "2nd", "3rd", "11th".
std::string ordinal(int n);

}  // namespace holdfast::health
