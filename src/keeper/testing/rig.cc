#include "keeper/testing/rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/process/child.h"

namespace holdfast::keeper::testing {

namespace {

std::string mark_of(const std::string& directory) {
    struct stat status{};
    stat((directory + "/run").c_str(), &status);
    return fmt::format("{:x}-{:x}", status.st_dev, status.st_ino);
}

}  // namespace

TempDir::TempDir() {
    char name[] = "/tmp/hf-keeper-XXXXXX";
    path_ = mkdtemp(name);
    chmod(name, 0755);
}

TempDir::~TempDir() {
    auto mark = mark_of(path_);
    // Keepers and nodes name the directory on their command line, and each would start the other
    // again.
    bool any = true;
    for (int rounds = 0; any && rounds < 200; ++rounds) {
        any = false;
        Pids pids;
        while (int pid = pids.next()) {
            auto line = read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
            bool ours = line.find(path_) != std::string::npos || run_of(pid, mark).run != 0;
            if (!ours || !alive(pid) || pid == getpid()) continue;
            any = true;
            kill(pid, SIGKILL);
            waitpid(pid, nullptr, WNOHANG);
        }
        if (any) poll(nullptr, 0, 5);
    }
    auto cgroups = find_cgroups(mark);
    for (auto& base : {cgroups.kill, cgroups.memory, cgroups.cpu}) {
        if (base.empty()) continue;
        std::error_code ignored;
        for (auto& each : std::filesystem::directory_iterator(base, ignored)) {
            if (each.is_directory()) rmdir(each.path().c_str());
        }
        rmdir(base.c_str());
    }
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

bool eventually(const std::function<bool()>& condition) {
    auto deadline = boot_clock() + 10s;
    while (!condition()) {
        if (boot_clock() > deadline) return false;
        poll(nullptr, 0, 2);
    }
    return true;
}

bool alive(int pid) {
    auto stat = process_stat(pid);
    return stat && stat->state != 'Z';
}

std::string program() {
    return HF_KEEPER_TEST_PROGRAM;
}
std::string keeper_binary() {
    return HF_KEEPER_BINARY;
}
std::string node_binary() {
    return HF_KEEPER_TEST_NODE;
}

int spawn(const std::vector<std::string>& words, int output, bool session) {
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    int pid = fork();
    if (pid == 0) {
        if (session) setsid();
        if (output >= 0) dup2(output, 1), dup2(output, 2);
        execv(argv[0], argv.data());
        _exit(127);
    }
    return pid;
}

void kill_hard(int pid) {
    if (pid <= 0) return;
    auto process = open_process(pid);
    kill(pid, SIGKILL);
    pollfd ended{process.get(), POLLIN, 0};
    poll(&ended, 1, 10'000);
    waitpid(pid, nullptr, WNOHANG);
}

Rig::Rig(RigOptions options) : options_(std::move(options)) {
    if (!options_.started) return;
    start_keeper();
    new_link();
}

Rig::~Rig() {
    drop_link();
}

void Rig::start_keeper() {
    std::vector<std::string> words{
        keeper_binary(),         "--data", dir(), "--node", "/bin/false", "--adopt",
        std::to_string(getpid())};
    words.insert(words.end(), options_.flags.begin(), options_.flags.end());
    words.push_back("--");
    spawn(words);
    ASSERT_TRUE(eventually([&] { return keeper_status(dir()).has_value(); }));
}

void Rig::drop_link() {
    tasks_.reset();
    link_.reset();
}

void Rig::new_link() {
    drop_link();
    link_ =
        std::make_unique<KeeperLink>(loop_, KeeperLink::Options{.data_dir = dir(),
                                                                .keeper_binary = keeper_binary(),
                                                                .build_id = "rig",
                                                                .keeper_args = options_.flags});
    tasks_ = std::make_unique<runtime::TaskGroup>();
    tasks_->spawn(link_->run());
}

int Rig::keeper_pid() {
    auto status = keeper_status(dir());
    return status ? status->pid : 0;
}

runtime::LaunchSpec Rig::spec(runtime::RunId run, std::vector<std::string> args, std::string slot) {
    runtime::LaunchSpec spec;
    spec.run = run;
    spec.slot = slot.empty() ? fmt::format("test/{}", run) : slot;
    spec.command = {program()};
    spec.command.insert(spec.command.end(), args.begin(), args.end());
    spec.note = fmt::format("note of {}", run);
    return spec;
}

runtime::RunReport Rig::launch(runtime::LaunchSpec spec) {
    auto report = await(link_->launch(std::move(spec)));
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(runtime::RunReport{});
}

runtime::ProcessEvent Rig::next_event() {
    auto event = await(link_->next_event());
    if (!event) {
        ADD_FAILURE() << event.error().message;
        throw std::runtime_error("no event");
    }
    if (auto* output = std::get_if<runtime::RunOutput>(&*event)) {
        (output->stream == runtime::OutputStream::out ? out_ : err_)[output->run] += output->bytes;
        lost_[output->run] += output->lost_before;
    }
    if (auto* exited = std::get_if<runtime::RunExited>(&*event)) exits_[exited->run] = exited->exit;
    if (auto* said = std::get_if<runtime::RunNotified>(&*event))
        notified_[said->run] = said->notified;
    return *event;
}

runtime::Exit Rig::exit_of(runtime::RunId run) {
    while (!exits_.contains(run)) next_event();
    return exits_[run];
}

std::string Rig::output_after(runtime::RunId run, const std::string& text) {
    for (;;) {
        auto& all = out_[run];
        auto at = all.find(text);
        auto end = at == std::string::npos ? at : all.find('\n', at);
        if (end != std::string::npos) return all.substr(at + text.size(), end - at - text.size());
        next_event();
    }
}

runtime::Notified Rig::notified(runtime::RunId run,
                                std::function<bool(const runtime::Notified&)> enough) {
    while (!notified_.contains(run) || !enough(notified_[run])) next_event();
    return notified_[run];
}

runtime::RunReport Rig::report(runtime::RunId run) {
    auto all = await(link_->list());
    EXPECT_TRUE(all) << all.error().message;
    for (auto& each : all.value_or(std::vector<runtime::RunReport>{})) {
        if (each.run == run) return each;
    }
    return {};
}

}  // namespace holdfast::keeper::testing
