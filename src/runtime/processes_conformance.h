// What process.h promises, held against everything that stands behind it: the simulated processes
// and the real keeper. Included by one file of a test program, which instantiates the suite:
//
//     INSTANTIATE_TEST_SUITE_P(Simulated, ProcessesConformance, testing::Values(&make_simulated));
//
// Nothing here depends on how long anything takes but for graces and limits, which are asked to be
// kept on their early side exactly and on their late side within ten seconds.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/clock.h"
#include "runtime/process.h"

namespace holdfast::runtime {

// The world a suite runs in: a keeper, a node that can be restarted, and programs.
class ProcessesHarness {
  public:
    enum class Program {
        lasts,            // Runs until SIGTERM, which ends it.
        exits_7,          // Exits at once with code 7.
        exits_7_later,    // After 300 ms.
        ignores_sigterm,  // Runs until SIGKILL.
        segfaults,        // Ends at once by SIGSEGV.
        says_ready,       // READY=1 and STATUS=fine, then lasts.
        prints,  // "hello\n" to standard output, "oops\n" to standard error, then exits with 0.
    };

    virtual ~ProcessesHarness() = default;
    virtual Processes& processes() = 0;  // Of the node as it is now.
    virtual Clock& clock() = 0;
    virtual std::vector<std::string> command(Program program) = 0;
    virtual bool finishes(Task<void> task) = 0;  // False: not within a minute.
    // A signal from somebody who is neither node nor keeper.
    virtual void strike(const RunReport& report, int signal) = 0;
    // The node dies now, and another starts after that long.
    virtual void restart_node(Duration down) = 0;
};

class ProcessesConformance
    : public testing::TestWithParam<std::unique_ptr<ProcessesHarness> (*)()> {
  protected:
    using Program = ProcessesHarness::Program;

    // Leaves a coroutine of a test, as ASSERT_TRUE leaves a function.
#define HF_CO_ASSERT(condition)          \
    do {                                 \
        if (!(condition)) {              \
            ADD_FAILURE() << #condition; \
            co_return;                   \
        }                                \
    } while (false)

    static constexpr Duration late_at_most = std::chrono::seconds(10);

    std::unique_ptr<ProcessesHarness> harness = GetParam()();

    void run(Task<void> task) { ASSERT_TRUE(harness->finishes(std::move(task))) << "not in time"; }

    LaunchSpec spec(RunId id, const std::string& slot, Program program) {
        LaunchSpec launch;
        launch.run = id;
        launch.slot = slot;
        launch.command = harness->command(program);
        launch.env = {{"PATH", "/usr/bin:/bin"}};
        launch.note = "note of " + std::to_string(id);
        return launch;
    }

    // Everything the run says until it ends.
    struct Life {
        std::vector<Notified> notified;
        std::string out, err;
        std::optional<Exit> exit;
    };
    static Task<Life> life_of(Processes& processes, RunId id) {
        Life life;
        while (!life.exit) {
            auto event = co_await processes.next_event();
            if (!event) continue;
            if (auto* exited = std::get_if<RunExited>(&*event)) {
                if (exited->run == id) life.exit = exited->exit;
            } else if (auto* said = std::get_if<RunNotified>(&*event)) {
                if (said->run == id) life.notified.push_back(said->notified);
            } else if (auto* printed = std::get_if<RunOutput>(&*event)) {
                if (printed->run == id)
                    (printed->stream == OutputStream::out ? life.out : life.err) += printed->bytes;
            }
        }
        co_return life;
    }
    static Task<Exit> exit_of(Processes& processes, RunId id) {
        auto life = co_await life_of(processes, id);
        co_return *life.exit;
    }
    static Task<std::optional<RunReport>> report_of(Processes& processes, RunId id) {
        auto reports = co_await processes.list();
        if (!reports) co_return std::nullopt;
        auto at = std::find_if(reports->begin(), reports->end(),
                               [&](const RunReport& report) { return report.run == id; });
        if (at == reports->end()) co_return std::nullopt;
        co_return *at;
    }
    static Task<bool> launched(Processes& processes, LaunchSpec launch) {
        co_return (co_await processes.launch(std::move(launch))).has_value();
    }
    static Errc code_of(const auto& result) {
        EXPECT_FALSE(result.has_value());
        return result ? Errc::in_doubt : result.error().code;
    }
};

TEST_P(ProcessesConformance, ReportsALaunchAndKeepsItsExitUntilItIsForgotten) {
    run([](ProcessesHarness& h, LaunchSpec launch) -> Task<void> {
        auto& processes = h.processes();
        auto report = co_await processes.launch(launch);
        HF_CO_ASSERT(report);
        EXPECT_EQ(report->run, 1u);
        EXPECT_EQ(report->slot, "shop/0");
        EXPECT_EQ(report->note, "note of 1");
        EXPECT_GT(report->pid, 0);
        EXPECT_EQ(report->lifetime, Lifetime::lasting);

        auto exit = co_await exit_of(processes, 1);
        EXPECT_EQ(exit.by, EndedBy::itself);
        EXPECT_EQ(exit.code, 7);
        EXPECT_FALSE(exit.signal);
        EXPECT_GE(exit.at, report->started);

        auto kept = co_await report_of(processes, 1);
        HF_CO_ASSERT(kept && kept->exit);
        EXPECT_EQ(kept->pid, report->pid);
        EXPECT_EQ(kept->exit->code, 7);

        EXPECT_TRUE(co_await processes.forget(1));
        EXPECT_FALSE(co_await report_of(processes, 1));
        EXPECT_EQ(code_of(co_await processes.forget(1)), Errc::not_found);
    }(*harness, spec(1, "shop/0", Program::exits_7)));
}

TEST_P(ProcessesConformance, ALiveRunCannotBeForgotten) {
    run([](ProcessesHarness& h, LaunchSpec launch) -> Task<void> {
        HF_CO_ASSERT(co_await launched(h.processes(), launch));
        EXPECT_EQ(code_of(co_await h.processes().forget(1)), Errc::conflict);
        EXPECT_TRUE(co_await report_of(h.processes(), 1));
    }(*harness, spec(1, "shop/0", Program::lasts)));
}

TEST_P(ProcessesConformance, ASlotHasOneLiveRunButForOneBesideTheOneItNames) {
    auto beside = spec(3, "shop/0", Program::lasts);
    beside.beside = 1;
    auto third = spec(4, "shop/0", Program::lasts);
    third.beside = 1;
    auto elsewhere = spec(5, "shop/1", Program::lasts);
    run([](ProcessesHarness& h, LaunchSpec first, LaunchSpec second, LaunchSpec next,
           LaunchSpec crowd, LaunchSpec other) -> Task<void> {
        auto& processes = h.processes();
        HF_CO_ASSERT(co_await launched(processes, first));
        EXPECT_EQ(code_of(co_await processes.launch(second)), Errc::conflict);
        EXPECT_TRUE(co_await processes.launch(next));
        EXPECT_EQ(code_of(co_await processes.launch(crowd)), Errc::conflict);
        EXPECT_TRUE(co_await processes.launch(other));
        auto reports = co_await processes.list();
        HF_CO_ASSERT(reports);
        EXPECT_EQ(reports->size(), 3u);
    }(*harness, spec(1, "shop/0", Program::lasts), spec(2, "shop/0", Program::lasts), beside, third,
                                               elsewhere));
}

TEST_P(ProcessesConformance, ASlotIsFreeWhenItsRunHasEndedThoughNotForgotten) {
    run([](ProcessesHarness& h, LaunchSpec first, LaunchSpec second) -> Task<void> {
        auto& processes = h.processes();
        HF_CO_ASSERT(co_await launched(processes, first));
        co_await exit_of(processes, 1);
        EXPECT_TRUE(co_await processes.launch(second));
        EXPECT_EQ(code_of(co_await processes.launch(first)), Errc::conflict)
            << "the run's number was used";
    }(*harness, spec(1, "shop/0", Program::exits_7), spec(2, "shop/0", Program::lasts)));
}

TEST_P(ProcessesConformance, RefusesWhatCannotRunAndSaysWhy) {
    auto missing = spec(1, "shop/0", Program::lasts);
    missing.command = {"/no/such/program"};
    auto unknown_socket = spec(2, "shop/0", Program::lasts);
    unknown_socket.sockets = {"shop/nowhere"};
    run([](ProcessesHarness& h, LaunchSpec no_program, LaunchSpec no_socket) -> Task<void> {
        auto& processes = h.processes();
        auto first = co_await processes.launch(no_program);
        EXPECT_EQ(code_of(first), Errc::invalid);
        EXPECT_THAT(first.error().message, testing::HasSubstr("/no/such/program"));
        auto second = co_await processes.launch(no_socket);
        EXPECT_EQ(code_of(second), Errc::invalid);
        EXPECT_THAT(second.error().message, testing::HasSubstr("shop/nowhere"));
        auto reports = co_await processes.list();
        HF_CO_ASSERT(reports);
        EXPECT_TRUE(reports->empty());
    }(*harness, missing, unknown_socket));
}

TEST_P(ProcessesConformance, StopEndsARunByItsSignalAndSaysItWasUs) {
    run([](ProcessesHarness& h, LaunchSpec launch) -> Task<void> {
        auto& processes = h.processes();
        HF_CO_ASSERT(co_await launched(processes, launch));
        EXPECT_TRUE(co_await processes.stop(1, late_at_most, SIGTERM));
        auto exit = co_await exit_of(processes, 1);
        EXPECT_EQ(exit.by, EndedBy::holdfast);
        EXPECT_EQ(exit.signal, SIGTERM);
        EXPECT_EQ(code_of(co_await processes.stop(1, late_at_most, SIGTERM)), Errc::not_found);
        EXPECT_EQ(code_of(co_await processes.kill(1)), Errc::not_found);
        EXPECT_EQ(code_of(co_await processes.kill(99)), Errc::not_found);
    }(*harness, spec(1, "shop/0", Program::lasts)));
}

TEST_P(ProcessesConformance, OneThatDoesNotHeedIsKilledWhenItsGraceIsOverAndNotBefore) {
    run([](ProcessesHarness& h, LaunchSpec launch) -> Task<void> {
        constexpr Duration grace = std::chrono::milliseconds(400);
        auto& processes = h.processes();
        HF_CO_ASSERT(co_await launched(processes, launch));
        co_await h.clock().sleep_for(std::chrono::milliseconds(300));  // It has set its handler.
        Instant asked = h.clock().now();
        EXPECT_TRUE(co_await processes.stop(1, grace, SIGTERM));
        auto report = co_await report_of(processes, 1);
        HF_CO_ASSERT(report && !report->exit);
        EXPECT_TRUE(report->stopping);
        auto exit = co_await exit_of(processes, 1);
        EXPECT_EQ(exit.by, EndedBy::holdfast);
        EXPECT_EQ(exit.signal, SIGKILL);
        EXPECT_GE(h.clock().now() - asked, grace);
        EXPECT_LE(h.clock().now() - asked, grace + late_at_most);
    }(*harness, spec(1, "shop/0", Program::ignores_sigterm)));
}

TEST_P(ProcessesConformance, ASecondStopCanOnlyShortenTheGrace) {
    run([](ProcessesHarness& h, LaunchSpec first,
           LaunchSpec second) -> Task<void> {
        auto& processes = h.processes();
        constexpr Duration brief = std::chrono::milliseconds(100);
        constexpr Duration ages = std::chrono::hours(1);
        // A signal that does nothing: the program may not be ignoring SIGTERM yet.
        HF_CO_ASSERT(co_await launched(processes, first));
        EXPECT_TRUE(co_await processes.stop(1, ages, SIGCONT));
        EXPECT_TRUE(co_await processes.stop(1, brief, SIGCONT));
        EXPECT_EQ((co_await exit_of(processes, 1)).by, EndedBy::holdfast);
        HF_CO_ASSERT(co_await launched(processes, second));
        EXPECT_TRUE(co_await processes.stop(2, brief, SIGCONT));
        EXPECT_TRUE(co_await processes.stop(2, ages, SIGCONT));
        EXPECT_EQ((co_await exit_of(processes, 2)).by, EndedBy::holdfast);
    }(*harness, spec(1, "shop/0", Program::ignores_sigterm),
                              spec(2, "shop/0", Program::ignores_sigterm)));
}

TEST_P(ProcessesConformance, KillEndsARunAtOnce) {
    run([](ProcessesHarness& h, LaunchSpec launch) -> Task<void> {
        auto& processes = h.processes();
        HF_CO_ASSERT(co_await launched(processes, launch));
        EXPECT_TRUE(co_await processes.kill(1));
        auto exit = co_await exit_of(processes, 1);
        EXPECT_EQ(exit.by, EndedBy::holdfast);
        EXPECT_EQ(exit.signal, SIGKILL);
    }(*harness, spec(1, "shop/0", Program::ignores_sigterm)));
}

TEST_P(ProcessesConformance, ATimeLimitEndsARunAndNotBefore) {
    auto heeds = spec(1, "job/0", Program::lasts);
    heeds.run_for = std::chrono::milliseconds(300);
    auto ignores = spec(2, "job/1", Program::ignores_sigterm);
    ignores.run_for = std::chrono::milliseconds(400);
    ignores.stop_grace = std::chrono::milliseconds(200);
    run([](ProcessesHarness& h, LaunchSpec first, LaunchSpec second) -> Task<void> {
        auto& processes = h.processes();
        Instant start = h.clock().now();
        HF_CO_ASSERT(co_await launched(processes, first));
        HF_CO_ASSERT(co_await launched(processes, second));
        auto heeded = co_await exit_of(processes, 1);
        EXPECT_EQ(heeded.by, EndedBy::holdfast);
        EXPECT_EQ(heeded.signal, SIGTERM);
        EXPECT_GE(h.clock().now() - start, *first.run_for);
        auto ignored = co_await exit_of(processes, 2);
        EXPECT_EQ(ignored.by, EndedBy::holdfast);
        EXPECT_EQ(ignored.signal, SIGKILL);
        EXPECT_GE(h.clock().now() - start, *second.run_for + second.stop_grace);
        EXPECT_LE(h.clock().now() - start, *second.run_for + second.stop_grace + late_at_most);
    }(*harness, heeds, ignores));
}

TEST_P(ProcessesConformance, ASignalFromOutsideIsNotTakenForTheProgramsOwnFailure) {
    run([](ProcessesHarness& h, LaunchSpec first, LaunchSpec second,
           LaunchSpec own) -> Task<void> {
        auto& processes = h.processes();
        auto report = co_await processes.launch(first);
        HF_CO_ASSERT(report);
        h.strike(*report, SIGKILL);
        auto killed = co_await exit_of(processes, 1);
        EXPECT_EQ(killed.by, EndedBy::outside);
        EXPECT_EQ(killed.signal, SIGKILL);

        report = co_await processes.launch(second);
        HF_CO_ASSERT(report);
        h.strike(*report, SIGTERM);
        auto terminated = co_await exit_of(processes, 2);
        EXPECT_EQ(terminated.by, EndedBy::outside);
        EXPECT_EQ(terminated.signal, SIGTERM);

        HF_CO_ASSERT(co_await launched(processes, own));
        auto crashed = co_await exit_of(processes, 3);
        EXPECT_EQ(crashed.by, EndedBy::itself);
        EXPECT_EQ(crashed.signal, SIGSEGV);
    }(*harness, spec(1, "shop/0", Program::lasts), spec(2, "shop/0", Program::lasts),
                           spec(3, "shop/0", Program::segfaults)));
}

TEST_P(ProcessesConformance, PassesOnWhatTheServiceSaysAndKeepsTheLatest) {
    run([](ProcessesHarness& h, LaunchSpec launch) -> Task<void> {
        auto& processes = h.processes();
        HF_CO_ASSERT(co_await launched(processes, launch));
        Notified last;
        while (!last.ready || last.status.empty()) {
            auto event = co_await processes.next_event();
            HF_CO_ASSERT(event);
            if (auto* said = std::get_if<RunNotified>(&*event)) last = said->notified;
            HF_CO_ASSERT(!std::holds_alternative<RunExited>(*event));
        }
        EXPECT_EQ(last.status, "fine");
        auto report = co_await report_of(processes, 1);
        HF_CO_ASSERT(report);
        EXPECT_EQ(report->notified, last);
        EXPECT_TRUE(co_await processes.kill(1));
        auto life = co_await life_of(processes, 1);
        EXPECT_TRUE(life.exit);
    }(*harness, spec(1, "shop/0", Program::says_ready)));
}

TEST_P(ProcessesConformance, PassesOnOutputOfBothStreamsBeforeTheExit) {
    run([](ProcessesHarness& h, LaunchSpec launch) -> Task<void> {
        HF_CO_ASSERT(co_await launched(h.processes(), launch));
        auto life = co_await life_of(h.processes(), 1);
        EXPECT_EQ(life.out, "hello\n");
        EXPECT_EQ(life.err, "oops\n");
        EXPECT_EQ(life.exit->code, 0);
    }(*harness, spec(1, "shop/0", Program::prints)));
}

TEST_P(ProcessesConformance, ASocketIsOpenedOnceAndKeptUntilItIsClosed) {
    run([](ProcessesHarness& h) -> Task<void> {
        auto& processes = h.processes();
        SocketSpec any{.name = "shop/http", .address = "127.0.0.1", .port = 0};
        auto port = co_await processes.open_socket(any);
        HF_CO_ASSERT(port);
        EXPECT_NE(*port, 0);
        EXPECT_EQ(co_await processes.open_socket(any), *port);
        auto exact = any;
        exact.port = *port;
        EXPECT_EQ(co_await processes.open_socket(exact), *port);

        auto other_port = any;
        other_port.port = static_cast<std::uint16_t>(*port == 65535 ? 1024 : *port + 1);
        EXPECT_EQ(code_of(co_await processes.open_socket(other_port)), Errc::conflict);
        auto same_address = exact;
        same_address.name = "other/http";
        EXPECT_EQ(code_of(co_await processes.open_socket(same_address)), Errc::conflict);

        auto sockets = co_await processes.sockets();
        HF_CO_ASSERT(sockets);
        HF_CO_ASSERT(sockets->size() == 1);
        EXPECT_EQ(sockets->front().name, "shop/http");
        EXPECT_EQ(sockets->front().port, *port);

        EXPECT_TRUE(co_await processes.close_socket("shop/http"));
        EXPECT_EQ(code_of(co_await processes.close_socket("shop/http")), Errc::not_found);
        // Its address is free again, unless somebody else on this machine was quicker.
        auto reopened = co_await processes.open_socket(same_address);
        EXPECT_TRUE(reopened == *port || code_of(reopened) == Errc::conflict);
    }(*harness));
}

TEST_P(ProcessesConformance, RunsAndSocketsOutliveTheNode) {
    int pid = 0;
    run([](ProcessesHarness& h, LaunchSpec launch, int& into) -> Task<void> {
        SocketSpec socket{.name = "shop/http", .address = "127.0.0.1", .port = 0};
        EXPECT_TRUE(co_await h.processes().open_socket(socket));
        auto report = co_await h.processes().launch(launch);
        HF_CO_ASSERT(report);
        into = report->pid;
    }(*harness, spec(1, "shop/0", Program::lasts), pid));
    harness->restart_node(std::chrono::milliseconds(100));
    run([](ProcessesHarness& h, LaunchSpec again, int before) -> Task<void> {
        auto& processes = h.processes();
        auto report = co_await report_of(processes, 1);
        HF_CO_ASSERT(report);
        EXPECT_EQ(report->pid, before);
        EXPECT_EQ(report->note, "note of 1");
        EXPECT_FALSE(report->exit);
        EXPECT_EQ(code_of(co_await processes.launch(again)), Errc::conflict);
        auto sockets = co_await processes.sockets();
        HF_CO_ASSERT(sockets);
        EXPECT_EQ(sockets->size(), 1u);
        EXPECT_TRUE(co_await processes.kill(1));
        EXPECT_EQ((co_await exit_of(processes, 1)).by, EndedBy::holdfast);
    }(*harness, spec(2, "shop/0", Program::lasts), pid));
}

TEST_P(ProcessesConformance, AnExitWhileTheNodeWasAwayIsKeptWithItsCode) {
    run([](ProcessesHarness& h, LaunchSpec launch) -> Task<void> {
        EXPECT_TRUE(co_await h.processes().launch(launch));
    }(*harness, spec(1, "shop/0", Program::exits_7_later)));
    harness->restart_node(std::chrono::seconds(1));
    run([](ProcessesHarness& h) -> Task<void> {
        auto report = co_await report_of(h.processes(), 1);
        HF_CO_ASSERT(report && report->exit);
        EXPECT_EQ(report->exit->code, 7);
        EXPECT_EQ(report->exit->by, EndedBy::itself);
    }(*harness));
}

TEST_P(ProcessesConformance, DeadlinesAreKeptWhileTheNodeIsAway) {
    auto limited = spec(1, "job/0", Program::lasts);
    limited.run_for = std::chrono::milliseconds(300);
    run([](ProcessesHarness& h, LaunchSpec first, LaunchSpec second) -> Task<void> {
        EXPECT_TRUE(co_await h.processes().launch(first));
        EXPECT_TRUE(co_await h.processes().launch(second));
        EXPECT_TRUE(co_await h.processes().stop(2, std::chrono::milliseconds(300), SIGTERM));
    }(*harness, limited, spec(2, "shop/0", Program::ignores_sigterm)));
    harness->restart_node(std::chrono::seconds(2));
    run([](ProcessesHarness& h) -> Task<void> {
        for (RunId id : {1u, 2u}) {
            auto report = co_await report_of(h.processes(), id);
            HF_CO_ASSERT(report && report->exit);
            EXPECT_EQ(report->exit->by, EndedBy::holdfast);
        }
    }(*harness));
}

}  // namespace holdfast::runtime
