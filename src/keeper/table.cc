#include "keeper/table.h"

#include <fmt/format.h>

#include "base/hash.h"

namespace holdfast::keeper {

namespace {

constexpr std::string_view magic = "HFKT";
constexpr std::uint16_t version = 1;

}  // namespace

std::string encode_table(const Table& table) {
    std::string body;
    append_le(body, version);
    put(body, table);
    std::string out(magic);
    append_le(out, crc32c(body));
    return out + body;
}

Result<Table> decode_table(std::string_view bytes) {
    ByteReader in(bytes);
    if (in.take(magic.size()) != magic) return fail(Errc::corrupt, "it does not begin as a table");
    auto sum = in.le<std::uint32_t>();
    if (!in.ok() || crc32c(in.rest()) != sum) return fail(Errc::corrupt, "its checksum is wrong");
    if (auto found = in.le<std::uint16_t>(); found != version) {
        return fail(Errc::corrupt, fmt::format("its version is {}, not {}", found, version));
    }
    auto table = decode_all<Table>(in.rest());
    if (!table) return fail(Errc::corrupt, "its fields do not make sense");
    return std::move(*table);
}

}  // namespace holdfast::keeper
