// RocksDB's outcomes in our terms; included only by the files that make up RocksStore.
#pragma once

#include <rocksdb/status.h>

#include <string>

#include "base/result.h"

namespace holdfast::runtime {

inline Error rocks_error(const rocksdb::Status& status, const std::string& what) {
    auto message = what + ": " + status.ToString();
    if (status.IsCorruption()) return {Errc::corrupt, std::move(message)};
    if (status.IsNoSpace()) return {Errc::exhausted, std::move(message)};
    if (status.IsPathNotFound() || status.IsNotFound()) {
        return {Errc::not_found, std::move(message)};
    }
    if (status.IsInvalidArgument()) return {Errc::invalid, std::move(message)};
    return {Errc::unavailable, std::move(message)};
}

inline Result<void> rocks_result(const rocksdb::Status& status, const std::string& what) {
    if (status.ok()) return {};
    return std::unexpected(rocks_error(status, what));
}

}  // namespace holdfast::runtime
