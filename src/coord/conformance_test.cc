#include "coord/conformance.h"

#include <filesystem>

#include "coord/embedded.h"
#include "coord/simulated.h"
#include "runtime/real/rocks.h"
#include "runtime/sim/store.h"

namespace holdfast::coord {
namespace {

using runtime::PostedStepper;
using runtime::Random;
using runtime::RocksStore;
using runtime::SimStore;
using runtime::Stepper;
using runtime::VirtualStepper;

constexpr EmbeddedOptions short_memory{.history = {.changes_max = 100, .bytes_max = 3 << 20}};

class EmbeddedSubject : public CoordinatorSubject {
  public:
    Coordinator& coordinator() override { return *coordinator_; }
    void compact() override {
        const Transaction other{.when = {}, .then = {put("compacted", "")}};
        for (std::size_t i = 0; i <= short_memory.history.changes_max; ++i) {
            EXPECT_TRUE(stepper().finish(coordinator_->commit(other)));
        }
    }

  protected:
    void open(runtime::Store& store) {
        auto opened = EmbeddedCoordinator::open(store, stepper().clock(), short_memory);
        ASSERT_TRUE(opened) << opened.error().message;
        coordinator_ = std::move(*opened);
    }
    void close() { coordinator_.reset(); }

  private:
    std::unique_ptr<EmbeddedCoordinator> coordinator_;
};

class OnSimStore final : public EmbeddedSubject {
  public:
    OnSimStore() { open(store_); }
    ~OnSimStore() override { close(); }
    Stepper& stepper() override { return stepper_; }
    void restart() override {
        close();
        store_.crash();
        open(store_);
    }
    int transactions() override { return 1000; }

  private:
    VirtualStepper stepper_;
    SimStore store_{stepper_.clock(),
                    Random(1),
                    {.latency_least = std::chrono::microseconds(100),
                     .latency_most = std::chrono::milliseconds(5)}};
};

class OnRocksStore final : public EmbeddedSubject {
  public:
    OnRocksStore() {
        std::string pattern = ::testing::TempDir() + "holdfast-coord-XXXXXX";
        directory_ = ::mkdtemp(pattern.data());
        open_both();
    }
    ~OnRocksStore() override {
        close();
        store_.reset();
        std::filesystem::remove_all(directory_);
    }
    Stepper& stepper() override { return stepper_; }
    void restart() override {
        close();
        store_.reset();
        open_both();
    }
    int transactions() override { return 200; }

  private:
    void open_both() {
        auto opened = RocksStore::open({.directory = directory_ + "/store"},
                                       [this](auto work) { stepper_.post(std::move(work)); });
        ASSERT_TRUE(opened) << opened.error().message;
        store_ = std::move(*opened);
        open(*store_);
    }

    std::string directory_;
    PostedStepper stepper_;
    std::unique_ptr<RocksStore> store_;
};

// Slow, forgetful and unpunctual as the contract allows, but without outcomes in doubt, which the
// suite could only repeat what the contract says of: simulated_test.cc has those.
class Simulated final : public CoordinatorSubject {
  public:
    explicit Simulated(Liberties liberties) : liberties_(liberties) { connect(); }
    Coordinator& coordinator() override { return *coordinator_; }
    Stepper& stepper() override { return stepper_; }
    void restart() override { connect(); }
    void compact() override {
        for (std::size_t i = 0; i <= short_memory.history.changes_max; ++i) {
            EXPECT_TRUE(ensemble_.apply({.when = {}, .then = {put("compacted", "")}}));
        }
    }
    int transactions() override { return 1000; }

  private:
    void connect() {
        coordinator_ = std::make_unique<SimulatedCoordinator>(
            ensemble_, stepper_.clock(), random_.fork(), std::chrono::seconds(10), liberties_);
    }

    VirtualStepper stepper_;
    Random random_{1};
    Liberties liberties_;
    Ensemble ensemble_{stepper_.clock(), random_.fork(), short_memory.history};
    std::unique_ptr<SimulatedCoordinator> coordinator_;
};

INSTANTIATE_TEST_SUITE_P(
    Of, CoordinatorConformance,
    ::testing::Values(
        CoordinatorFactory{"EmbeddedOnSimStore", [] { return std::make_unique<OnSimStore>(); }},
        CoordinatorFactory{"EmbeddedOnRocksStore", [] { return std::make_unique<OnRocksStore>(); }},
        CoordinatorFactory{"Simulated", [] { return std::make_unique<Simulated>(Liberties{}); }},
        CoordinatorFactory{"SimulatedWithLiberties",
                           [] {
                               return std::make_unique<Simulated>(
                                   Liberties{.delay_most = std::chrono::milliseconds(50),
                                             .resync = 0.2,
                                             .watch_error = 0.2,
                                             .lease_early_most = std::chrono::seconds(2),
                                             .lease_late_most = std::chrono::seconds(9)});
                           }}),
    [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace holdfast::coord
