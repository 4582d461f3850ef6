#include "health/process_share.h"

#include <gtest/gtest.h>

#include <deque>

#include "runtime/clock.h"

namespace holdfast::health {
namespace {

using runtime::LaunchSpec;
using runtime::ProcessEvent;
using runtime::RunId;
using runtime::RunReport;
using runtime::Task;

// A keeper that remembers and says what it is told to say.
class FakeKeeper final : public runtime::Processes {
  public:
    Task<Result<RunReport>> launch(LaunchSpec spec) override {
        if (refuses) co_return fail(Errc::invalid, "no such program");
        RunReport report;
        report.run = spec.run;
        report.slot = spec.slot;
        runs.push_back(report);
        co_return report;
    }
    Task<Result<void>> stop(RunId, Duration, int) override { co_return Result<void>{}; }
    Task<Result<void>> kill(RunId) override { co_return Result<void>{}; }
    Task<Result<void>> forget(RunId) override { co_return Result<void>{}; }
    Task<Result<std::vector<RunReport>>> list() override { co_return runs; }
    Task<Result<std::uint16_t>> open_socket(runtime::SocketSpec) override {
        co_return std::uint16_t{1};
    }
    Task<Result<void>> close_socket(std::string) override { co_return Result<void>{}; }
    Task<Result<std::vector<runtime::SocketSpec>>> sockets() override {
        co_return std::vector<runtime::SocketSpec>{};
    }
    Task<Result<ProcessEvent>> next_event() override {
        ++asked;
        while (events.empty()) co_await told.wait();
        auto event = std::move(events.front());
        events.pop_front();
        co_return event;
    }
    void tell(Result<ProcessEvent> event) {
        events.push_back(std::move(event));
        told.wake();
    }

    std::vector<RunReport> runs;
    std::deque<Result<ProcessEvent>> events;
    runtime::Signal told;
    int asked = 0;
    bool refuses = false;
};

runtime::RunExited exit_of(RunId run) {
    return {run, {}};
}

class ProcessShareTest : public testing::Test {
  protected:
    void launch(Part part, RunId run, std::string slot) {
        group.spawn([](runtime::Processes& to, RunId id, std::string in) -> Task<void> {
            LaunchSpec spec;
            spec.run = id;
            spec.slot = std::move(in);
            (void)co_await to.launch(std::move(spec));
        }(share.of(part), run, std::move(slot)));
    }
    // Collects the part's events; 0 stands for an error.
    void listen(Part part) {
        group.spawn([](runtime::Processes& to, std::vector<RunId>& into) -> Task<void> {
            for (;;) {
                auto event = co_await to.next_event();
                into.push_back(event ? std::visit([](const auto& e) { return e.run; }, *event) : 0);
            }
        }(share.of(part), heard[static_cast<std::size_t>(part)]));
    }
    std::vector<RunId> list(Part part) {
        std::vector<RunId> runs;
        group.spawn([](runtime::Processes& to, std::vector<RunId>& into) -> Task<void> {
            auto reports = co_await to.list();
            for (const auto& report : *reports) into.push_back(report.run);
        }(share.of(part), runs));
        return runs;
    }
    const std::vector<RunId>& heard_by(Part part) { return heard[static_cast<std::size_t>(part)]; }

    FakeKeeper keeper;
    ProcessShare share{keeper};
    std::array<std::vector<RunId>, 3> heard;
    runtime::TaskGroup group;
};

using Runs = std::vector<RunId>;

TEST(PartOfSlot, TellsServicesProbesAndJobsApart) {
    EXPECT_EQ(part_of_slot("shop/0"), Part::services);
    EXPECT_EQ(part_of_slot("shop/12"), Part::services);
    EXPECT_EQ(part_of_slot("shop/0?ready.1f"), Part::probes);
    EXPECT_EQ(part_of_slot("shop/job"), Part::jobs);
    EXPECT_EQ(part_of_slot("shop/job?verify"), Part::jobs);
    EXPECT_EQ(part_of_slot("job/0"), Part::services);
}

TEST_F(ProcessShareTest, GivesEachPartTheEventsOfItsRunsAndNoOthers) {
    group.spawn(share.run());
    for (auto part : {Part::services, Part::probes, Part::jobs}) listen(part);
    launch(Part::services, 1, "shop/0");
    launch(Part::probes, 2, "shop/0?ready.2");
    launch(Part::jobs, 3, "backup/job");
    for (RunId run : {3u, 1u, 2u, 1u}) keeper.tell(exit_of(run));
    EXPECT_EQ(heard_by(Part::services), (Runs{1, 1}));
    EXPECT_EQ(heard_by(Part::probes), Runs{2});
    EXPECT_EQ(heard_by(Part::jobs), Runs{3});
}

TEST_F(ProcessShareTest, ShowsEachPartItsRunsOfAnEarlierNode) {
    for (auto [run, slot] :
         {std::pair(1, "shop/0"), std::pair(2, "x/job"), std::pair(3, "x/job?verify")}) {
        RunReport report;
        report.run = static_cast<RunId>(run);
        report.slot = slot;
        keeper.runs.push_back(report);
    }
    EXPECT_EQ(list(Part::services), Runs{1});
    EXPECT_EQ(list(Part::jobs), (Runs{2, 3}));
    EXPECT_EQ(list(Part::probes), Runs{});
    group.spawn(share.run());
    listen(Part::jobs);
    keeper.tell(exit_of(2));
    EXPECT_EQ(heard_by(Part::jobs), Runs{2});
}

TEST_F(ProcessShareTest, TellsEveryPartOfAnAbsentKeeperAndAsksAgainWhenOneOfThemDoes) {
    group.spawn(share.run());
    listen(Part::services);
    keeper.tell(fail(Errc::unavailable, "the keeper is away"));
    EXPECT_EQ(heard_by(Part::services), Runs{0});
    EXPECT_EQ(keeper.asked, 2) << "the listener asked again at once";
    launch(Part::services, 1, "shop/0");
    keeper.tell(exit_of(1));
    EXPECT_EQ(heard_by(Part::services), (Runs{0, 1}));
    listen(Part::jobs);
    EXPECT_EQ(heard_by(Part::jobs), Runs{0}) << "it hears of the absence later, and once";
}

TEST_F(ProcessShareTest, DoesNotSpinWhileTheKeeperIsAway) {
    group.spawn(share.run());
    keeper.tell(fail(Errc::unavailable, "away"));
    for (int i = 0; i < 100; ++i) keeper.tell(fail(Errc::unavailable, "away"));
    EXPECT_EQ(keeper.asked, 1) << "nobody has asked again";
}

}  // namespace
}  // namespace holdfast::health
