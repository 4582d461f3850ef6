// Coordinator: the few facts that must never be contradicted.
//
// Specs, versions, settings, users, views: small values under '/'-separated keys, changed only by
// transactions that compare first. Three implementations stand behind this one interface and one
// conformance test: `embedded` (one machine, on the local store), `etcd` (several machines), and
// `simulated` (with every liberty the contract allows). The terms are etcd's.
//
// Linearizable: a read sees every transaction that was answered before the read was called. Every
// call has a deadline of its own, given at construction; past it the answer is Errc::unavailable,
// or Errc::in_doubt when a transaction may yet have been, or may yet be, applied.
//
// Not thread-safe: one event loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "runtime/task.h"

namespace holdfast::coord {

// Of the whole store; rises by one with each transaction that changes something. Erasing what is
// not there changes nothing; putting the value that is there does.
using Revision = std::uint64_t;
using LeaseId = std::uint64_t;  // 0: none.

struct Entry {
    std::string key;
    std::string value;
    Revision created = 0;
    Revision modified = 0;
    LeaseId lease = 0;

    bool operator==(const Entry&) const = default;
};

// A condition on one key: that its last change was at `modified`, or, with 0, that it does not
// exist.
struct Compare {
    std::string key;
    Revision modified = 0;
};

struct Operation {
    enum class Kind { put, erase, erase_prefix };
    Kind kind = Kind::put;
    std::string key;
    std::string value;
    LeaseId lease = 0;  // The key goes when the lease ends.
};

inline Operation put(std::string key, std::string value, LeaseId lease = 0) {
    return {Operation::Kind::put, std::move(key), std::move(value), lease};
}
inline Operation erase(std::string key) {
    return {Operation::Kind::erase, std::move(key), {}, 0};
}
inline Operation erase_prefix(std::string prefix) {
    return {Operation::Kind::erase_prefix, std::move(prefix), {}, 0};
}

// All operations or, if any comparison fails, none. At most 128 comparisons, 128 operations and 1
// MiB: etcd's limits, so that what works on one machine works on several. Errc::invalid beyond
// them, for an empty key or prefix, and where two operations touch one key. Errc::not_found if a
// put names a lease that has ended.
struct Transaction {
    std::vector<Compare> when;
    std::vector<Operation> then;
};

struct Outcome {
    bool applied = false;   // False: a comparison failed.
    Revision revision = 0;  // Of the store after it.
};

struct Listing {
    std::vector<Entry> entries;  // By key.
    Revision revision = 0;       // At which they were all true at once.
};

struct Change {
    enum class Kind { put, erase };
    Kind kind = Kind::put;
    Entry entry;  // Of an erase: key and `modified` only.
};

// What a watch reports: changes of one or more whole transactions, in order. Or, when the history
// it would have needed is gone (`resync`), the state instead: what is not among `changes` has gone.
struct WatchEvent {
    bool resync = false;
    std::vector<Change> changes;
    Revision revision = 0;  // Everything up to here has been reported.
};

// Never skips silently. Ends when destroyed.
class Watch {
  public:
    virtual ~Watch() = default;
    // Waits for the next event; no deadline. Errors are not final: call again. A Task that is
    // destroyed has taken nothing.
    virtual runtime::Task<Result<WatchEvent>> next() = 0;
};

class Coordinator {
  public:
    virtual ~Coordinator() = default;

    virtual runtime::Task<Result<std::optional<Entry>>> get(std::string key) = 0;
    virtual runtime::Task<Result<Listing>> list(std::string prefix) = 0;
    virtual runtime::Task<Result<Outcome>> commit(Transaction transaction) = 0;

    // Changes of keys with the prefix after revision `after`: pass the revision of a list() to miss
    // nothing between the two.
    virtual std::unique_ptr<Watch> watch(std::string prefix, Revision after) = 0;

    // A hint that somebody is alive, never safety: it may end early or late.
    virtual runtime::Task<Result<LeaseId>> grant_lease(Duration time_to_live) = 0;
    virtual runtime::Task<Result<void>> keep_lease(LeaseId lease) = 0;  // not_found: it has ended.
    virtual runtime::Task<Result<void>> revoke_lease(LeaseId lease) = 0;
};

}  // namespace holdfast::coord
