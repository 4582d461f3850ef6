// Randomness, handed in: real programs seed it from the kernel, the simulator from the run's seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "base/time.h"

namespace holdfast::runtime {

// Deterministic for a seed, on every machine: the distributions are our own, because the standard
// library's may differ between implementations. Not for secrets: those come from secret_bytes().
class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    std::uint64_t next() { return engine_(); }
    std::uint64_t below(std::uint64_t limit);  // Uniform in [0, limit); limit > 0.
    double unit();                             // Uniform in [0, 1).
    bool chance(double probability) { return unit() < probability; }
    Duration between(Duration least, Duration most);  // Uniform, both included.
    Random fork() { return Random(next()); }

  private:
    std::mt19937_64 engine_;
};

// From the kernel's generator; never fails, waits for its seeding at boot. For keys and tokens.
std::string secret_bytes(std::size_t count);

}  // namespace holdfast::runtime
