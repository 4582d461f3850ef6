// What the node asks of the keeper.
#include <signal.h>

#include "keeper/build_id.h"
#include "keeper/link_state.h"

namespace holdfast::keeper {

using runtime::Task;

namespace {

// The answer's payload as a T; a keeper of the same protocol version never sends anything else.
template <class T, class Answer>
Result<T> payload_of(const Result<Answer>& answer) {
    if (!answer) return std::unexpected(answer.error());
    auto value = decode_all<T>(answer->payload);
    if (!value) return fail(Errc::unavailable, "the keeper's answer makes no sense");
    return std::move(*value);
}

}  // namespace

void KeeperLink::ready() {
    state_->said_ready = true;
    if (state_->greeted) state_->post(encode(0, Ready()));
}

Task<NodeRequest> KeeperLink::next_request() {
    auto& state = *state_;
    while (state.requests.empty()) co_await state.requested.wait();
    auto request = state.requests.front();
    state.requests.pop_front();
    co_return request;
}

void KeeperLink::on_keeper_change(std::function<void(std::string)> callback) {
    state_->changed = std::move(callback);
}

bool KeeperLink::connected() const {
    return state_->greeted;
}

Task<Result<KeeperStatus>> KeeperLink::status() {
    auto status = payload_of<KeeperStatus>(co_await state_->call(AskStatus()));
    if (status) status->build_id = build_id_of(fmt::format("/proc/{}/exe", status->pid));
    co_return status;
}

Task<Result<runtime::RunReport>> KeeperLink::launch(runtime::LaunchSpec spec) {
    co_return payload_of<runtime::RunReport>(co_await state_->call(Launch(std::move(spec))));
}

Task<Result<void>> KeeperLink::stop(runtime::RunId run, Duration grace, int signal) {
    return state_->call_plain(Stop(run, grace, signal));
}

Task<Result<void>> KeeperLink::kill(runtime::RunId run) {
    return state_->call_plain(Kill(run));
}

Task<Result<void>> KeeperLink::forget(runtime::RunId run) {
    auto& state = *state_;
    auto done = co_await state.call_plain(Forget(run));
    if (!done) co_return done;
    state.reported.erase(run);
    std::erase_if(state.events, [run](auto& event) {
        return std::visit(
            [run](auto& e) {
                if constexpr (std::is_same_v<std::decay_t<decltype(e)>, runtime::RunId>) {
                    return e == run;
                } else {
                    return e.run == run;
                }
            },
            event);
    });
    if (auto found = state.outputs.find(run); found != state.outputs.end()) {
        if (found->second.memory) unmap_ring(found->second.memory);
        state.outputs.erase(found);
    }
    co_return done;
}

Task<Result<std::vector<runtime::RunReport>>> KeeperLink::list() {
    std::vector<runtime::RunReport> all;
    for (bool more = true; more;) {
        auto page =
            payload_of<ListPage>(co_await state_->call(List(all.empty() ? 0 : all.back().run)));
        if (!page) co_return std::unexpected(page.error());
        more = page->second && !page->first.empty();
        for (auto& report : page->first) all.push_back(std::move(report));
    }
    // What a report says needs no event any more.
    for (auto& report : all) {
        if (report.exit) state_->reported.insert(report.run);
    }
    co_return all;
}

Task<Result<std::uint16_t>> KeeperLink::open_socket(runtime::SocketSpec spec) {
    auto answer = co_await state_->call(OpenSocket(spec));
    auto port = payload_of<std::uint16_t>(answer);
    if (!port) co_return port;
    spec.port = *port;
    if (answer->fd && *answer->fd) state_->sockets[spec.name] = {spec, answer->fd};
    co_return port;
}

Task<Result<void>> KeeperLink::close_socket(std::string name) {
    state_->sockets.erase(name);  // First: or a new keeper would be offered it.
    return state_->call_plain(CloseSocket(std::move(name)));
}

Task<Result<std::vector<runtime::SocketSpec>>> KeeperLink::sockets() {
    co_return payload_of<std::vector<runtime::SocketSpec>>(co_await state_->call(ListSockets()));
}

Task<void> KeeperLink::State::map_output(runtime::RunId run) {
    outputs[run].asked = true;
    auto answer = co_await call(Fetch(Thing::output, "", run));
    auto found = outputs.find(run);
    if (found == outputs.end()) co_return;  // Forgotten meanwhile.
    found->second.asked = false;
    bool came = answer && answer->fd && *answer->fd;
    auto memory = came ? map_ring(answer->fd->get()) : Result<char*>(fail(Errc::not_found, ""));
    if (memory) found->second = {answer->fd, *memory, found->second.waits, false};
    happened.wake();
}

std::optional<runtime::RunOutput> KeeperLink::State::read_output(runtime::RunId run) {
    auto found = outputs.find(run);
    if (found == outputs.end() || !found->second.memory) return std::nullopt;
    auto output = Ring(found->second.memory).read();
    if (output) output->run = run;
    return output;
}

// All a run has written comes before its exit. Runs that write take turns.
Task<Result<runtime::ProcessEvent>> KeeperLink::next_event() {
    auto& state = *state_;
    for (;;) {
        while (state.events.empty()) co_await state.happened.wait();
        auto event = state.events.front();
        if (auto* notified = std::get_if<runtime::RunNotified>(&event)) {
            state.events.pop_front();
            co_return runtime::ProcessEvent(*notified);
        }
        auto* exited = std::get_if<runtime::RunExited>(&event);
        auto run = exited ? exited->run : std::get<runtime::RunId>(event);
        auto known = state.outputs.find(run);
        if (known != state.outputs.end() && known->second.asked) {
            co_await state.happened.wait();
            continue;
        }
        auto output = state.read_output(run);
        if (!output || !exited) state.events.pop_front();
        if (output && !exited) state.events.push_back(run);
        if (output) co_return runtime::ProcessEvent(std::move(*output));
        if (exited) co_return runtime::ProcessEvent(*exited);
        state.outputs[run].waits = false;
    }
}

}  // namespace holdfast::keeper
