// The client's side of TLS over any Stream, by OpenSSL with memory BIOs: OpenSSL decides, the
// Stream moves the bytes, so TLS works over the simulated network too.
//
// TLS 1.2 or later, the peer's chain verified against the given authorities, its name against the
// certificate (RFC 6125; an address against the IP entries). There is no switch to turn that off.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "runtime/network.h"
#include "runtime/task.h"

namespace holdfast::http {

class TlsClient {
  public:
    struct Options {
        std::string authorities_file;  // PEM; empty: the system's store.
    };
    // Errc::invalid: the authorities cannot be read.
    static Result<std::unique_ptr<TlsClient>> create(const Options& options);
    ~TlsClient();
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;

    // Shakes hands over `plain`, which it owns from then on. Errc::denied: the peer is not `host`,
    // or nobody we trust says so. Errc::unavailable: anything else. No deadline of its own.
    runtime::Task<Result<std::unique_ptr<runtime::Stream>>> connect(
        std::unique_ptr<runtime::Stream> plain, std::string host);

  private:
    struct Context;
    explicit TlsClient(std::unique_ptr<Context> context);
    std::unique_ptr<Context> context_;
};

}  // namespace holdfast::http
