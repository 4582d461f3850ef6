#include "keeper/link.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "keeper/link_state.h"

extern char** environ;

namespace holdfast::keeper {

using namespace std::chrono_literals;
using runtime::Task;

int KeeperLink::fd_from_environment() {
    const char* text = getenv("HOLDFAST_KEEPER_FD");
    int fd = text ? std::atoi(text) : -1;
    unsetenv("HOLDFAST_KEEPER_FD");
    if (fd < 3 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return -1;
    return fd;
}

KeeperLink::KeeperLink(runtime::EventLoop& loop, Options options)
    : state_(std::make_unique<State>(loop, std::move(options))) {}

KeeperLink::~KeeperLink() = default;

KeeperLink::State::State(runtime::EventLoop& loop_in, Options options_in)
    : loop(loop_in), options(std::move(options_in)), fd(std::exchange(options.keeper_fd, -1)) {
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
}

KeeperLink::State::~State() {
    work.stop();
    for (auto& [run, output] : outputs) {
        if (output.memory) unmap_ring(output.memory);
    }
}

// Sends as much as the keeper takes; the rest when it takes more.
void KeeperLink::State::flush() {
    while (fd && !unsent.empty()) {
        auto sent = send(fd.get(), unsent.front().first, unsent.front().second);
        if (sent == Sent::broken) return;  // The reader sees the end.
        if (sent == Sent::done) {
            unsent.pop_front();
            continue;
        }
        if (!std::exchange(waiting_to_send, true)) sending.spawn(flush_when_writable());
        return;
    }
}

Task<void> KeeperLink::State::flush_when_writable() {
    co_await loop.writable(fd.get());
    waiting_to_send = false;
    flush();
}

void KeeperLink::State::post(std::string bytes, int passed) {
    unsent.emplace_back(std::move(bytes), passed);
    flush();
}

Task<Result<KeeperLink::State::Answer>> KeeperLink::State::call(AnyMessage body, Repeat repeat) {
    auto sequence = ++last_sequence;
    auto bytes = std::visit([&](auto& message) { return encode(sequence, message); }, body);
    if (bytes.size() > datagram_bytes_max) {
        co_return fail(Errc::invalid,
                       fmt::format("{} bytes are more than the keeper takes", bytes.size()));
    }
    auto* launch = std::get_if<Launch>(&body);
    Pending pending{bytes, launch ? std::get<0>(launch->values).run : 0, repeat == Repeat::yes, {}};
    auto answered = pending.answer;
    pending_calls.emplace(sequence, std::move(pending));
    if (greeted || repeat == Repeat::no) post(std::move(bytes));
    co_return co_await answered.wait();
}

Task<Result<void>> KeeperLink::State::call_plain(AnyMessage body) {
    auto answer = co_await call(std::move(body));
    if (!answer) co_return std::unexpected(answer.error());
    co_return Result<void>();
}

void KeeperLink::State::receive_all() {
    for (;;) {
        Datagram datagram;
        auto received = receive(fd.get(), datagram);
        if (received == Received::nothing) return;
        if (received == Received::end) return lost();
        auto message = decode(datagram.bytes);
        if (!message) {
            log_warn("keeper: {}", message.error().message);
        } else if (auto* reply = std::get_if<Reply>(&message->body)) {
            auto found = pending_calls.find(message->sequence);
            if (found == pending_calls.end()) continue;
            auto answer = std::move(found->second.answer);
            pending_calls.erase(found);
            auto outcome = outcome_of(std::move(*reply));
            if (outcome) {
                answer.complete(
                    Answer{std::move(*outcome), std::make_shared<Fd>(std::move(datagram.fd))});
            } else {
                answer.complete(std::unexpected(outcome.error()));
            }
        } else {
            heard(*message);
        }
    }
}

void KeeperLink::State::heard(Message& message) {
    if (auto* exited = std::get_if<Exited>(&message.body)) {
        auto& [run, exit] = exited->values;
        if (reported.insert(run).second) events.emplace_back(runtime::RunExited{run, exit});
    } else if (auto* notified = std::get_if<NotifiedBy>(&message.body)) {
        tell_notified({std::get<0>(notified->values), std::get<1>(notified->values)});
    } else if (auto* waits = std::get_if<OutputWaits>(&message.body)) {
        output_waits(std::get<0>(waits->values));
    } else if (auto* asks = std::get_if<Asks>(&message.body)) {
        auto wish = std::get<0>(asks->values);
        bool again = wish == Wish::activate && std::exchange(activated, true);
        if (!again) requests.push_back(static_cast<NodeRequest>(wish));
        requested.wake();
    }
    happened.wake();
}

// Merged with one that nobody has taken yet: each holds all that is known.
void KeeperLink::State::tell_notified(runtime::RunNotified event) {
    for (auto& each : events) {
        auto* earlier = std::get_if<runtime::RunNotified>(&each);
        if (earlier && earlier->run == event.run) return void(*earlier = event);
    }
    events.emplace_back(event);
}

void KeeperLink::State::output_waits(runtime::RunId run) {
    if (std::exchange(outputs[run].waits, true)) return;
    events.emplace_back(run);
    // At once, not when somebody reads: once it is ours, the keeper's death loses nothing of it.
    if (!outputs[run].memory) work.spawn(map_output(run));
}

void KeeperLink::State::lost() {
    greeted = false;
    sending.stop();
    waiting_to_send = false;
    fd = Fd();
    std::erase_if(pending_calls, [](auto& each) { return !each.second.repeated; });
    unsent.clear();
    lost_once = true;
}

Task<void> KeeperLink::State::beat() {
    for (;;) {
        co_await loop.clock().sleep_for(options.beat_every);
        if (greeted && unsent.empty()) post(encode(0, Beat()));
    }
}

Task<void> KeeperLink::run() {
    auto& state = *state_;
    runtime::TaskGroup beating;
    beating.spawn(state.beat());
    for (;;) {
        if (!state.fd) co_await state.connect();
        runtime::TaskGroup greeting;
        greeting.spawn(state.greet());
        while (state.fd) {
            co_await state.loop.readable(state.fd.get());
            state.receive_all();
        }
    }
}

// To whatever keeper holds the directory; starts one if there is none.
Task<void> KeeperLink::State::connect() {
    for (int tries = 0;; ++tries) {
        auto connected = connect_to(options.data_dir, "keeper.sock");
        if (connected) {
            fd = std::move(*connected);
            co_return;
        }
        while (started_keeper > 0 && waitpid(started_keeper, nullptr, WNOHANG) != 0)
            started_keeper = 0;
        if (!started_keeper && tries % 20 == 0) start_keeper();
        co_await loop.clock().sleep_for(10ms);
    }
}

// A session of its own; our child, so that its death is seen, but it outlives us.
void KeeperLink::State::start_keeper() {
    std::string self(4096, 0);
    self.resize(static_cast<std::size_t>(
        std::max<ssize_t>(readlink("/proc/self/exe", self.data(), self.size()), 0)));
    std::vector<std::string> words{
        options.keeper_binary,   "--data", options.data_dir, "--node", self, "--adopt",
        std::to_string(getpid())};
    words.insert(words.end(), options.keeper_args.begin(), options.keeper_args.end());
    words.push_back("--");
    if (auto gone = words[4].find(" (deleted)"); gone != std::string::npos) words[4].resize(gone);
    auto line = read_file("/proc/self/cmdline").value_or("");
    for (std::size_t at = line.find('\0') + 1; at != 0 && at < line.size();) {
        auto end = std::min(line.find('\0', at), line.size());
        words.push_back(line.substr(at, end - at));
        at = end + 1;
    }
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    pid_t pid = 0;
    int error = posix_spawn(&pid, options.keeper_binary.c_str(), nullptr, &attributes, argv.data(),
                            environ);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        log_error("cannot start a keeper, {}: {}", options.keeper_binary, strerror(error));
    } else {
        started_keeper = pid;
    }
}

// Says who we are, hands over what the keeper may lack, and asks again what has not been answered.
Task<void> KeeperLink::State::greet() {
    auto hello = co_await call(Hello(true, options.build_id), Repeat::no);
    if (!hello) {
        // Another node has our place: the keeper was told of it, not of us.
        log_error("the keeper refuses this node: {}", hello.error().message);
        requests.push_back(NodeRequest::drain);
        requested.wake();
        co_return;
    }
    for (auto& [name, socket] : sockets) {
        // Refused where it has been closed meanwhile.
        post(encode(0, Offer(Thing::socket, name, 0)), socket.fd->get());
    }
    for (auto& [run, output] : outputs) {
        if (output.fd && *output.fd)
            post(encode(0, Offer(Thing::output, "", run)), output.fd->get());
    }
    std::vector<std::uint32_t> sequences;  // From here on calls are sent by whoever makes them.
    for (auto& [sequence, pending] : pending_calls) sequences.push_back(sequence);
    greeted = true;
    if (said_ready) post(encode(0, Ready()));
    if (lost_once) co_await announce_change();
    for (auto sequence : sequences) co_await ask_again(sequence);
    co_await mirror_sockets();
}

Task<void> KeeperLink::State::announce_change() {
    lost_once = false;
    auto answer = co_await call(AskStatus(), Repeat::no);
    auto status = answer ? decode_all<KeeperStatus>(answer->payload) : std::nullopt;
    if (!status) co_return;
    auto reason =
        fmt::format("the keeper had died; a new one, pid {}, has taken over", status->pid);
    log_warn("{}", reason);
    if (changed) changed(reason);
}

// A launch may have happened though nobody could answer it: looked up first.
Task<void> KeeperLink::State::ask_again(std::uint32_t sequence) {
    auto found = pending_calls.find(sequence);
    if (found == pending_calls.end()) co_return;
    if (auto run = found->second.launched) {
        auto page = co_await call(List(run - 1), Repeat::no);
        found = pending_calls.find(sequence);
        if (!page || found == pending_calls.end()) co_return;
        auto decoded = decode_all<ListPage>(page->payload);
        if (decoded && !decoded->first.empty() && decoded->first[0].run == run) {
            auto answer = std::move(found->second.answer);
            pending_calls.erase(found);
            answer.complete(Answer{encoded(decoded->first[0]), nullptr});
            co_return;
        }
    }
    post(found->second.bytes);
}

// A duplicate of every listening socket, so that none dies with the keeper.
Task<void> KeeperLink::State::mirror_sockets() {
    auto answer = co_await call(ListSockets(), Repeat::no);
    auto specs =
        answer ? decode_all<std::vector<runtime::SocketSpec>>(answer->payload) : std::nullopt;
    for (auto& spec : specs.value_or(std::vector<runtime::SocketSpec>{})) {
        if (sockets.contains(spec.name)) continue;
        auto fetched = co_await call(Fetch(Thing::socket, spec.name, 0), Repeat::no);
        if (fetched && fetched->fd && *fetched->fd) sockets[spec.name] = {spec, fetched->fd};
    }
}

}  // namespace holdfast::keeper
