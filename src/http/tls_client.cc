#include "http/tls_client.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>

namespace holdfast::http {

namespace {

using runtime::Stream;
using runtime::Task;

struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// The first of OpenSSL's queued errors, in its words; empties the queue.
std::string openssl_reason(std::string_view otherwise) {
    auto code = ERR_get_error();
    ERR_clear_error();
    const char* reason = code ? ERR_reason_error_string(code) : nullptr;
    return reason ? reason : std::string(otherwise);
}

// OpenSSL reads what arrived from one memory BIO and writes what is to be sent into another; this
// class moves bytes between those and the plain stream.
class TlsStream final : public Stream {
  public:
    TlsStream(std::unique_ptr<Stream> plain, std::unique_ptr<SSL, Free> ssl)
        : plain_(std::move(plain)),
          ssl_(std::move(ssl)),
          arrived_(BIO_new(BIO_s_mem())),
          to_send_(BIO_new(BIO_s_mem())) {
        HF_CHECK(arrived_ && to_send_);
        SSL_set_bio(ssl_.get(), arrived_, to_send_);  // Which owns them from here.
    }

    Task<Result<void>> shake_hands(std::string host) {
        for (;;) {
            ERR_clear_error();
            int outcome = SSL_connect(ssl_.get());
            HF_CO_TRY_VOID(co_await send());
            if (outcome == 1) co_return Result<void>{};
            if (SSL_get_error(ssl_.get(), outcome) != SSL_ERROR_WANT_READ) {
                co_return std::unexpected(handshake_error(host));
            }
            HF_CO_TRY(auto count, co_await receive());
            if (count == 0) {
                co_return fail(
                    Errc::unavailable,
                    fmt::format("{} closed the connection during the TLS handshake", host));
            }
        }
    }

    Task<Result<std::size_t>> read_some(std::span<char> into) override {
        for (;;) {
            ERR_clear_error();
            std::size_t count = 0;
            int outcome = SSL_read_ex(ssl_.get(), into.data(), into.size(), &count);
            if (outcome == 1) co_return count;
            int error = SSL_get_error(ssl_.get(), outcome);
            if (error == SSL_ERROR_ZERO_RETURN) co_return std::size_t{0};
            if (error != SSL_ERROR_WANT_READ) {
                co_return fail(Errc::unavailable,
                               "TLS: " + openssl_reason("the record is damaged"));
            }
            HF_CO_TRY_VOID(co_await send());  // A key update wants an answer.
            HF_CO_TRY(auto arrived, co_await receive());
            // The end of the connection without the end of TLS may be an attacker's doing.
            if (arrived == 0) {
                co_return fail(Errc::unavailable, "TLS: the connection was cut before its end");
            }
        }
    }

    Task<Result<void>> write_all(std::string_view bytes) override {
        while (!bytes.empty()) {
            ERR_clear_error();
            std::size_t count = 0;
            auto piece = bytes.substr(0, 16 * 1024);
            if (SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &count) != 1) {
                co_return fail(Errc::unavailable, "TLS: " + openssl_reason("cannot write"));
            }
            bytes.remove_prefix(count);
            HF_CO_TRY_VOID(co_await send());
        }
        co_return Result<void>{};
    }

    // HTTP ends its messages itself, so the peer needs no notice of the end of ours.
    void shut_write() override { plain_->shut_write(); }
    runtime::Endpoint peer() const override { return plain_->peer(); }

  private:
    // Sends all that OpenSSL has to say. A reader and a writer may both come here: the one that is
    // already sending takes the other's bytes along.
    Task<Result<void>> send() {
        if (sending_) co_return Result<void>{};
        struct Sending {
            bool& flag;
            explicit Sending(bool& f) : flag(f) { flag = true; }
            ~Sending() { flag = false; }
        } sending(sending_);
        std::string bytes;
        while (auto waiting = BIO_ctrl_pending(to_send_)) {
            bytes.resize(waiting);
            int taken = BIO_read(to_send_, bytes.data(), static_cast<int>(bytes.size()));
            HF_CHECK(taken == static_cast<int>(bytes.size()));
            HF_CO_TRY_VOID(co_await plain_->write_all(bytes));
        }
        co_return Result<void>{};
    }

    Task<Result<std::size_t>> receive() {
        std::array<char, 16 * 1024> buffer;
        HF_CO_TRY(auto count, co_await plain_->read_some(buffer));
        if (count > 0) {
            int stored = BIO_write(arrived_, buffer.data(), static_cast<int>(count));
            HF_CHECK(stored == static_cast<int>(count));
        }
        co_return count;
    }

    Error handshake_error(const std::string& host) const {
        long verified = SSL_get_verify_result(ssl_.get());
        if (verified != X509_V_OK) {
            ERR_clear_error();
            return {Errc::denied, fmt::format("the certificate of {} is not to be trusted: {}",
                                              host, X509_verify_cert_error_string(verified))};
        }
        return {Errc::unavailable,
                fmt::format("TLS handshake with {}: {}", host, openssl_reason("failed"))};
    }

    std::unique_ptr<Stream> plain_;
    std::unique_ptr<SSL, Free> ssl_;
    BIO* arrived_;
    BIO* to_send_;
    bool sending_ = false;
};

}  // namespace

struct TlsClient::Context {
    std::unique_ptr<SSL_CTX, Free> context;
};

TlsClient::TlsClient(std::unique_ptr<Context> context) : context_(std::move(context)) {}
TlsClient::~TlsClient() = default;

Result<std::unique_ptr<TlsClient>> TlsClient::create(const Options& options) {
    auto context = std::make_unique<Context>();
    context->context.reset(SSL_CTX_new(TLS_client_method()));
    auto* raw = context->context.get();
    HF_CHECK(raw);
    SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
    int loaded = options.authorities_file.empty()
                     ? SSL_CTX_set_default_verify_paths(raw)
                     : SSL_CTX_load_verify_file(raw, options.authorities_file.c_str());
    if (loaded != 1) {
        return fail(Errc::invalid,
                    fmt::format("cannot read the certificate authorities in {}: {}",
                                options.authorities_file, openssl_reason("unknown")));
    }
    return std::unique_ptr<TlsClient>(new TlsClient(std::move(context)));
}

Task<Result<std::unique_ptr<Stream>>> TlsClient::connect(std::unique_ptr<Stream> plain,
                                                         std::string host) {
    std::unique_ptr<SSL, Free> ssl(SSL_new(context_->context.get()));
    HF_CHECK(ssl);
    // An address is checked against the certificate's addresses; a name is, and is sent as SNI.
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), host.c_str()) != 1) {
        SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (SSL_set1_host(ssl.get(), host.c_str()) != 1 ||
            SSL_set_tlsext_host_name(ssl.get(), host.c_str()) != 1) {
            co_return fail(Errc::invalid, fmt::format("\"{}\" cannot be a server's name", host));
        }
    }
    ERR_clear_error();
    auto stream = std::make_unique<TlsStream>(std::move(plain), std::move(ssl));
    HF_CO_TRY_VOID(co_await stream->shake_hands(host));
    co_return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace holdfast::http
