// The keeper's connections: the node's, and those of commands.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "keeper/keeper.h"

namespace holdfast::keeper {

namespace {

constexpr std::size_t connections_max = 64;
constexpr std::size_t sockets_max = 1024;
constexpr std::size_t page_bytes_max = 64 * 1024;

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};

}  // namespace

std::uint64_t Keeper::connect(Fd fd, int pid) {
    auto id = ++last_connection_;
    poller_.watch(fd.get(), {Source::Kind::connection, id});
    connections_[id] = {std::move(fd), pid, {}};
    return id;
}

void Keeper::accept_all() {
    for (;;) {
        Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return;
        ucred peer{};
        socklen_t length = sizeof peer;
        getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length);
        bool welcome =
            (peer.uid == 0 || peer.uid == getuid()) && connections_.size() < connections_max;
        if (welcome) connect(std::move(fd), peer.pid);
    }
}

void Keeper::hang_up(std::uint64_t id) {
    auto found = connections_.find(id);
    if (found == connections_.end()) return;
    poller_.unwatch(found->second.fd.get());
    connections_.erase(found);
    if (node_.connection == id) node_.connection = 0;
    if (candidate_.connection == id) candidate_.connection = 0;
}

void Keeper::read_from(std::uint64_t id) {
    auto& connection = connections_.at(id);
    if (!connection.unsent.empty()) return send_unsent(id);
    Datagram datagram;
    switch (receive(connection.fd.get(), datagram)) {
        case Received::nothing:
            return;
        case Received::end:
            return hang_up(id);
        case Received::datagram:
            break;
    }
    auto message = decode(datagram.bytes);
    if (!message) return answer(id, 0, std::unexpected(message.error()));
    act(id, std::move(*message), std::move(datagram.fd));
}

void Keeper::send_unsent(std::uint64_t id) {
    auto& [fd, pid, unsent] = connections_.at(id);
    while (!unsent.empty()) {
        auto sent = send(fd.get(), unsent.front().first, unsent.front().second.get());
        if (sent == Sent::broken) return hang_up(id);
        if (sent == Sent::full) break;
        unsent.pop_front();
    }
    poller_.want_writable(fd.get(), !unsent.empty());
}

void Keeper::post(std::uint64_t id, std::string bytes, Fd fd) {
    auto found = connections_.find(id);
    if (found == connections_.end()) return;
    found->second.unsent.emplace_back(std::move(bytes), std::move(fd));
    if (found->second.unsent.size() == 1) send_unsent(id);
}

void Keeper::answer(std::uint64_t id, std::uint32_t sequence, Result<std::string> outcome, Fd fd) {
    post(id,
         encode(sequence, outcome ? Reply(0, {}, std::move(*outcome)) : reply_of(outcome.error())),
         std::move(fd));
}

ListPage Keeper::list_after(runtime::RunId last) const {
    ListPage page;
    auto each = children_.upper_bound(last);
    for (std::size_t bytes = 0; each != children_.end() && bytes < page_bytes_max; ++each) {
        if (!each->second.failure.empty()) continue;
        page.first.push_back(each->second.run.report());
        bytes += encoded(page.first.back()).size();
    }
    page.second = each != children_.end();
    return page;
}

void Keeper::act(std::uint64_t id, Message message, Fd passed) {
    auto sequence = message.sequence;
    auto done = [&](Result<std::string> outcome = {}) { answer(id, sequence, std::move(outcome)); };
    bool is_node = id == node_.connection, is_candidate = id == candidate_.connection;
    auto& node = is_candidate ? candidate_ : node_;
    std::visit(Overloaded{
                   [&](Hello& hello) {
                       auto& [claims, build] = hello.values;
                       int pid = connections_.at(id).pid;
                       if (claims && !is_node && !is_candidate && pid == node_.id.pid) {
                           hang_up(node_.connection);
                           node_.connection = id;
                       } else if (claims && !is_node && !is_candidate) {
                           return done(fail(Errc::denied,
                                            fmt::format("pid {} is not the keeper's node", pid)));
                       }
                       if (claims) node.build_id = build;
                       done();
                       if (!claims || id != node_.connection) return;
                       // What was told to the node before it may have died with that one.
                       tell_all_again();
                       ask(node_, Wish::activate);
                   },
                   [&](List& list) { done(encoded(list_after(std::get<0>(list.values)))); },
                   [&](ListSockets&) {
                       std::vector<runtime::SocketSpec> specs;
                       for (auto& [name, socket] : sockets_) specs.push_back(socket.spec);
                       done(encoded(specs));
                   },
                   [&](Beat&) {
                       if (is_node) watch_.beat(boot_clock());
                   },
                   [&](Ready&) {
                       if (is_node || is_candidate) node_ready(node);
                   },
                   [&](AskStatus&) { done(encoded(status())); },
                   [&](AskUpgrade& ask) { upgrade(id, sequence, ask); },
                   [&](AskShutdown& ask) {
                       shut_down(std::get<0>(ask.values));
                       done();
                   },
                   [&](HoldNode& hold) {
                       auto until = boot_clock() +
                                    std::clamp(std::get<0>(hold.values), Duration(0), far_away);
                       watch_.hold(until, wall_clock());
                       send_signal(node_.process, SIGKILL);
                       done();
                   },
                   [&](Launch& ask) {
                       if (!is_node)
                           return done(fail(Errc::denied, "only the active node may start runs"));
                       launch(id, sequence, std::move(std::get<0>(ask.values)));
                   },
                   [&](auto&) {
                       if (!is_node)
                           return done(fail(Errc::denied, "only the active node may do that"));
                       auto outcome = act_for_node(message.body, passed);
                       answer(id, sequence, std::move(outcome), std::move(passed));
                   },
               },
               message.body);
}

