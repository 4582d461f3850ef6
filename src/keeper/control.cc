#include "keeper/control.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include "keeper/build_id.h"
#include "keeper/messages.h"
#include "runtime/process/system.h"

namespace holdfast::keeper {

using namespace runtime::process;

using namespace std::chrono_literals;

namespace {

bool wait_readable(const Fd& fd, Instant deadline) {
    auto left = std::max<Duration>(deadline - boot_clock(), Duration(0));
    pollfd waited{fd.get(), POLLIN, 0};
    return poll(&waited, 1, static_cast<int>(left / 1ms) + 1) > 0;
}

Result<std::string> ask(const Fd& keeper, std::string bytes, Duration limit,
                        const std::function<void(std::string_view)>& progress = {}) {
    auto deadline = boot_clock() + limit;
    if (send(keeper.get(), bytes) != Sent::done)
        return fail(Errc::unavailable, "the keeper does not listen");
    while (boot_clock() < deadline) {
        if (!wait_readable(keeper, deadline)) continue;
        Datagram datagram;
        auto received = receive(keeper.get(), datagram);
        if (received == Received::end) return fail(Errc::unavailable, "the keeper has hung up");
        if (received == Received::nothing) continue;
        HF_TRY(auto message, decode(datagram.bytes));
        if (auto* line = std::get_if<Progress>(&message.body); line && progress)
            progress(std::get<0>(line->values));
        if (auto* reply = std::get_if<Reply>(&message.body)) return outcome_of(std::move(*reply));
    }
    return fail(Errc::unavailable, "the keeper has not answered in time");
}

}  // namespace

std::vector<std::string> keeper_command(const std::string& keeper_binary,
                                        const std::string& data_dir, const std::string& node_binary,
                                        const std::vector<std::string>& node_args) {
    std::vector<std::string> words{keeper_binary, "--data", data_dir, "--node", node_binary, "--"};
    words.insert(words.end(), node_args.begin(), node_args.end());
    return words;
}

Result<KeeperStatus> keeper_status(const std::string& data_dir) {
    HF_TRY(auto keeper, connect_to(data_dir, "keeper.sock"));
    HF_TRY(auto payload, ask(keeper, encode(1, AskStatus()), 5s));
    auto status = decode_all<KeeperStatus>(payload);
    if (!status)
        return fail(Errc::unavailable, "the keeper's status makes no sense to this version");
    status->build_id = build_id_of(fmt::format("/proc/{}/exe", status->pid));
    return std::move(*status);
}

Result<void> upgrade(const std::string& data_dir, const Upgrade& upgrade,
                     const std::function<void(std::string_view)>& progress) {
    HF_TRY(auto keeper, connect_to(data_dir, "keeper.sock"));
    AskUpgrade asked(upgrade.node_binary, upgrade.keeper_binary, upgrade.node_args);
    HF_TRY_VOID(ask(keeper, encode(1, asked), 120s, progress));
    return {};
}

Result<void> shutdown(const std::string& data_dir, ShutdownMode mode, Duration wait) {
    HF_TRY(auto keeper, connect_to(data_dir, "keeper.sock"));
    HF_TRY_VOID(ask(keeper, encode(1, AskShutdown(mode == ShutdownMode::at_once)), 5s));
    auto deadline = boot_clock() + wait;
    while (wait > Duration(0)) {
        Datagram datagram;
        bool ready = wait_readable(keeper, deadline);
        if (ready && receive(keeper.get(), datagram) == Received::end) return {};
        if (boot_clock() >= deadline) return fail(Errc::unavailable, "the keeper still runs");
    }
    return {};
}

Result<void> hold_node(const std::string& data_dir, Duration duration) {
    HF_TRY(auto keeper, connect_to(data_dir, "keeper.sock"));
    HF_TRY_VOID(ask(keeper, encode(1, HoldNode(duration)), 5s));
    return {};
}

}  // namespace holdfast::keeper
