// Against gRPC's own server (Debian's python3-grpcio), over the machine's network.
#include "health/grpc_probe.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#include <array>

#include "http/scripted_server.h"
#include "runtime/real/loop.h"
#include "runtime/real/network.h"
#include "runtime/sim/world.h"

extern char** environ;

namespace holdfast::health {
namespace {

using namespace std::chrono_literals;

// Answers Check with the status named by its argument, or has no health service at all; prints the
// port it listens on.
constexpr auto server_script = R"(
import sys, grpc
from concurrent import futures
answers = {"SERVING": b"\x08\x01", "NOT_SERVING": b"\x08\x02", "UNKNOWN": b"", "SERVICE_UNKNOWN": b"\x08\x03"}
def check(request, context):
    assert request == b""
    if sys.argv[1] == "ERROR":
        context.abort(grpc.StatusCode.UNAVAILABLE, "warming up")
    return answers[sys.argv[1]]
server = grpc.server(futures.ThreadPoolExecutor(2))
if sys.argv[1] != "NONE":
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
sys.stdin.read()
)";

// Lives as long as our end of its standard input.
class GrpcServer {
  public:
    explicit GrpcServer(std::string status) {
        std::array<int, 2> in, out;
        HF_CHECK(::pipe2(in.data(), O_CLOEXEC) == 0);
        HF_CHECK(::pipe2(out.data(), O_CLOEXEC) == 0);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        std::string python = "/usr/bin/python3", flag = "-c", script = server_script;
        std::array<char*, 5> argv{python.data(), flag.data(), script.data(), status.data(),
                                  nullptr};
        int error = ::posix_spawn(&pid_, python.c_str(), &actions, nullptr, argv.data(), environ);
        HF_CHECK(error == 0);
        posix_spawn_file_actions_destroy(&actions);
        ::close(in[0]);
        ::close(out[1]);
        input_ = in[1];
        std::string line;
        char c = 0;
        while (::read(out[0], &c, 1) == 1 && c != '\n') line.push_back(c);
        ::close(out[0]);
        port_ = line.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>(std::stoi(line));
    }
    ~GrpcServer() {
        ::close(input_);
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    std::uint16_t port() const { return port_; }

  private:
    pid_t pid_ = 0;
    int input_ = -1;
    std::uint16_t port_ = 0;
};

ProbeResult ask_real(const std::string& status) {
    GrpcServer server(status);
    EXPECT_NE(server.port(), 0) << "python3-grpcio is not installed";
    runtime::EventLoop loop;
    runtime::RealNetwork network(loop);
    auto probe = [](runtime::EventLoop& l, runtime::Network& n,
                    std::uint16_t port) -> runtime::Task<Result<ProbeResult>> {
        auto kept = [](runtime::Network& net,
                       std::uint16_t p) -> runtime::Task<Result<ProbeResult>> {
            co_return co_await probe_grpc(net, {"127.0.0.1", p});
        };
        co_return co_await runtime::within(l.clock(), 20s, "the probe", kept(n, port));
    };
    auto result = loop.complete(probe(loop, network, server.port()));
    return result ? *result : ProbeResult{.reason = result.error().message};
}

TEST(GrpcProbe, TakesServingForWellAndNothingElse) {
    struct Case {
        std::string status;
        Answer answer;
        std::string reason;
    };
    for (const auto& [status, answer, reason] : {
             Case{"SERVING", Answer::well, "grpc answered SERVING"},
             Case{"NOT_SERVING", Answer::unwell, "grpc answered NOT_SERVING"},
             Case{"UNKNOWN", Answer::unwell, "grpc answered UNKNOWN"},
             Case{"SERVICE_UNKNOWN", Answer::unwell, "grpc answered SERVICE_UNKNOWN"},
             Case{"ERROR", Answer::unwell, "grpc answered status 14: warming up"},
             Case{"NONE", Answer::unwell,
                  "grpc: the server does not implement grpc.health.v1.Health"},
         }) {
        auto result = ask_real(status);
        EXPECT_EQ(result.answer, answer) << status;
        EXPECT_EQ(result.reason, reason);
    }
}

TEST(GrpcProbe, SaysWhatIsWrongWithWhatIsNotHttp2) {
    runtime::World world(1);
    auto& a = world.machine("a");
    auto ask = [&] {
        return world.complete(probe_grpc(a.network(), {"127.0.0.1", 8080})).value_or(ProbeResult{});
    };
    EXPECT_TRUE(ask().reason.contains("refused")) << ask().reason;
    http::ScriptedServer server(a.clock(), a.network(), {"127.0.0.1", 8080},
                                [](const std::string&) { return http::answer_with(400); });
    auto result = ask();
    EXPECT_EQ(result.answer, Answer::unwell);
    EXPECT_TRUE(result.reason.starts_with("grpc: does not speak HTTP/2")) << result.reason;
}

TEST(GrpcProbe, ReadsAStatusFromItsMessageAndRefusesWhatIsNone) {
    auto framed = [](std::string message) {
        return std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message;
    };
    EXPECT_EQ(serving_status(framed("")), "UNKNOWN");
    EXPECT_EQ(serving_status(framed("\x08\x01")), "SERVING");
    EXPECT_EQ(serving_status(framed(std::string("\x08\x81\x80\x00", 4))), "SERVING")
        << "a longer varint";
    EXPECT_EQ(serving_status(framed("\x08\x63")), "UNKNOWN") << "a status of the future";
    EXPECT_EQ(serving_status(framed("\x12\x02xx\x08\x02")), "NOT_SERVING") << "an unknown field";
    EXPECT_EQ(serving_status(""), "");
    EXPECT_EQ(serving_status(framed("\x08")), "");
    EXPECT_EQ(serving_status(framed("\x12\x7fx")), "");
    EXPECT_EQ(serving_status(framed("\x08\x01") + "x"), "");
    EXPECT_EQ(serving_status("\x01" + framed("\x08\x01").substr(1)), "") << "compressed";
}

}  // namespace
}  // namespace holdfast::health
