#include "coord/feed.h"

#include <utility>

namespace holdfast::coord {

class Feed::Follower final : public Watch {
  public:
    Follower(Feed& feed, std::uint64_t number, std::string prefix, Revision after)
        : feed_(feed), number_(number), prefix_(std::move(prefix)), reported_(after) {
        feed_.followers_.emplace(number_, this);
    }
    ~Follower() override { feed_.followers_.erase(number_); }

    runtime::Task<Result<WatchEvent>> next() override {
        while (true) {
            if (!feed_.history_.reaches(reported_)) co_return resync();
            auto changes = feed_.history_.since(prefix_, reported_);
            reported_ = feed_.head();
            if (!changes.empty()) {
                co_return WatchEvent{
                    .resync = false, .changes = std::move(changes), .revision = reported_};
            }
            co_await something_.wait();
        }
    }

    // A watch with nothing to report keeps up, so that changes elsewhere never leave it behind.
    void note(const std::vector<Change>& changes, Revision revision) {
        if (reported_ + 1 != revision) return;
        for (const auto& change : changes) {
            if (change.entry.key.starts_with(prefix_)) return;
        }
        reported_ = revision;
    }

    void wake() {
        if (reported_ != feed_.head()) something_.wake();
    }

  private:
    Result<WatchEvent> resync() {
        HF_TRY(auto listing, feed_.state_(prefix_));
        WatchEvent event{.resync = true, .changes = {}, .revision = listing.revision};
        for (auto& entry : listing.entries) {
            event.changes.push_back({.kind = Change::Kind::put, .entry = std::move(entry)});
        }
        reported_ = event.revision;
        return event;
    }

    Feed& feed_;
    std::uint64_t number_;
    std::string prefix_;
    Revision reported_;
    runtime::Signal something_;
};

Feed::Feed(Revision head, HistoryLimits limits, State state)
    : history_(head, limits), state_(std::move(state)) {}

Feed::~Feed() {
    HF_CHECK(followers_.empty());
}

void Feed::append(std::vector<Change> changes) {
    const auto revision = history_.head() + 1;
    for (auto& [number, follower] : followers_) follower->note(changes, revision);
    history_.append(std::move(changes));
}

void Feed::wake() {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, follower] : followers_) numbers.push_back(number);
    for (const auto number : numbers) {  // Any of them may end any other.
        if (auto found = followers_.find(number); found != followers_.end()) found->second->wake();
    }
}

std::unique_ptr<Watch> Feed::watch(std::string prefix, Revision after) {
    return std::make_unique<Follower>(*this, ++followers_made_, std::move(prefix), after);
}

}  // namespace holdfast::coord
