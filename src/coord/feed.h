// Feed: the history of a store in memory and the watches that follow it.
//
// A watch keeps no queue, only the revision it has reported; it reads the history when asked, so a
// slow one costs nothing and is told the whole state when the history has left it behind.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coord/coordinator.h"
#include "coord/history.h"
#include "runtime/clock.h"

namespace holdfast::coord {

class Feed {
  public:
    // Lists the state at exactly the revision last published.
    using State = std::function<Result<Listing>(const std::string& prefix)>;

    Feed(Revision head, HistoryLimits limits, State state);
    ~Feed();  // Its watches are gone.
    Feed(const Feed&) = delete;
    Feed& operator=(const Feed&) = delete;

    // Appends one transaction. Watches that wait are resumed by wake(), not here.
    void append(std::vector<Change> changes);
    // Resumes the watches that something has happened to; they may call anything but ~Feed().
    void wake();

    std::unique_ptr<Watch> watch(std::string prefix, Revision after);

    Revision head() const { return history_.head(); }

  private:
    class Follower;

    History history_;
    State state_;
    std::map<std::uint64_t, Follower*> followers_;
    std::uint64_t followers_made_ = 0;
};

}  // namespace holdfast::coord
