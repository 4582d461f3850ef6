#include "service/job.h"

#include <gtest/gtest.h>

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;

JobRun some_run() {
    JobRun run;
    run.number = 12;
    run.version = 3;
    run.due = WallTime(1'700'000'000s);
    run.started = run.due + 1ms;
    run.state = RunState::running;
    run.tries = 2;
    run.phase = TryPhase::verifying;
    run.ending = Ending::replaced;
    run.run = 0xffff'ffff'ffff'fffe;  // Beyond what a double holds.
    run.verify = 7;
    run.signal = 9;
    run.reason = "a \"reason\"\n";
    run.output = "\xc3\xa4\xef\xbf\xbd\x01";
    return run;
}

TEST(JobRecords, AreReadBackAsTheyWereWritten) {
    auto run = some_run();
    EXPECT_EQ(decode_job_run("key", encode(run)), run);
    run.ended = run.due + 1h;
    run.code = -1;
    run.state = RunState::failed;
    EXPECT_EQ(decode_job_run("key", encode(run)), run);
    JobMemory memory{.last_number = 9,
                     .decided = WallTime(5s),
                     .done = 2,
                     .paused = true,
                     .schedule = "every 1h",
                     .serial = 77};
    EXPECT_EQ(decode_job_memory("key", encode(memory)), memory);
    EXPECT_EQ(decode_job_memory("key", encode(JobMemory{})), JobMemory{});
}

TEST(JobRecords, AreRefusedWhenDamagedAndNamed) {
    auto whole = encode(some_run());
    for (std::size_t length = 0; length < whole.size(); ++length) {
        auto decoded = decode_job_run("services/runs/x/1", whole.substr(0, length));
        ASSERT_FALSE(decoded);
        EXPECT_EQ(decoded.error().code, Errc::corrupt);
        EXPECT_TRUE(decoded.error().message.contains("services/runs/x/1"));
    }
    auto other = whole;
    other.replace(other.find("verifying"), 9, "verifyin_");
    EXPECT_FALSE(decode_job_run("key", other));
    EXPECT_FALSE(decode_job_memory("key", "[]"));
    EXPECT_FALSE(decode_job_memory("key", R"({"format":2})"));
}

TEST(JobRecords, LieUnderKeysThatSortAsTheirNumbers) {
    EXPECT_EQ(job_run_key("shop", 7), "services/runs/shop/000000000007");
    EXPECT_LT(job_run_key("shop", 9), job_run_key("shop", 10));
    EXPECT_EQ(job_memory_key("shop"), "services/jobs/shop");
}

}  // namespace
}  // namespace holdfast::service
