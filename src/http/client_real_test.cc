// The client against servers that are not ours, over the machine's own network and names.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "http/client.h"
#include "http/system_resolver.h"
#include "runtime/real/loop.h"
#include "runtime/real/network.h"

extern char** environ;

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

// Python's http.server with a handler that answers GET with the path and POST with the body,
// chunked.
constexpr auto server_script = R"(
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(0, len(body), 1000):
            piece = body[i:i + 1000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")
    def do_GET(self):
        self.answer(self.path.encode())
    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
)";

class ClientRealTest : public testing::Test {
  protected:
    ClientRealTest() {
        std::array<int, 2> out;
        EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        std::string python = "/usr/bin/python3", flag = "-c", script = server_script;
        std::array<char*, 4> argv{python.data(), flag.data(), script.data(), nullptr};
        EXPECT_EQ(::posix_spawn(&pid_, python.c_str(), &actions, nullptr, argv.data(), environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        ::close(out[1]);
        std::string line;
        char c = 0;
        while (::read(out[0], &c, 1) == 1 && c != '\n') line.push_back(c);
        ::close(out[0]);
        port_ = static_cast<std::uint16_t>(std::stoi("0" + line));
    }
    ~ClientRealTest() override {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Url url(std::string host, std::string target) {
        return {.host = std::move(host), .port = port_, .target = std::move(target)};
    }

    runtime::EventLoop loop;
    runtime::RealNetwork network{loop};
    SystemResolver resolver{loop};
    Client client{{.clock = loop.clock(), .network = network, .resolver = &resolver}};

  private:
    pid_t pid_ = 0;
    std::uint16_t port_ = 0;
};

TEST_F(ClientRealTest, TalksToPythonsServer) {
    auto get = loop.complete(client.fetch(url("127.0.0.1", "/a?b=c"), {}, {.limit = 20s}));
    ASSERT_TRUE(get) << get.error().message;
    EXPECT_EQ(get->body, "/a?b=c");
    std::string body(1 << 20, 'x');
    auto post = loop.complete(
        client.fetch(url("127.0.0.1", "/"), {.method = "POST", .body = body}, {.limit = 20s}));
    ASSERT_TRUE(post) << post.error().message;
    EXPECT_EQ(post->body, body);
}

TEST_F(ClientRealTest, ResolvesNamesAsTheSystemDoes) {
    auto response = loop.complete(client.fetch(url("localhost", "/by-name"), {}, {.limit = 20s}));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "/by-name");
    auto addresses = loop.complete(resolver.resolve("127.0.0.1"));
    ASSERT_TRUE(addresses);
    EXPECT_EQ(*addresses, std::vector<std::string>{"127.0.0.1"});
    EXPECT_FALSE(loop.complete(resolver.resolve("no such name")));
}

TEST_F(ClientRealTest, SurvivesLookupsThatNobodyWaitsFor) {
    for (int i = 0; i < 20; ++i) {
        auto answer =
            loop.complete(runtime::within(loop.clock(), 0ms, "it", resolver.resolve("localhost")));
        if (!answer) {
            EXPECT_EQ(answer.error().code, Errc::unavailable);
        }
    }
    EXPECT_TRUE(loop.complete(resolver.resolve("localhost")));
}

}  // namespace
}  // namespace holdfast::http
