#include "health/alerter.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "health/journal.h"
#include "http/scripted_server.h"
#include "runtime/sim/world.h"

namespace holdfast::health {
namespace {

using namespace std::chrono_literals;
using http::ScriptedServer;
using runtime::Machine;
using runtime::World;

struct AlertingNode final : runtime::Node {
    explicit AlertingNode(Machine& machine)
        : journal(*Journal::open(machine.store(), machine.clock())),
          client({.clock = machine.clock(), .network = machine.network()}),
          alerter(*Alerter::open({.clock = machine.clock(),
                                  .store = machine.store(),
                                  .client = client,
                                  .journal = *journal,
                                  .random = machine.random().fork()},
                                 {.node = "a", .external_url = "http://a:7400", .limits = {}})) {
        tasks.spawn(journal->run());
        tasks.spawn(alerter->run());
    }
    std::unique_ptr<Journal> journal;
    http::Client client;
    std::unique_ptr<Alerter> alerter;
    runtime::TaskGroup tasks;
};

class AlerterTest : public testing::Test {
  protected:
    AlerterTest() {
        a.run([](Machine& machine) { return std::make_unique<AlertingNode>(machine); });
        serve(9000, 200);
    }
    void serve(std::uint16_t port, int status, Duration after = {}) {
        auto answer = http::answer_with(status);
        answer.after = after;
        servers[port] = std::make_unique<ScriptedServer>(
            b.clock(), b.network(), runtime::Endpoint{b.address(), port},
            [answer](const std::string&) { return answer; });
    }
    AlertingNode& node() { return *static_cast<AlertingNode*>(a.node()); }
    std::string url(std::uint16_t port) {
        return "http://" + b.address() + ":" + std::to_string(port) + "/hook";
    }
    void observe(std::string service, AlarmState state, std::uint16_t port = 9000) {
        node().alerter->observed(service, {url(port)}, state, "because", a.clock().wall_now());
    }
    // "shop firing", in the order they came.
    std::vector<std::string> received(std::uint16_t port = 9000) {
        std::vector<std::string> messages;
        for (const auto& request : servers.at(port)->requests()) {
            auto body = boost::json::parse(request.substr(request.find("\r\n\r\n") + 4));
            messages.push_back(std::string(body.at("groupLabels").at("service").as_string()) + " " +
                               std::string(body.at("status").as_string()));
        }
        return messages;
    }

    World world{1};
    Machine& a = world.machine("a");
    Machine& b = world.machine("b");
    std::map<std::uint16_t, std::unique_ptr<ScriptedServer>> servers;
};

using Messages = std::vector<std::string>;

TEST_F(AlerterTest, PostsOneWebhookPerChange) {
    observe("shop", AlarmState::down);
    world.run_for(2s);
    EXPECT_EQ(received(), Messages{"shop firing"});
    EXPECT_TRUE(servers[9000]->requests()[0].starts_with("POST /hook HTTP/1.1\r\n"));
    EXPECT_TRUE(servers[9000]->requests()[0].contains("Content-Type: application/json\r\n"));
    observe("shop", AlarmState::down);
    world.run_for(1min);
    observe("shop", AlarmState::healthy);
    world.run_for(2s);
    EXPECT_EQ(received(), (Messages{"shop firing", "shop resolved"}));
    EXPECT_EQ(node().alerter->waiting(), 0u);
}

TEST_F(AlerterTest, KeepsTryingUntilTheReceiverIsThere) {
    servers.clear();
    observe("shop", AlarmState::down);
    world.run_for(1min);
    serve(9000, 503);
    world.run_for(5min);
    EXPECT_GE(received().size(), 1u);
    servers.clear();
    serve(9000, 200);
    world.run_for(20min);
    EXPECT_EQ(received(), Messages{"shop firing"});
}

TEST_F(AlerterTest, IsNotHeldUpByOneReceiverThatHangs) {
    serve(9001, 200, 1h);
    for (int i = 0; i < 4; ++i) observe("slow" + std::to_string(i), AlarmState::down, 9001);
    observe("shop", AlarmState::down);
    world.run_for(2s);
    EXPECT_EQ(received(), Messages{"shop firing"});
}

TEST_F(AlerterTest, NotesInTheJournalWhatAReceiverRefuses) {
    serve(9001, 404);
    observe("shop", AlarmState::down, 9001);
    world.run_for(10min);
    EXPECT_EQ(received(9001).size(), 1u);
    auto records = node().journal->query({.subject = "node", .since = {}});
    ASSERT_EQ(records.size(), 1u);
    EXPECT_TRUE(records[0].reason.contains("it answered 404")) << records[0].reason;
}

TEST_F(AlerterTest, TellsNothingTwiceAndLosesNothingWhenTheNodeRestarts) {
    observe("shop", AlarmState::down);
    world.run_for(2s);
    a.restart_node(100ms);
    world.run_for(1s);
    observe("shop", AlarmState::down);
    world.run_for(1min);
    EXPECT_EQ(received(), Messages{"shop firing"});
    observe("shop", AlarmState::healthy);
    world.run_for(100ms);
    a.restart_node(100ms);
    world.run_for(1min);
    EXPECT_EQ(received(), (Messages{"shop firing", "shop resolved"}));
}

TEST_F(AlerterTest, ResolvesTheAlertsOfADeletedService) {
    observe("shop", AlarmState::down);
    world.run_for(2s);
    EXPECT_EQ(node().alerter->services(), Messages{"shop"});
    node().alerter->forget("shop", "deleted", a.clock().wall_now());
    world.run_for(2s);
    EXPECT_EQ(received(), (Messages{"shop firing", "shop resolved"}));
    EXPECT_TRUE(node().alerter->services().empty());
}

}  // namespace
}  // namespace holdfast::health
