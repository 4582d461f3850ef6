// A Coordinator with every liberty the contract allows, for seeded tests of what is built upon it.
//
// One Ensemble stands for the coordination service of a whole world; each node talks to it through
// a SimulatedCoordinator of its own, which may be slow, lose requests, lose answers, or be cut off.
// Whatever happens, transactions are linearizable; only knowledge of them gets lost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coord/coordinator.h"
#include "coord/feed.h"
#include "coord/transaction.h"
#include "runtime/clock.h"
#include "runtime/completion.h"
#include "runtime/random.h"

namespace holdfast::coord {

// Probabilities are per call. What is in doubt for a transaction is merely unavailable for a read.
struct Liberties {
    Duration delay_least{};  // Of each way, at least 1 ns.
    Duration delay_most{};
    double lose_request = 0;      // In doubt, and never applied.
    double lose_answer = 0;       // In doubt, and applied.
    double late_request = 0;      // In doubt, and applied after that answer.
    double refuse = 0;            // Errc::unavailable, and not applied.
    double resync = 0;            // Per watch event: the state instead of the changes.
    double watch_error = 0;       // Per call of next().
    Duration lease_early_most{};  // A lease may end this much too early,
    Duration lease_late_most{};   // or too late.
    bool cut_off = false;  // Nothing goes through, either way: every call runs into its deadline.
};

// The agreed state. Its clock is nobody's but its own: it ends the leases.
class Ensemble final : private EntryView {
  public:
    Ensemble(runtime::Clock& clock, runtime::Random random, HistoryLimits history = {});
    ~Ensemble() override;  // After its coordinators.
    Ensemble(const Ensemble&) = delete;
    Ensemble& operator=(const Ensemble&) = delete;

    Listing list_all(std::string_view prefix) const;
    Result<Outcome> apply(const Transaction& transaction);
    std::unique_ptr<Watch> watch(std::string prefix, Revision after);
    LeaseId grant(Duration time_to_live, const Liberties& liberties);
    Result<void> keep(LeaseId lease, const Liberties& liberties);
    Result<void> revoke(LeaseId lease);
    Revision revision() const { return feed_.head(); }

  private:
    struct Lease {
        Duration time_to_live{};
        Instant ends{};
    };
    Result<std::optional<Entry>> get(std::string_view key) const override;
    Result<std::vector<Entry>> list(std::string_view prefix) const override;
    bool has_lease(LeaseId lease) const override { return leases_.contains(lease); }
    void carry_out(const std::vector<Replacement>& replacements);
    Instant end_of(Duration time_to_live, const Liberties& liberties);
    void end_due_leases();
    void arm();

    runtime::Clock& clock_;
    runtime::Random random_;
    std::map<std::string, Entry, std::less<>> entries_;
    std::map<LeaseId, Lease> leases_;
    LeaseId leases_granted_ = 0;
    Feed feed_;
    runtime::Timer lease_timer_;
};

class SimulatedCoordinator final : public Coordinator {
  public:
    // All outlive it. `deadline` is that of each call.
    SimulatedCoordinator(Ensemble& ensemble, runtime::Clock& clock, runtime::Random random,
                         Duration deadline, Liberties liberties = {});
    ~SimulatedCoordinator() override;  // After its watches and calls.
    SimulatedCoordinator(const SimulatedCoordinator&) = delete;
    SimulatedCoordinator& operator=(const SimulatedCoordinator&) = delete;

    runtime::Task<Result<std::optional<Entry>>> get(std::string key) override;
    runtime::Task<Result<Listing>> list(std::string prefix) override;
    runtime::Task<Result<Outcome>> commit(Transaction transaction) override;
    std::unique_ptr<Watch> watch(std::string prefix, Revision after) override;
    runtime::Task<Result<LeaseId>> grant_lease(Duration time_to_live) override;
    runtime::Task<Result<void>> keep_lease(LeaseId lease) override;
    runtime::Task<Result<void>> revoke_lease(LeaseId lease) override;

    void set_liberties(Liberties liberties) { liberties_ = liberties; }

  private:
    class LibertineWatch;

    // How one call fares.
    struct Fate {
        Duration there{};
        Duration back{};
        bool lost_there = false;
        bool lost_back = false;
    };
    Fate draw();
    Duration delay();
    template <class T>
    runtime::Task<Result<T>> call(std::function<Result<T>()> act, Errc when_late);
    template <class T>
    runtime::Task<void> travel(std::function<Result<T>()> act, Fate fate,
                               runtime::Completion<Result<T>> answer);

    Ensemble& ensemble_;
    runtime::Clock& clock_;
    runtime::Random random_;
    Duration deadline_;
    Liberties liberties_;
    runtime::TaskGroup requests_;  // On their way, though the caller may have given up.
};

}  // namespace holdfast::coord
