// The last changes, for watches: what happened after a revision, or that it is no longer known.
//
// Bounded: the oldest transactions go first (compaction). Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "coord/coordinator.h"

namespace holdfast::coord {

struct HistoryLimits {
    std::size_t changes_max = 4096;
    std::size_t bytes_max = std::size_t{4} << 20;
};

class History {
  public:
    // Knows nothing of what happened up to `head`.
    explicit History(Revision head, HistoryLimits limits = {});

    // The next transaction's changes; its revision is head() + 1.
    void append(std::vector<Change> changes);

    Revision head() const { return head_; }

    // True if every change after `after` is known.
    bool reaches(Revision after) const { return after >= compacted_ && after <= head_; }

    // Requires reaches(after). Changes of keys with the prefix after `after`, up to head().
    std::vector<Change> since(std::string_view prefix, Revision after) const;

  private:
    struct Transacted {
        std::vector<Change> changes;
        std::size_t bytes = 0;
    };

    HistoryLimits limits_;
    Revision head_;
    Revision compacted_;                   // Changes up to here are forgotten.
    std::deque<Transacted> transactions_;  // Of revisions compacted_ + 1 to head_.
    std::size_t changes_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace holdfast::coord
