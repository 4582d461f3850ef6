#include "service/output_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/sim/schedule.h"
#include "service/output_file.h"

#include "runtime/sim/world.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;
using runtime::OutputStream;
using runtime::RunOutput;

class OutputLogTest : public testing::Test {
  protected:
    void open(OutputLogOptions options = {}) {
        tasks.stop();
        log = std::make_unique<OutputLog>(machine.disk(), machine.clock(), options);
        tasks.spawn(log->run());
    }
    void print(std::string bytes, OutputStream stream = OutputStream::out, std::uint64_t lost = 0) {
        log->take("shop", 0,
                  RunOutput{1, stream, machine.clock().wall_now(), std::move(bytes), lost});
    }
    std::vector<OutputLine> read(OutputQuery query = {}) {
        auto lines = world.complete(log->read("shop", query));
        EXPECT_TRUE(lines && *lines);
        return lines && *lines ? **lines : std::vector<OutputLine>();
    }
    std::vector<std::string> texts(OutputQuery query = {}) {
        std::vector<std::string> all;
        for (const auto& line : read(query)) all.push_back(line.stream + " " + line.text);
        return all;
    }
    using Texts = std::vector<std::string>;

    runtime::World world{1};
    runtime::Machine& machine = world.machine("a");
    std::unique_ptr<OutputLog> log;
    runtime::TaskGroup tasks;
};

TEST_F(OutputLogTest, JoinsThePiecesOfALineAndKeepsStreamsApart) {
    open();
    print("one\ntw");
    print("bad\n", OutputStream::err);
    print("o\n\nthree\r\n");
    EXPECT_EQ(texts(), (Texts{"out one", "err bad", "out two", "out ", "out three"}));
}

TEST_F(OutputLogTest, WritesAnUnfinishedLineAfterAWhileOrAtTheEndOfTheRun) {
    open();
    print("prompt> ");
    world.run_for(100ms);
    log->say("shop", 0, machine.clock().wall_now(), "still here");
    world.run_for(1s);
    print("rest");
    log->end_run("shop", 0);
    EXPECT_EQ(texts(), (Texts{"out prompt> ", "log still here", "out rest"}));
}

TEST_F(OutputLogTest, CutsLinesThatAreTooLong) {
    OutputLogOptions options;
    options.line_bytes_max = 4;
    open(options);
    print("abcdefghij\n");
    EXPECT_EQ(texts(), (Texts{"out abcd", "out efgh", "out ij"}));
}

TEST_F(OutputLogTest, SaysWhatTheKeeperHadToDrop) {
    open();
    print("late\n", OutputStream::out, 12345);
    EXPECT_EQ(texts(),
              (Texts{"log 12345 bytes of output were lost: nobody took them in time", "out late"}));
}

TEST_F(OutputLogTest, DropsTheOldestWhenTheDiskDoesNotFollowAndSaysSo) {
    OutputLogOptions options;
    options.queue_bytes_max = 1000;
    open(options);
    auto faults = machine.disk().faults();
    faults.hung = true;
    machine.disk().set_faults(faults);
    print("first\n");
    world.run_for(1s);
    for (int i = 0; i < 100; ++i) print(fmt::format("line {:03}\n", i));
    EXPECT_GT(log->dropped_bytes(), 0u);
    faults.hung = false;
    machine.disk().set_faults(faults);
    auto all = texts();
    EXPECT_EQ(all.front(), "out first");
    EXPECT_NE(all[1].find("bytes of output were dropped"), std::string::npos);
    EXPECT_EQ(all.back(), "out line 099");
}

TEST_F(OutputLogTest, RotatesBySizeAndReadsAcrossFiles) {
    OutputLogOptions options;
    options.file_bytes_max = 400;
    options.files_max = 3;
    open(options);
    for (int i = 0; i < 60; ++i) {
        print(fmt::format("line {:02}\n", i));
        world.run_for(10ms);
    }
    auto names = world.complete(machine.disk().list("logs/shop"));
    ASSERT_TRUE(names && *names);
    EXPECT_EQ(**names, (Texts{"0.log", "0.log.1", "0.log.2"}));
    auto all = texts();
    EXPECT_EQ(all.back(), "out line 59");
    EXPECT_GE(all.size(), 20u);
    EXPECT_LE(all.size(), 34u);
    OutputQuery query;
    query.lines_max = 15;
    EXPECT_EQ(texts(query), Texts(all.end() - 15, all.end()));
}

TEST_F(OutputLogTest, ReadsOnlyWhatIsYoungEnough) {
    open();
    print("old\n");
    world.run_for(10s);
    OutputQuery query;
    query.since = machine.clock().wall_now();
    print("young\n");
    EXPECT_EQ(texts(query), (Texts{"out young"}));
}

TEST_F(OutputLogTest, FollowsLinesAsTheyCome) {
    open();
    print("before\n");
    auto feed = log->follow("shop", std::nullopt);
    world.after(1s, [&] { print("after\n"); });
    auto line = world.complete(feed->next());
    ASSERT_TRUE(line);
    EXPECT_EQ(line->text, "after");
}

TEST_F(OutputLogTest, GoesOnAfterADiskThatWasFull) {
    open();
    auto faults = machine.disk().faults();
    auto capacity = faults.capacity_bytes;
    faults.capacity_bytes = 1;
    machine.disk().set_faults(faults);
    print("nowhere to go\n");
    world.run_for(1s);
    faults.capacity_bytes = capacity;
    machine.disk().set_faults(faults);
    print("here again\n");
    auto all = texts();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_NE(all[0].find("bytes of output were dropped"), std::string::npos);
    EXPECT_EQ(all[1], "out here again");
}

TEST_F(OutputLogTest, HasNothingOfAServiceThatNeverPrinted) {
    open();
    auto lines = world.complete(log->read("nobody", {}));
    ASSERT_TRUE(lines);
    EXPECT_EQ(lines->error().code, Errc::not_found);
}

TEST(OutputLine, IsReadBackAsItWasWritten) {
    OutputLine line{WallTime{} + 1ms, "err", "a  b ", 0};
    auto text = format_output_line(line);
    EXPECT_EQ(text, "1970-01-01T00:00:00.001Z err a  b \n");
    EXPECT_EQ(parse_output_line(std::string_view(text).substr(0, text.size() - 1)), line);
    for (const char* bad :
         {"", "x", "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00.001Z foo x"}) {
        EXPECT_FALSE(parse_output_line(bad)) << bad;
    }
}

}  // namespace
}  // namespace holdfast::service
