// How the embedded coordinator's facts lie in the local store: docs/formats/coord-store.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "coord/coordinator.h"

namespace holdfast::coord {

inline constexpr std::string_view store_prefix = "c/";
inline constexpr std::string_view store_prefix_end = "c0";
inline constexpr std::uint32_t store_format = 1;

// Of the whole store; written with every batch.
struct Header {
    Revision revision = 0;
    LeaseId leases_granted = 0;  // Ids rise from 1 and are never used twice.

    bool operator==(const Header&) const = default;
};

std::string header_key();
std::string entry_key(std::string_view key);
std::string lease_key(LeaseId lease);
std::string attachment_key(LeaseId lease, std::string_view key);
std::string attachment_prefix(LeaseId lease);
std::string_view entry_prefix();
std::string_view lease_prefix();

std::string encode_header(const Header& header);
std::string encode_entry(const Entry& entry);  // Without its key.
std::string encode_lease(Duration time_to_live);

// Errc::corrupt: not what the encoder writes. Errc::invalid: a header of a later format.
Result<Header> decode_header(std::string_view bytes);
Result<Entry> decode_entry(std::string_view key, std::string_view bytes);
Result<Duration> decode_lease(std::string_view bytes);
Result<LeaseId> decode_lease_key(std::string_view store_key);

}  // namespace holdfast::coord
