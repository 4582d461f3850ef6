#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace holdfast {

std::string Sha256::hex() const {
    return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

struct Sha256Stream::State {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    ~State() { EVP_MD_CTX_free(context); }
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
    HF_CHECK(state_->context);
    HF_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::update(std::string_view bytes) {
    HF_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

Sha256 Sha256Stream::finish() {
    Sha256 hash;
    unsigned size = 0;
    HF_CHECK(EVP_DigestFinal_ex(state_->context, hash.bytes.data(), &size) == 1);
    HF_CHECK(size == hash.bytes.size());
    return hash;
}

Sha256 sha256(std::string_view bytes) {
    Sha256Stream stream;
    stream.update(bytes);
    return stream.finish();
}

}  // namespace holdfast
