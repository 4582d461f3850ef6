// A numbered sequence of batches and what the store must hold after each prefix of it: the oracle
// of every test that cuts the power of a store. For tests.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/random.h"
#include "runtime/store.h"

namespace holdfast::runtime {

using StoreContent = std::map<std::string, std::string, std::less<>>;

inline constexpr std::string_view workload_key = "number";  // Holds the last batch's number.

// The batch of this number, from 1: always the same.
inline Batch workload_batch(std::uint64_t number) {
    Random random(number);
    Batch batch;
    const auto key = [&random] { return fmt::format("key/{:03}", random.below(200)); };
    for (auto steps = 1 + random.below(6); steps > 0; --steps) {
        if (random.chance(0.6)) {
            const auto length = random.chance(0.05) ? 20000 : random.below(300);
            batch.put(key(),
                      std::string(static_cast<std::size_t>(length), 'v') + std::to_string(number));
        } else if (random.chance(0.7)) {
            batch.erase(key());
        } else {
            const auto from = key();
            batch.erase_range(from, from + "~");
        }
    }
    batch.put(std::string(workload_key), std::to_string(number));
    return batch;
}

inline void apply_to(StoreContent& content, const Batch& batch) {
    for (const auto& step : batch.steps()) {
        switch (step.kind) {
            case Batch::Kind::put:
                content[step.key] = step.value;
                break;
            case Batch::Kind::erase:
                content.erase(step.key);
                break;
            case Batch::Kind::erase_range:
                content.erase(content.lower_bound(step.key), content.lower_bound(step.value));
                break;
        }
    }
}

inline Result<StoreContent> content_of(const Store& store) {
    StoreContent content;
    HF_TRY_VOID(store.snapshot()->scan("", "", [&](std::string_view key, std::string_view value) {
        content.emplace(key, value);
        return true;
    }));
    return content;
}

// The number of the prefix that the store holds; an error says what else it holds.
inline Result<std::uint64_t> workload_prefix(const Store& store) {
    HF_TRY(const auto found, content_of(store));
    const auto at = found.find(workload_key);
    const auto number = at == found.end() ? 0 : std::strtoull(at->second.c_str(), nullptr, 10);
    StoreContent expected;
    for (std::uint64_t n = 1; n <= number; ++n) apply_to(expected, workload_batch(n));
    if (found == expected) return number;
    return fail(Errc::corrupt, fmt::format("not what batches 1 to {} leave", number));
}

}  // namespace holdfast::runtime
