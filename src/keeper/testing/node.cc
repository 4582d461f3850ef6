// A node for the keeper's tests: keeps one service running, says to a log what happens to it, and
// fails on request. Its arguments, all optional but the first two: --log FILE --program PATH, then
// --never-ready, --die-on-activate, --die-when-prepared, --ignore-drain, --serve (a socket, handed
// over).
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "keeper/build_id.h"
#include "keeper/link.h"
#include "runtime/real/loop.h"

namespace holdfast::keeper {

namespace {

using runtime::Task;

class TestNode {
  public:
    TestNode(runtime::EventLoop& loop, std::vector<std::string> words)
        : words_(std::move(words)),
          link_(loop, {.data_dir = value("--data"),
                       .keeper_binary = value("--keeper"),
                       .keeper_fd = KeeperLink::fd_from_environment(),
                       .build_id = "test"}) {
        say(fmt::format("node {} {}", getpid(), value("--version")));
    }

    Task<void> live() {
        link_.on_keeper_change([this](std::string reason) { say("change " + reason); });
        tasks_.spawn(link_.run());
        tasks_.spawn(watch());
        if (has("--standby")) {
            link_.ready();
            if (has("--die-when-prepared")) co_return;
        }
        for (;;) {
            auto request = co_await link_.next_request();
            if (request == NodeRequest::activate) {
                say("activate");
                if (has("--die-on-activate")) co_return;
                if (has("--never-ready")) continue;
                co_await serve();
                link_.ready();
            } else if (request == NodeRequest::drain) {
                say("drain");
                if (!has("--ignore-drain")) co_return;
            } else {
                say("shutdown");
                auto stopped = co_await link_.stop(service_, std::chrono::seconds(5), 15);
                if (!stopped) say("stop: " + stopped.error().message);
                while (service_ != 0) co_await ended_.wait();
                co_return;
            }
        }
    }

  private:
    bool has(const std::string& flag) const {
        return std::ranges::find(words_, flag) != words_.end();
    }
    std::string value(const std::string& flag) const {
        auto at = std::ranges::find(words_, flag);
        return at == words_.end() || at + 1 == words_.end() ? "" : *(at + 1);
    }
    void say(const std::string& line) {
        int fd = open(value("--log").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        dprintf(fd, "%s\n", line.c_str());
        close(fd);
    }

    void say_exit(runtime::RunId run, const runtime::Exit& exit) {
        say(fmt::format("exited {} by {} code {}", run, static_cast<int>(exit.by),
                        exit.code.value_or(-1)));
    }

    // The service that runs, or a new one.
    Task<void> serve() {
        auto runs = co_await link_.list();
        runtime::RunId last = 0;
        for (auto& run : runs.value_or(std::vector<runtime::RunReport>{})) {
            last = std::max(last, run.run);
            if (run.exit) {
                say_exit(run.run, *run.exit);
                continue;
            }
            service_ = run.run;
            say(fmt::format("kept {} {}", run.run, run.pid));
        }
        if (service_ == 0) co_await launch(last + 1);
    }

    Task<void> launch(runtime::RunId id) {
        runtime::LaunchSpec spec;
        spec.run = id;
        spec.slot = "service/0";
        spec.command = {value("--program"), has("--serve") ? "serve" : "wait"};
        if (has("--serve")) {
            auto port = co_await link_.open_socket({"service/tcp", "127.0.0.1", 0, 16});
            say(port ? fmt::format("port {}", *port) : port.error().message);
            spec.sockets = {"service/tcp"};
        }
        auto run = co_await link_.launch(spec);
        service_ = id;
        say(run ? fmt::format("launched {} {}", run->run, run->pid)
                : "launch: " + run.error().message);
    }

    Task<void> watch() {
        for (;;) {
            auto event = co_await link_.next_event();
            auto* exited = event ? std::get_if<runtime::RunExited>(&*event) : nullptr;
            if (!exited) continue;
            say_exit(exited->run, exited->exit);
            if (exited->run == service_) service_ = 0;
            ended_.wake();
        }
    }

    std::vector<std::string> words_;
    KeeperLink link_;
    runtime::RunId service_ = 0;
    runtime::Signal ended_;
    runtime::TaskGroup tasks_;
};

}  // namespace

}  // namespace holdfast::keeper

int main(int argc, char** argv) {
    holdfast::runtime::EventLoop loop;
    holdfast::keeper::TestNode node(loop, {argv, argv + argc});
    loop.complete(node.live());
    return 0;
}
