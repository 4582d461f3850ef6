// From a deadline to the SIGKILL nothing is allocated: a machine that is out of memory is when it
// counts.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "keeper/keeper.h"
#include "keeper/testing/rig.h"

namespace {
long allocations = 0;
}

void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    std::abort();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

// Sanitizers bring a malloc of their own; elsewhere the C library's own allocations count too.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
extern "C" void* __libc_malloc(std::size_t size);
extern "C" void* malloc(std::size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
#endif

namespace holdfast::keeper::testing {

namespace {

bool ended(const Fd& process) {
    pollfd end{process.get(), POLLIN, 0};
    return poll(&end, 1, 10'000) == 1;
}

// A keeper in this very process, which is also its node.
class InProcess : public ::testing::TestWithParam<bool> {
  protected:
    void SetUp() override {
        KeeperOptions options;
        options.data_dir = dir.path();
        options.node_binary = "/bin/false";
        options.adopt_node = getpid();
        options.cgroups = GetParam();
        options.node.beat_max = 1000h;  // It is this process.
        auto started = Keeper::start(options);
        ASSERT_TRUE(started) << started.error().message;
        keeper = std::move(*started);
        connection = std::move(*connect_to(dir.path(), "keeper.sock"));
        ask(Hello(true, "test"));
    }
    template <class T>
    std::string ask(const T& body) {
        EXPECT_EQ(send(connection.get(), encode(++sequence, body)), Sent::done);
        for (int turns = 0; turns < 1000; ++turns) {
            keeper->turn();
            Datagram datagram;
            while (receive(connection.get(), datagram) == Received::datagram) {
                auto message = decode(datagram.bytes);
                auto* reply = message && message->sequence == sequence
                                  ? std::get_if<Reply>(&message->body)
                                  : nullptr;
                if (reply) return *outcome_of(*reply);
            }
        }
        ADD_FAILURE() << "no answer";
        return {};
    }
    runtime::RunReport launch(const char* what) {
        runtime::LaunchSpec spec;
        spec.run = 1;
        spec.slot = "test/0";
        spec.command = {program(), what};
        spec.run_for = 1h;
        spec.stop_grace = 1h;
        return *decode_all<runtime::RunReport>(ask(Launch(spec)));
    }
    long counted(Instant now) {
        auto before = allocations;
        keeper->do_what_is_due(now);
        return allocations - before;
    }

    TempDir dir;
    std::unique_ptr<Keeper> keeper;
    Fd connection;
    std::uint32_t sequence = 0;
};

INSTANTIATE_TEST_SUITE_P(, InProcess, ::testing::Values(true, false),
                         [](auto& info) { return info.param ? "WithCgroups" : "WithoutCgroups"; });

TEST_P(InProcess, KillsAtADeadlineWithoutAllocating) {
    auto report = launch("wait");
    auto process = open_process(report.pid);
    auto now = boot_clock();
    EXPECT_EQ(counted(now + 2s), 0) << "nothing due";
    EXPECT_EQ(counted(now + 2h), 0) << "run_for is over: SIGTERM";
    EXPECT_TRUE(ended(process));
}

TEST_P(InProcess, KillsWhatIgnoresSigtermWithoutAllocating) {
    auto report = launch("ignore-term");
    auto process = open_process(report.pid);
    auto now = boot_clock();
    EXPECT_EQ(counted(now + 2h), 0);
    EXPECT_EQ(counted(now + 4h), 0) << "the grace is over: SIGKILL";
    EXPECT_TRUE(ended(process));
}

TEST(SilentNode, IsKilledWithoutAllocating) {
    TempDir dir;
    int node = spawn({program(), "wait"});
    KeeperOptions options;
    options.data_dir = dir.path();
    options.node_binary = "/bin/false";
    options.adopt_node = node;
    auto keeper = Keeper::start(options);
    ASSERT_TRUE(keeper) << keeper.error().message;
    auto process = open_process(node);
    auto before = allocations;
    (*keeper)->do_what_is_due(boot_clock() + 11s);
    EXPECT_EQ(allocations, before);
    EXPECT_TRUE(ended(process));
}

TEST(Counting, SeesAllocations) {
    auto before = allocations;
    auto* memory = new std::string(100, 'x');
    EXPECT_GT(allocations, before);
    delete memory;
}

}  // namespace

}  // namespace holdfast::keeper::testing
