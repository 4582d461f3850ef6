#include "http/tls_client.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "http/client.h"
#include "runtime/sim/world.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;
using runtime::Stream;
using runtime::Task;
using runtime::World;

struct Free {
    void operator()(SSL* p) const { SSL_free(p); }
    void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
    void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
    void operator()(X509* p) const { X509_free(p); }
    void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

struct Identity {
    Owned<EVP_PKEY> key;
    Owned<X509> certificate;
};

// A certificate for `name` ("DNS:x" or "IP:x"), signed by `by` or by itself, valid from an hour
// ago.
Identity make_identity(const std::string& name, const Identity* by, long valid_seconds = 3600) {
    Identity made{.key = Owned<EVP_PKEY>(EVP_EC_gen("P-256")),
                  .certificate = Owned<X509>(X509_new())};
    auto* certificate = made.certificate.get();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), by ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), valid_seconds);
    X509_set_pubkey(certificate, made.key.get());
    auto* subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(by ? "leaf" : "root"), -1, -1,
                               0);
    X509_set_issuer_name(certificate, by ? X509_get_subject_name(by->certificate.get()) : subject);
    auto add = [&](int nid, const std::string& value) {
        Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
        X509_add_ext(certificate, extension.get(), -1);
    };
    add(NID_basic_constraints, by ? "CA:FALSE" : "critical,CA:TRUE");
    if (by) add(NID_subject_alt_name, name);
    X509_sign(certificate, by ? by->key.get() : made.key.get(), EVP_sha256());
    return made;
}

// The server's half of TLS over a stream, by OpenSSL's own memory BIOs: takes one request, answers.
Task<void> serve_tls(runtime::Listener& listener, SSL_CTX* context, std::string answer) {
    auto accepted = co_await listener.accept();
    if (!accepted) co_return;
    auto stream = *std::move(accepted);
    Owned<SSL> ssl(SSL_new(context));
    auto* in = BIO_new(BIO_s_mem());
    auto* out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl.get(), in, out);
    SSL_set_accept_state(ssl.get());
    std::array<char, 4096> buffer;
    std::string request;
    bool answered = false;
    for (;;) {
        std::array<char, 4096> plain;
        int count = SSL_read(ssl.get(), plain.data(), plain.size());
        if (count > 0) request.append(plain.data(), static_cast<std::size_t>(count));
        if (request.contains("\r\n\r\n") && !answered) {
            answered = true;
            SSL_write(ssl.get(), answer.data(), static_cast<int>(answer.size()));
            SSL_shutdown(ssl.get());
        }
        std::string to_send(BIO_ctrl_pending(out), '\0');
        BIO_read(out, to_send.data(), static_cast<int>(to_send.size()));
        if (!to_send.empty() && !co_await stream->write_all(to_send)) co_return;
        if (answered || ERR_peek_error() != 0) break;
        auto arrived = co_await stream->read_some(buffer);
        if (!arrived || *arrived == 0) co_return;
        BIO_write(in, buffer.data(), static_cast<int>(*arrived));
    }
    ERR_clear_error();
    stream->shut_write();
    (void)co_await stream->read_some(buffer);
}

class TlsClientTest : public testing::Test {
  protected:
    TlsClientTest() {
        directory_ = std::filesystem::temp_directory_path() /
                     ("tls_client_test." + std::to_string(::getpid()));
        std::filesystem::create_directories(directory_);
        auto path = (directory_ / "roots.pem").string();
        auto* file = std::fopen(path.c_str(), "w");
        PEM_write_X509(file, root.certificate.get());
        std::fclose(file);
        tls = *TlsClient::create({.authorities_file = path});
    }
    ~TlsClientTest() override { std::filesystem::remove_all(directory_); }

    // Fetches https://HOST/ from a server on machine b that shows this identity.
    Result<Response> fetch(const std::string& host, const Identity& identity,
                           int version_max = TLS1_3_VERSION, std::string answer = ok) {
        Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
        SSL_CTX_use_certificate(context.get(), identity.certificate.get());
        SSL_CTX_use_PrivateKey(context.get(), identity.key.get());
        SSL_CTX_set_min_proto_version(context.get(), 0);
        SSL_CTX_set_max_proto_version(context.get(), version_max);
        SSL_CTX_set_cipher_list(context.get(), "ALL:@SECLEVEL=0");
        auto listener = *b.network().listen({b.address(), 443});
        runtime::TaskGroup server;
        server.spawn(serve_tls(*listener, context.get(), std::move(answer)));
        Client client({.clock = a.clock(), .network = a.network(), .tls = tls.get()});
        Url url{.scheme = Url::Scheme::https, .host = host, .port = 443};
        auto response = world.complete(client.fetch_at({b.address(), 443}, url, {}, {}));
        if (!response) return fail(Errc::exhausted, "never answered");
        return *response;
    }

    static constexpr auto ok = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
    World world{1};
    runtime::Machine& a = world.machine("a");
    runtime::Machine& b = world.machine("b");
    Identity root = make_identity("", nullptr);
    std::unique_ptr<TlsClient> tls;

  private:
    std::filesystem::path directory_;
};

TEST_F(TlsClientTest, FetchesFromAServerWhoseNameAnAuthorityVouchesFor) {
    auto leaf = make_identity("DNS:hook.example", &root);
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        auto response = fetch("hook.example", leaf, version);
        ASSERT_TRUE(response) << response.error().message;
        EXPECT_EQ(response->body, "secret");
    }
    auto by_address = make_identity("IP:" + b.address(), &root);
    EXPECT_TRUE(fetch(b.address(), by_address));
}

TEST_F(TlsClientTest, RefusesAServerThatIsNotWhoItShouldBe) {
    auto stranger = make_identity("", nullptr);
    struct Case {
        std::string why;
        std::string host;
        Identity identity;
    };
    std::vector<Case> cases;
    cases.push_back({"another name", "hook.example", make_identity("DNS:other.example", &root)});
    cases.push_back(
        {"an unknown authority", "hook.example", make_identity("DNS:hook.example", &stranger)});
    cases.push_back({"signed by itself", "hook.example", make_identity("", nullptr)});
    cases.push_back({"too old", "hook.example", make_identity("DNS:hook.example", &root, -60)});
    cases.push_back({"a name where an address is asked", b.address(),
                     make_identity("DNS:" + b.address(), &root)});
    cases.push_back(
        {"part of a label", "a.hook.example", make_identity("DNS:*ook.example", &root)});
    for (const auto& [why, host, identity] : cases) {
        SCOPED_TRACE(why);
        auto response = fetch(host, identity);
        ASSERT_FALSE(response);
        EXPECT_EQ(response.error().code, Errc::denied) << response.error().message;
    }
}

TEST_F(TlsClientTest, RefusesVersionsBefore12) {
    auto response = fetch("hook.example", make_identity("DNS:hook.example", &root), TLS1_1_VERSION);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Errc::unavailable);
}

TEST_F(TlsClientTest, TakesACutConnectionForACutAnswer) {
    auto response = fetch("hook.example", make_identity("DNS:hook.example", &root), TLS1_3_VERSION,
                          "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nsecret");
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Errc::unavailable);
}

TEST_F(TlsClientTest, SaysWhichAuthoritiesItCannotRead) {
    auto none = TlsClient::create({.authorities_file = "/nonexistent.pem"});
    ASSERT_FALSE(none);
    EXPECT_TRUE(none.error().message.contains("/nonexistent.pem"));
}

}  // namespace
}  // namespace holdfast::http
