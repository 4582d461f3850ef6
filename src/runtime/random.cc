#include "runtime/random.h"

#include <sys/random.h>

#include <cerrno>
#include <limits>

#include "base/check.h"

namespace holdfast::runtime {

// By rejection: the values beyond the last whole multiple of the limit are drawn again.
std::uint64_t Random::below(std::uint64_t limit) {
    HF_CHECK(limit > 0);
    auto excess = (std::numeric_limits<std::uint64_t>::max() % limit + 1) % limit;
    auto last = std::numeric_limits<std::uint64_t>::max() - excess;
    for (;;) {
        auto value = next();
        if (value <= last) return value % limit;
    }
}

double Random::unit() {
    constexpr double step = 1.0 / static_cast<double>(std::uint64_t{1} << 53);
    return static_cast<double>(next() >> 11) * step;
}

Duration Random::between(Duration least, Duration most) {
    HF_CHECK(least <= most);
    // Unsigned, so that neither the difference nor the sum can overflow.
    auto span =
        static_cast<std::uint64_t>(most.count()) - static_cast<std::uint64_t>(least.count());
    auto offset = span == std::numeric_limits<std::uint64_t>::max() ? next() : below(span + 1);
    return Duration(static_cast<Duration::rep>(static_cast<std::uint64_t>(least.count()) + offset));
}

std::string secret_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    std::size_t filled = 0;
    while (filled < count) {
        auto got = getrandom(bytes.data() + filled, count - filled, 0);
        if (got < 0 && errno == EINTR) continue;
        HF_CHECK(got > 0);
        filled += static_cast<std::size_t>(got);
    }
    return bytes;
}

}  // namespace holdfast::runtime
