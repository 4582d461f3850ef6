// The keeper's node, and its replacement by another.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "keeper/keeper.h"

namespace holdfast::keeper {

using namespace std::chrono_literals;

namespace {

double dice() {
    std::uint32_t number = 0;
    getrandom(&number, sizeof number, 0);
    return number / 4294967296.0;
}

// As systemd understands it, where it started us.
void tell_systemd(std::string_view state) {
    const char* name = getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (!name || std::string_view(name).size() >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    auto length = std::string_view(name).copy(address.sun_path, sizeof address.sun_path - 1);
    if (address.sun_path[0] == '@') address.sun_path[0] = 0;
    Fd to(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sendto(to.get(), state.data(), state.size(), MSG_NOSIGNAL,
           reinterpret_cast<sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

}  // namespace

void Keeper::start_the_node() {
    auto binary = options_.node_binary;
    struct stat there{}, ran{};
    if (!node_executable_) node_executable_ = Fd(::open(binary.c_str(), O_PATH | O_CLOEXEC));
    // Another file under that name is another version: it comes by an upgrade, which is watched, or
    // not at all.
    bool known = fstat(node_executable_.get(), &ran) == 0;
    bool same = stat(binary.c_str(), &there) == 0 && there.st_ino == ran.st_ino &&
                there.st_dev == ran.st_dev;
    if (known && !same) binary = fmt::format("/proc/{}/fd/{}", getpid(), node_executable_.get());
    watch_.started(boot_clock(), wall_clock());
    auto started = start_node(binary, options_.node_args, oom_score_adj_);
    if (!started) return watch_.died(boot_clock(), wall_clock(), started.error().message, dice());
    node_.id = {started->pid, process_stat(started->pid).value_or(ProcessStat{}).start_ticks};
    node_.process = open_process(started->pid);
    node_.connection = connect(std::move(started->channel), started->pid);
    record();
}

void Keeper::node_ready(Node& node) {
    if (&node == &candidate_) {
        if (upgrading_->step != Upgrading::Step::preparing) return;
        say("the new node is ready to take over; the old one drains");
        upgrading_->step = Upgrading::Step::draining;
        upgrading_->deadline = boot_clock() + 30s;
        return node_.process ? ask(node_, Wish::drain) : activate_candidate();
    }
    watch_.beat(boot_clock());
    watch_.ready(wall_clock());
    if (!said_ready_) tell_systemd("READY=1");
    said_ready_ = true;
    if (upgrading_ && upgrading_->step == Upgrading::Step::activating) {
        say("the new node serves; the keeper replaces itself");
        options_.node_binary = upgrading_->node_binary;
        options_.node_args = upgrading_->node_args;
        node_executable_ = Fd(::open(options_.node_binary.c_str(), O_PATH | O_CLOEXEC));
        upgrading_->step = Upgrading::Step::replacing;
        upgrading_->deadline = boot_clock();
    }
}

void Keeper::node_ended(const std::string& how) {
    poller_.unwatch(node_.process.get());
    if (node_.connection) hang_up(node_.connection);
    node_ = Node();
    bool leaving = leaving_ != Leaving::no;
    bool drained = upgrading_ && upgrading_->step == Upgrading::Step::draining;
    if (drained && candidate_.process && !leaving) return activate_candidate();
    if (!leaving) complain(fmt::format("the node {}", how));
    watch_.died(boot_clock(), wall_clock(), how, dice());
    if (upgrading_ && upgrading_->step == Upgrading::Step::activating) {
        upgrade_failed(
            fmt::format("the new node {} before it served; the old one is started again", how));
    }
    record();
}

void Keeper::candidate_ended(const std::string& how) {
    poller_.unwatch(candidate_.process.get());
    if (candidate_.connection) hang_up(candidate_.connection);
    candidate_ = Node();
    if (upgrading_) upgrade_failed(fmt::format("the new node {}", how));
    record();
}

void Keeper::upgrade(std::uint64_t connection, std::uint32_t sequence, const AskUpgrade& ask) {
    auto& [node, keeper, args] = ask.values;
    if (upgrading_ || leaving_ != Leaving::no) {
        return answer(connection, sequence,
                      fail(Errc::conflict, "an upgrade or a shutdown is under way"));
    }
    for (auto& binary : {node, keeper}) {
        if (access(binary.c_str(), X_OK) == 0) continue;
        return answer(connection, sequence,
                      fail(Errc::invalid, fmt::format("{}: {}", binary, errno_text())));
    }
    auto started = start_node(node, args, oom_score_adj_);
    if (!started) return answer(connection, sequence, std::unexpected(started.error()));
    upgrading_ = Upgrading{Upgrading::Step::preparing, node,       keeper,  args,
                           boot_clock() + 30s,         connection, sequence};
    candidate_.id = {started->pid, process_stat(started->pid).value_or(ProcessStat{}).start_ticks};
    candidate_.process = open_process(started->pid);
    candidate_.connection = connect(std::move(started->channel), started->pid);
    record();
    say(fmt::format("started the new node, pid {}", started->pid));
}

// What is late.
void Keeper::upgrade_step(Instant now) {
    if (now < upgrading_->deadline) return;
    upgrading_->deadline = now + 1s;
    switch (upgrading_->step) {
        case Upgrading::Step::preparing:
            send_signal(candidate_.process, SIGKILL);
            return upgrade_failed("the new node was not ready within 30 s");
        case Upgrading::Step::draining:
            say("the old node has not left within 30 s and is killed");
            send_signal(node_.process, SIGKILL);
            return;
        case Upgrading::Step::activating:
            send_signal(node_.process, SIGKILL);  // node_ended() starts the old one again.
            return;
        case Upgrading::Step::replacing:
            break;
    }
    bool starting =
        std::ranges::any_of(children_, [](auto& each) { return !!each.second.channel; });
    auto node = connections_.find(node_.connection);
    bool unsent = node != connections_.end() && !node->second.unsent.empty();
    if (starting || unsent || writer_) return void(upgrading_->deadline = now + 10ms);
    upgrade_failed("the new node serves, but the keeper is the old one: " +
                   become(*upgrading_).message);
}

void Keeper::activate_candidate() {
    say("the old node has left; the new one takes over");
    node_ = std::exchange(candidate_, Node());
    watch_.started(boot_clock(), wall_clock());
    watch_.beat(boot_clock());
    upgrading_->step = Upgrading::Step::activating;
    upgrading_->deadline = boot_clock() + 30s;
    tell_all_again();
    record();
    ask(node_, Wish::activate);
}

void Keeper::upgrade_failed(const std::string& why) {
    upgrade_outcome_ = "failed: " + why;
    answer(upgrading_->connection, upgrading_->sequence, fail(Errc::unavailable, why));
    upgrading_.reset();
}

void Keeper::say(std::string_view line) {
    post(upgrading_->connection, encode(upgrading_->sequence, Progress(std::string(line))));
}

void Keeper::ask(Node& node, Wish wish) {
    post(node.connection, encode(0, Asks(wish)));
}

KeeperStatus Keeper::status() const {
    KeeperStatus status;
    status.pid = getpid();
    status.started = started_;
    status.took_over = took_over_;
    status.node_binary = options_.node_binary;
    status.node_build_id = node_.build_id;
    status.node_pid = node_.id.pid;
    status.node_state = watch_.state();
    status.node_since = watch_.since();
    status.node_restarts = watch_.restarts();
    status.node_deaths = watch_.deaths();
    status.damaged_table = damaged_table_;
    status.weakened = cgroups_.weakened;
    for (auto& [name, socket] : sockets_) status.sockets.push_back(socket.spec);
    for (auto& [id, child] : children_) ++(child.run.alive() ? status.runs_live : status.runs_over);
    status.upgrade = upgrade_outcome_;
    return status;
}

}  // namespace holdfast::keeper
