#include "coord/transaction.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::coord {

namespace {

std::size_t size_of(const Transaction& transaction) {
    std::size_t bytes = 0;
    for (const auto& compare : transaction.when) bytes += compare.key.size();
    for (const auto& operation : transaction.then) {
        bytes += operation.key.size() + operation.value.size();
    }
    return bytes;
}

bool erases_prefix(const Operation& operation) {
    return operation.kind == Operation::Kind::erase_prefix;
}

// Two operations on one key. Sorted by key, a prefix comes right before the keys it covers.
Result<void> check_disjoint(const std::vector<Operation>& operations) {
    std::vector<const Operation*> sorted;
    for (const auto& operation : operations) sorted.push_back(&operation);
    std::ranges::sort(sorted, {},
                      [](const Operation* one) -> const std::string& { return one->key; });
    const Operation* widest = nullptr;  // The last prefix seen that none before it covers.
    const Operation* previous = nullptr;
    for (const auto* operation : sorted) {
        if (previous && previous->key == operation->key) {
            return fail(Errc::invalid,
                        fmt::format("two operations on the key '{}'", operation->key));
        }
        if (widest && operation->key.starts_with(widest->key)) {
            return fail(Errc::invalid, fmt::format("an operation on the key '{}', which the prefix "
                                                   "'{}' erases as well",
                                                   operation->key, widest->key));
        }
        if (erases_prefix(*operation)) widest = operation;
        previous = operation;
    }
    return {};
}

}  // namespace

Result<void> validate(const Transaction& transaction) {
    if (transaction.when.size() > transaction_operations_max) {
        return fail(Errc::invalid,
                    fmt::format("{} comparisons in one transaction; at most {}",
                                transaction.when.size(), transaction_operations_max));
    }
    if (transaction.then.size() > transaction_operations_max) {
        return fail(Errc::invalid,
                    fmt::format("{} operations in one transaction; at most {}",
                                transaction.then.size(), transaction_operations_max));
    }
    if (const auto bytes = size_of(transaction); bytes > transaction_bytes_max) {
        return fail(Errc::invalid, fmt::format("{} bytes in one transaction; at most {}", bytes,
                                               transaction_bytes_max));
    }
    const auto empty = [](const auto& one) { return one.key.empty(); };
    if (std::ranges::any_of(transaction.when, empty) ||
        std::ranges::any_of(transaction.then, empty)) {
        return fail(Errc::invalid, "an empty key or prefix in a transaction");
    }
    for (const auto& operation : transaction.then) {
        if (operation.kind != Operation::Kind::put && operation.lease != 0) {
            return fail(Errc::invalid,
                        fmt::format("an erasure of '{}' that names a lease", operation.key));
        }
    }
    return check_disjoint(transaction.then);
}

std::string prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && end.back() == '\xff') end.pop_back();
    if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
    return end;
}

namespace {

Result<bool> holds(const EntryView& view, const Compare& compare) {
    HF_TRY(const auto entry, view.get(compare.key));
    return (entry ? entry->modified : 0) == compare.modified;
}

Result<std::vector<Replacement>> carry_out(const EntryView& view, const Operation& operation,
                                           Revision revision) {
    if (erases_prefix(operation)) {
        HF_TRY(const auto entries, view.list(operation.key));
        return erase_all(entries, revision);
    }
    HF_TRY(auto before, view.get(operation.key));
    if (operation.kind == Operation::Kind::erase) {
        if (!before) return std::vector<Replacement>();
        return erase_all({*std::move(before)}, revision);
    }
    Entry entry{.key = operation.key,
                .value = operation.value,
                .created = before ? before->created : revision,
                .modified = revision,
                .lease = operation.lease};
    return std::vector<Replacement>{
        {.change = {.kind = Change::Kind::put, .entry = std::move(entry)},
         .lease_before = before ? before->lease : 0}};
}

}  // namespace

Result<Evaluation> evaluate(const EntryView& view, const Transaction& transaction,
                            Revision revision) {
    for (const auto& compare : transaction.when) {
        HF_TRY(const bool met, holds(view, compare));
        if (!met) return Evaluation{};
    }
    for (const auto& operation : transaction.then) {
        if (operation.lease != 0 && !view.has_lease(operation.lease)) {
            return fail(Errc::not_found, fmt::format("lease {} has ended", operation.lease));
        }
    }
    Evaluation evaluation{.applied = true, .replacements = {}};
    for (const auto& operation : transaction.then) {
        HF_TRY(auto replacements, carry_out(view, operation, revision));
        std::ranges::move(replacements, std::back_inserter(evaluation.replacements));
    }
    std::ranges::sort(
        evaluation.replacements, {},
        [](const Replacement& one) -> const std::string& { return one.change.entry.key; });
    return evaluation;
}

std::vector<Replacement> erase_all(const std::vector<Entry>& entries, Revision revision) {
    std::vector<Replacement> replacements;
    for (const auto& entry : entries) {
        Entry erased{.key = entry.key, .value = {}, .created = 0, .modified = revision, .lease = 0};
        replacements.push_back({.change = {.kind = Change::Kind::erase, .entry = std::move(erased)},
                                .lease_before = entry.lease});
    }
    return replacements;
}

}  // namespace holdfast::coord
