// What a transaction means, apart from where the entries are kept: the pure core that every
// implementation of Coordinator but etcd's shares, and the limits that all of them share.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "coord/coordinator.h"

namespace holdfast::coord {

inline constexpr std::size_t transaction_operations_max = 128;              // Also of comparisons.
inline constexpr std::size_t transaction_bytes_max = std::size_t{1} << 20;  // Keys and values.

// Errc::invalid, naming the key or the limit: too many or too large, an empty key or prefix, a key
// that two operations touch.
Result<void> validate(const Transaction& transaction);

// The end of the range of keys that start with `prefix`; empty if there is none (it is all 0xff).
std::string prefix_end(std::string_view prefix);

// The entries a transaction is decided on.
class EntryView {
  public:
    virtual ~EntryView() = default;
    virtual Result<std::optional<Entry>> get(std::string_view key) const = 0;
    virtual Result<std::vector<Entry>> list(std::string_view prefix) const = 0;
    virtual bool has_lease(LeaseId lease) const = 0;
};

// One change of one key and what it replaces.
struct Replacement {
    Change change;
    LeaseId lease_before = 0;
};

struct Evaluation {
    bool applied = false;
    std::vector<Replacement> replacements;  // By key; empty if nothing changes.
};

// Decides a valid transaction that would have `revision`. Errc::not_found: all comparisons hold,
// but a put names a lease that does not exist.
Result<Evaluation> evaluate(const EntryView& view, const Transaction& transaction,
                            Revision revision);

// The erasure of every given entry at `revision`, in the order given: the end of a lease.
std::vector<Replacement> erase_all(const std::vector<Entry>& entries, Revision revision);

}  // namespace holdfast::coord
