#include "runtime/sim/store.h"

namespace holdfast::runtime {

namespace {

void apply_batch(SimStore::Content& content, const Batch& batch) {
    for (const auto& step : batch.steps()) {
        switch (step.kind) {
            case Batch::Kind::put:
                content.insert_or_assign(step.key, step.value);
                break;
            case Batch::Kind::erase:
                content.erase(step.key);
                break;
            case Batch::Kind::erase_range:
                if (step.key < step.value) {
                    content.erase(content.lower_bound(step.key), content.lower_bound(step.value));
                }
                break;
        }
    }
}

Error refused() {
    return {Errc::unavailable, "the store takes no more writes; reopen it"};
}

}  // namespace

struct SimStore::Pending {
    std::uint64_t through = 0;  // The last batch that it answers for.
    Durability durability = Durability::buffered;
    bool fails = false;
    Instant at;
    Completion<Result<void>> done;
};

class SimStore::View final : public Snapshot {
  public:
    View(const SimStore& store, std::shared_ptr<const Content> content)
        : store_(store), content_(std::move(content)) {}

    Result<std::optional<std::string>> get(std::string_view key) const override {
        HF_TRY_VOID(store_.check(key));
        const auto entry = content_->find(key);
        if (entry == content_->end()) return std::nullopt;
        return entry->second;
    }

    Result<void> scan(
        std::string_view from, std::string_view to,
        const std::function<bool(std::string_view, std::string_view)>& visit) const override {
        for (auto entry = content_->lower_bound(from); entry != content_->end(); ++entry) {
            if (!to.empty() && entry->first >= to) break;
            HF_TRY_VOID(store_.check(entry->first));
            if (!visit(entry->first, entry->second)) break;
        }
        return {};
    }

  private:
    const SimStore& store_;
    std::shared_ptr<const Content> content_;
};

SimStore::SimStore(Clock& clock, Random random, StoreFaults faults, Content content)
    : clock_(clock),
      random_(std::move(random)),
      faults_(faults),
      durable_(std::move(content)),
      visible_(std::make_shared<Content>(durable_)),
      timer_(clock.timers(), [this] { complete_due(); }) {}

SimStore::~SimStore() = default;

Result<void> SimStore::check(std::string_view key) const {
    if (!damaged_.contains(key)) return {};
    broken_ = true;
    return fail(Errc::corrupt, "checksum mismatch in the store");
}

Result<std::optional<std::string>> SimStore::get(std::string_view key) const {
    return View(*this, visible_).get(key);
}

std::unique_ptr<Snapshot> SimStore::snapshot() const {
    return std::make_unique<View>(*this, visible_);
}

Task<Result<void>> SimStore::write(Batch batch, Durability durability) {
    if (broken_) return refuse();
    written_.push_back(std::move(batch));
    ++written_through_;
    if (random_.chance(0.5)) show(written_through_);
    return enqueue(durability, random_.chance(faults_.write_error));
}

Task<Result<void>> SimStore::flush() {
    if (broken_) return refuse();
    return enqueue(Durability::synced, random_.chance(faults_.write_error));
}

Task<Result<void>> SimStore::checkpoint(std::string directory) {
    Completion<Result<void>> done;
    if (checkpoints_.contains(directory)) {
        done.complete(fail(Errc::conflict, directory + " exists"));
    } else {
        show(written_through_);
        checkpoints_.emplace(directory, *visible_);
        done.complete({});
    }
    return Completion<Result<void>>::answer(done);
}

const SimStore::Content* SimStore::checkpoint_at(const std::string& directory) const {
    const auto found = checkpoints_.find(directory);
    return found == checkpoints_.end() ? nullptr : &found->second;
}

Task<Result<void>> SimStore::refuse() {
    Completion<Result<void>> done;
    done.complete(std::unexpected(refused()));
    return Completion<Result<void>>::answer(done);
}

Task<Result<void>> SimStore::enqueue(Durability durability, bool fails) {
    auto latency = random_.between(faults_.latency_least, faults_.latency_most);
    if (durability == Durability::buffered) latency /= 10;
    auto at = clock_.now() + latency;
    if (!pending_.empty()) at = std::max(at, pending_.back().at);
    Pending pending{.through = written_through_,
                    .durability = durability,
                    .fails = fails,
                    .at = at,
                    .done = {}};
    const auto done = pending.done;
    pending_.push_back(std::move(pending));
    complete_due();
    return Completion<Result<void>>::answer(done);
}

void SimStore::complete_due() {
    while (!faults_.hung && !pending_.empty() && pending_.front().at <= clock_.now()) {
        const auto pending = std::move(pending_.front());
        pending_.pop_front();
        broken_ = broken_ || pending.fails;
        if (broken_) {  // Once one has failed, so has everything behind it.
            pending.done.complete(std::unexpected(refused()));
            continue;
        }
        show(pending.through);
        if (pending.durability == Durability::synced) make_durable(pending.through);
        pending.done.complete({});  // Resumes whoever waits, who may write more.
    }
    arm();
}

void SimStore::arm() {
    if (faults_.hung || pending_.empty()) {
        timer_.disarm();
    } else {
        timer_.arm(pending_.front().at);
    }
}

void SimStore::show(std::uint64_t through) {
    if (visible_through_ >= through) return;
    if (visible_.use_count() > 1) visible_ = std::make_shared<Content>(*visible_);
    for (; visible_through_ < through; ++visible_through_) {
        const auto index = static_cast<std::size_t>(visible_through_ - durable_through_);
        apply_batch(*visible_, written_[index]);
    }
}

void SimStore::make_durable(std::uint64_t through) {
    for (; durable_through_ < through; ++durable_through_) {
        apply_batch(durable_, written_.front());
        written_.pop_front();
    }
}

void SimStore::set_faults(StoreFaults faults) {
    faults_ = faults;
    arm();
}

void SimStore::crash() {
    pending_.clear();
    timer_.disarm();
    make_durable(durable_through_ + random_.below(written_.size() + 1));
    written_.clear();
    durable_through_ = visible_through_ = written_through_;
    visible_ = std::make_shared<Content>(durable_);
    broken_ = false;
}

void SimStore::damage(std::string key) {
    damaged_.insert(std::move(key));
}

}  // namespace holdfast::runtime
