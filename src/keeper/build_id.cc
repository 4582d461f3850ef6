#include "keeper/build_id.h"

#include <elf.h>
#include <fmt/format.h>

#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "runtime/process/system.h"

namespace holdfast::keeper {

using namespace runtime::process;

namespace {

// The note of type NT_GNU_BUILD_ID in a PT_NOTE segment, or nothing.
std::string gnu_build_id(std::string_view notes) {
    ByteReader in(notes);
    while (!in.rest().empty() && in.ok()) {
        auto name_bytes = in.le<std::uint32_t>();
        auto bytes = in.le<std::uint32_t>();
        auto type = in.le<std::uint32_t>();
        auto name = in.take((std::size_t{name_bytes} + 3) / 4 * 4);
        auto content = in.take((std::size_t{bytes} + 3) / 4 * 4);
        if (in.ok() && type == NT_GNU_BUILD_ID && name.starts_with("GNU"))
            return to_hex(content.substr(0, bytes));
    }
    return {};
}

}  // namespace

std::string build_id_of(const std::string& executable) {
    auto file = read_file(executable);
    if (!file) return {};
    std::string_view image = *file;
    Elf64_Ehdr header{};
    if (image.size() >= sizeof header) std::memcpy(&header, image.data(), sizeof header);
    bool elf = image.starts_with(ELFMAG) && header.e_phentsize == sizeof(Elf64_Phdr);
    for (std::size_t i = 0; elf && i < header.e_phnum; ++i) {
        Elf64_Phdr segment{};
        auto at = header.e_phoff + i * sizeof segment;
        if (at > image.size() || image.size() - at < sizeof segment) break;
        std::memcpy(&segment, image.data() + at, sizeof segment);
        if (segment.p_type != PT_NOTE || segment.p_offset > image.size()) continue;
        auto id = gnu_build_id(image.substr(segment.p_offset, segment.p_filesz));
        if (!id.empty()) return id;
    }
    return fmt::format("{:08x}{:x}", crc32c(image), image.size());
}

}  // namespace holdfast::keeper
