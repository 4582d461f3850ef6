// The contract of process.h, held against the real keeper over the real link.
#include <signal.h>

#include "keeper/testing/rig.h"
#include "runtime/processes_conformance.h"

namespace holdfast::runtime {

namespace {

class RealKeeper : public ProcessesHarness {
  public:
    explicit RealKeeper(keeper::testing::RigOptions options) : rig_(std::move(options)) {}

    Processes& processes() override { return rig_.link(); }
    Clock& clock() override { return rig_.loop().clock(); }
    std::vector<std::string> command(Program program) override {
        std::vector<std::string> words{keeper::testing::program()};
        for (auto& word : arguments(program)) words.push_back(word);
        return words;
    }
    bool finishes(Task<void> task) override {
        auto limited = race(std::move(task), clock().sleep_for(std::chrono::minutes(1)));
        return rig_.loop().complete(std::move(limited)).index() == 0;
    }
    void strike(const RunReport& report, int signal) override { ::kill(report.pid, signal); }
    void restart_node(Duration down) override {
        rig_.drop_link();
        rig_.loop().complete(clock().sleep_for(down));
        rig_.new_link();
    }

  private:
    static std::vector<std::string> arguments(Program program) {
        switch (program) {
            case Program::lasts:
                return {"wait"};
            case Program::exits_7:
                return {"exit", "7"};
            case Program::exits_7_later:
                return {"exit-later", "7", "300"};
            case Program::ignores_sigterm:
                return {"ignore-term"};
            case Program::segfaults:
                return {"segfault"};
            case Program::says_ready:
                return {"notify", "READY=1\nSTATUS=fine"};
            case Program::prints:
                return {"say", "hello", "oops"};
        }
        return {};
    }

    keeper::testing::Rig rig_;
};

std::unique_ptr<ProcessesHarness> with_cgroups() {
    return std::make_unique<RealKeeper>(keeper::testing::RigOptions{});
}

std::unique_ptr<ProcessesHarness> without_cgroups() {
    return std::make_unique<RealKeeper>(keeper::testing::RigOptions{.flags = {"--no-cgroup"}});
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Keeper, ProcessesConformance, testing::Values(&with_cgroups));
INSTANTIATE_TEST_SUITE_P(KeeperWithoutCgroups, ProcessesConformance,
                         testing::Values(&without_cgroups));

}  // namespace holdfast::runtime
