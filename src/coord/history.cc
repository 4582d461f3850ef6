#include "coord/history.h"

#include "base/check.h"

namespace holdfast::coord {

History::History(Revision head, HistoryLimits limits)
    : limits_(limits), head_(head), compacted_(head) {}

void History::append(std::vector<Change> changes) {
    Transacted transacted;
    for (const auto& change : changes) {
        transacted.bytes += sizeof(Change) + change.entry.key.size() + change.entry.value.size();
    }
    changes_ += changes.size();
    bytes_ += transacted.bytes;
    transacted.changes = std::move(changes);
    transactions_.push_back(std::move(transacted));
    ++head_;
    while (changes_ > limits_.changes_max || bytes_ > limits_.bytes_max) {
        changes_ -= transactions_.front().changes.size();
        bytes_ -= transactions_.front().bytes;
        transactions_.pop_front();
        ++compacted_;
    }
}

std::vector<Change> History::since(std::string_view prefix, Revision after) const {
    HF_CHECK(reaches(after));
    std::vector<Change> found;
    for (auto index = static_cast<std::size_t>(after - compacted_); index < transactions_.size();
         ++index) {
        for (const auto& change : transactions_[index].changes) {
            if (change.entry.key.starts_with(prefix)) found.push_back(change);
        }
    }
    return found;
}

}  // namespace holdfast::coord
