// Checksums and hashes.
//
// CRC32C finds accidents in records that are read back at once; SHA-256 names content.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast {

// Castagnoli's polynomial, as in iSCSI and ext4; SSE 4.2 where the processor has it. `seed` chains
// calls: crc32c(b, crc32c(a)) == crc32c(a + b).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

// Compares, copies and prints as a value.
struct Sha256 {
    std::array<std::uint8_t, 32> bytes{};

    std::string hex() const;
    auto operator<=>(const Sha256&) const = default;
};

Sha256 sha256(std::string_view bytes);

// Hash of a stream of pieces. finish() may be called once.
class Sha256Stream {
  public:
    Sha256Stream();
    ~Sha256Stream();
    Sha256Stream(const Sha256Stream&) = delete;
    Sha256Stream& operator=(const Sha256Stream&) = delete;

    void update(std::string_view bytes);
    Sha256 finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast
