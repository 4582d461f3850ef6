// The machine's own name service, by getaddrinfo(3) on the loop's pool, because it blocks.
//
// A lookup that nobody waits for any more still holds its thread until the system gives up, so at
// most two run at a time; more wait their turn, and no more than a hundred of those.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/resolver.h"
#include "runtime/task.h"

namespace holdfast::runtime {
class EventLoop;
}

namespace holdfast::http {

class SystemResolver final : public Resolver {
  public:
    explicit SystemResolver(runtime::EventLoop& loop);
    ~SystemResolver() override;
    SystemResolver(const SystemResolver&) = delete;
    SystemResolver& operator=(const SystemResolver&) = delete;

    // Also Errc::exhausted: too many wait.
    runtime::Task<Result<std::vector<std::string>>> resolve(std::string host) override;

  private:
    struct Lookups;
    runtime::EventLoop& loop_;
    std::unique_ptr<Lookups> lookups_;
};

}  // namespace holdfast::http
