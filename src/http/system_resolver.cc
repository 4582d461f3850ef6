#include "http/system_resolver.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <deque>

#include "runtime/completion.h"
#include "runtime/real/loop.h"

namespace holdfast::http {

using runtime::Completion;
using runtime::Task;
using Addresses = Result<std::vector<std::string>>;

namespace {

constexpr int lookups_max = 2;
constexpr std::size_t waiting_max = 100;

Addresses look_up(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (error != 0) {
        return fail(Errc::unavailable,
                    fmt::format("cannot resolve {}: {}", host, ::gai_strerror(error)));
    }
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, ::freeaddrinfo);
    std::vector<std::string> addresses;
    for (auto* entry = found; entry; entry = entry->ai_next) {
        char text[NI_MAXHOST];
        if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0,
                          NI_NUMERICHOST) != 0) {
            continue;
        }
        std::string address(text);
        bool known = std::ranges::find(addresses, address) != addresses.end();
        if (!known && !address.contains('%')) addresses.push_back(std::move(address));
    }
    if (addresses.empty()) return fail(Errc::unavailable, host + " has no address");
    return addresses;
}

}  // namespace

struct SystemResolver::Lookups {
    struct Asked {
        std::string host;
        Completion<Addresses> answer;
    };
    std::deque<Asked> waiting;
    int running = 0;
    runtime::TaskGroup tasks;

    void begin(runtime::EventLoop& loop) {
        while (running < lookups_max && !waiting.empty()) {
            auto asked = std::move(waiting.front());
            waiting.pop_front();
            ++running;
            tasks.spawn(run(loop, this, std::move(asked)));
        }
    }

    // One lookup after the other, so that none is begun inside another's end.
    static Task<void> run(runtime::EventLoop& loop, Lookups* self, Asked asked) {
        for (;;) {
            auto answer = co_await loop.on_pool([host = asked.host] { return look_up(host); });
            asked.answer.complete(std::move(answer));
            if (self->waiting.empty()) break;
            asked = std::move(self->waiting.front());
            self->waiting.pop_front();
        }
        --self->running;
    }
};

SystemResolver::SystemResolver(runtime::EventLoop& loop)
    : loop_(loop), lookups_(std::make_unique<Lookups>()) {}
SystemResolver::~SystemResolver() = default;

Task<Addresses> SystemResolver::resolve(std::string host) {
    if (lookups_->waiting.size() >= waiting_max) {
        co_return fail(Errc::exhausted, "too many names wait to be resolved");
    }
    Completion<Addresses> answer;
    lookups_->waiting.push_back({std::move(host), answer});
    lookups_->begin(loop_);
    co_return co_await answer.wait();
}

}  // namespace holdfast::http
