#include "coord/layout.h"

#include <fmt/format.h>

#include "base/bytes.h"

namespace holdfast::coord {

namespace {

constexpr std::string_view entries = "c/k/";
constexpr std::string_view leases = "c/l/";
constexpr std::string_view attachments = "c/a/";

// Most significant byte first, so that keys are in the order of the numbers.
std::string ordered(LeaseId lease) {
    std::string bytes;
    for (int shift = 56; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>(static_cast<unsigned char>(lease >> shift)));
    }
    return bytes;
}

std::unexpected<Error> damaged(std::string_view what) {
    return fail(Errc::corrupt, fmt::format("the coordinator's {} in the store is damaged", what));
}

}  // namespace

std::string header_key() {
    return "c/h";
}
std::string entry_key(std::string_view key) {
    return std::string(entries) + std::string(key);
}
std::string lease_key(LeaseId lease) {
    return std::string(leases) + ordered(lease);
}
std::string attachment_prefix(LeaseId lease) {
    return std::string(attachments) + ordered(lease);
}
std::string attachment_key(LeaseId lease, std::string_view key) {
    return attachment_prefix(lease) + std::string(key);
}
std::string_view entry_prefix() {
    return entries;
}
std::string_view lease_prefix() {
    return leases;
}

std::string encode_header(const Header& header) {
    std::string bytes;
    append_le(bytes, store_format);
    append_le(bytes, header.revision);
    append_le(bytes, header.leases_granted);
    return bytes;
}

std::string encode_entry(const Entry& entry) {
    std::string bytes;
    append_le(bytes, entry.created);
    append_le(bytes, entry.modified);
    append_le(bytes, entry.lease);
    bytes.append(entry.value);
    return bytes;
}

std::string encode_lease(Duration time_to_live) {
    std::string bytes;
    append_le(bytes, time_to_live.count());
    return bytes;
}

Result<Header> decode_header(std::string_view bytes) {
    ByteReader reader(bytes);
    const auto format = reader.le<std::uint32_t>();
    if (!reader.ok()) return damaged("header");
    if (format != store_format) {
        return fail(Errc::invalid,
                    fmt::format("the coordinator's state has format {}; this program "
                                "knows format {}: use the version that wrote it",
                                format, store_format));
    }
    Header header;
    header.revision = reader.le<Revision>();
    header.leases_granted = reader.le<LeaseId>();
    if (!reader.done()) return damaged("header");
    return header;
}

Result<Entry> decode_entry(std::string_view key, std::string_view bytes) {
    ByteReader reader(bytes);
    Entry entry;
    entry.key = key;
    entry.created = reader.le<Revision>();
    entry.modified = reader.le<Revision>();
    entry.lease = reader.le<LeaseId>();
    if (!reader.ok() || entry.created == 0 || entry.created > entry.modified) {
        return damaged(fmt::format("entry '{}'", key));
    }
    entry.value = reader.rest();
    return entry;
}

Result<Duration> decode_lease(std::string_view bytes) {
    ByteReader reader(bytes);
    const Duration time_to_live(reader.le<Duration::rep>());
    if (!reader.done() || time_to_live <= Duration::zero()) return damaged("lease");
    return time_to_live;
}

Result<LeaseId> decode_lease_key(std::string_view store_key) {
    if (!store_key.starts_with(leases) || store_key.size() != leases.size() + 8) {
        return damaged("lease");
    }
    LeaseId lease = 0;
    for (const char byte : store_key.substr(leases.size())) {
        lease = lease << 8 | static_cast<unsigned char>(byte);
    }
    return lease;
}

}  // namespace holdfast::coord