// `passed` is the descriptor that came with it, and then the one that goes with the answer.
Result<std::string> Keeper::act_for_node(const AnyMessage& body, Fd& passed) {
    auto plain = [](Result<void> outcome) -> Result<std::string> {
        HF_TRY_VOID(std::move(outcome));
        return {};
    };
    Fd came = std::move(passed);
    auto thing_of = [&](const auto& values) -> Result<Fd*> {
        auto& [thing, name, run] = values;
        auto socket = sockets_.find(name);
        if (thing == Thing::socket && socket != sockets_.end()) return &socket->second.fd;
        if (auto* child = find(run); thing == Thing::output && child) return &child->ring;
        return fail(Errc::not_found, "there is no such socket or run");
    };
    return std::visit(
        Overloaded{
            [&](const Stop& ask) {
                auto [run, grace, signal] = ask.values;
                return plain(stop(run, grace, signal));
            },
            [&](const Kill& ask) { return plain(stop(std::get<0>(ask.values), Duration(0), 0)); },
            [&](const Forget& ask) { return plain(forget(std::get<0>(ask.values))); },
            [&](const OpenSocket& ask) { return open_socket(std::get<0>(ask.values), passed); },
            [&](const CloseSocket& ask) -> Result<std::string> {
                if (sockets_.erase(std::get<0>(ask.values)) == 0)
                    return fail(Errc::not_found, "there is no such socket");
                record();
                return {};
            },
            [&](const Fetch& ask) -> Result<std::string> {
                HF_TRY(Fd * fd, thing_of(ask.values));
                if (!*fd) return fail(Errc::not_found, "it is not there yet");
                passed = Fd(dup(fd->get()));
                return {};
            },
            [&](const Offer& ask) -> Result<std::string> {
                HF_TRY(Fd * fd, thing_of(ask.values));
                if (*fd || !came) return {};
                auto* child = find(std::get<2>(ask.values));
                if (child && fd == &child->ring) {
                    HF_TRY(child->ring_memory, map_ring(came.get()));
                    child->tell_output = Ring(child->ring_memory).new_reader();
                }
                *fd = std::move(came);
                return {};
            },
            [](const auto&) -> Result<std::string> {
                return fail(Errc::invalid, "that is not for a keeper");
            },
        },
        body);
}

// What happened and has not been told, oldest end first; stops when the node takes no more.
void Keeper::tell_node() {
    auto takes_more = [&] {
        auto found = connections_.find(node_.connection);
        return found != connections_.end() && found->second.unsent.empty();
    };
    for (auto& [id, child] : children_) {
        if (!takes_more()) return;
        if (std::exchange(child.tell_notified, false))
            post(node_.connection, encode(0, NotifiedBy(id, child.run.notified)));
        if (std::exchange(child.tell_output, false))
            post(node_.connection, encode(0, OutputWaits(id)));
    }
    while (!untold_.empty() && takes_more()) {
        if (auto* child = find(untold_.front()))
            post(node_.connection, encode(0, Exited(child->run.id, *child->run.exit)));
        untold_.pop_front();
    }
}

// To a node that is new, or has a new keeper.
void Keeper::tell_all_again() {
    untold_.clear();
    for (auto& [id, child] : children_) {
        child.tell_notified = child.run.notified != runtime::Notified{};
        child.tell_output = child.ring_memory && Ring(child.ring_memory).new_reader();
        if (!child.run.alive()) untold_.push_back(id);
    }
    std::ranges::sort(untold_, {},
                      [this](auto id) { return std::pair(children_[id].run.exit->at, id); });
}

Result<std::string> Keeper::open_socket(const runtime::SocketSpec& spec, Fd& passed) {
    auto found = sockets_.find(spec.name);
    if (found != sockets_.end()) {
        auto& known = found->second.spec;
        if (known.address != spec.address || (spec.port != 0 && known.port != spec.port)) {
            return fail(Errc::conflict, fmt::format("{} is open at {} port {}", spec.name,
                                                    known.address, known.port));
        }
        if (found->second.fd) {
            passed = Fd(dup(found->second.fd.get()));
            return encoded(known.port);
        }
    }
    if (spec.name.empty() || sockets_.size() >= sockets_max)
        return fail(Errc::invalid, "no name, or too many sockets");
    sockaddr_storage address{};
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
    bool six = inet_pton(AF_INET6, spec.address.c_str(), &v6->sin6_addr) == 1;
    if (!six && inet_pton(AF_INET, spec.address.c_str(), &v4->sin_addr) != 1) {
        return fail(Errc::invalid, fmt::format("{} is not an address", spec.address));
    }
    address.ss_family = six ? AF_INET6 : AF_INET;
    v4->sin_port = htons(spec.port);  // The same place in both.
    socklen_t length = six ? sizeof *v6 : sizeof *v4;
    Fd fd(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (six) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd.get(), plain, length) != 0 || listen(fd.get(), spec.backlog) != 0) {
        return fail(
            errno == EADDRINUSE ? Errc::conflict : Errc::invalid,
            fmt::format("cannot listen at {} port {}: {}", spec.address, spec.port, errno_text()));
    }
    getsockname(fd.get(), plain, &length);
    auto kept = spec;
    kept.port = ntohs(v4->sin_port);
    passed = Fd(dup(fd.get()));
    sockets_[spec.name] = {kept, std::move(fd)};
    record();
    return encoded(kept.port);
}

}  // namespace holdfast::keeper
