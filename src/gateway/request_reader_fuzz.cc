// However a connection's bytes are cut, the requests read from them are the same, and what is read
// has exactly one Host and a target that begins with a slash.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "gateway/request_reader.h"
#include "gateway/target.h"

namespace holdfast::gateway {
namespace {

constexpr ReaderLimits limits{.head_bytes_max = 512, .headers_max = 8, .body_bytes_max = 256};

void note(const Request& request, std::vector<std::string>& seen) {
    int hosts = 0;
    for (const auto& header : request.headers) {
        hosts += header.name.size() == 4 && (header.name[0] | 0x20) == 'h' &&
                 (header.name[1] | 0x20) == 'o' && (header.name[2] | 0x20) == 's' &&
                 (header.name[3] | 0x20) == 't';
    }
    HF_CHECK(hosts == 1);
    HF_CHECK(request.target.starts_with('/'));
    HF_CHECK(request.body.size() <= limits.body_bytes_max);
    if (auto target = parse_target(request.target)) {
        for (const auto& segment : target->segments) HF_CHECK(!segment.empty());
    }
    seen.push_back(request.method + " " + request.target + " " + request.body);
}

// Requests in order, then "refused" if the connection came to a bad end.
std::vector<std::string> read(std::string_view bytes, std::size_t piece_bytes) {
    std::vector<std::string> seen;
    RequestReader reader(limits);
    while (!bytes.empty()) {
        auto progress = reader.take(bytes.substr(0, piece_bytes));
        bytes.remove_prefix(std::min(piece_bytes, bytes.size()));
        while (progress && *progress == RequestReader::Progress::done) {
            note(reader.release().request, seen);
            progress = reader.take({});
        }
        if (!progress) {
            seen.emplace_back("refused");
            break;
        }
    }
    return seen;
}

}  // namespace
}  // namespace holdfast::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (size > 4096) return 0;
    auto whole = holdfast::gateway::read(bytes, bytes.size() + 1);
    HF_CHECK(holdfast::gateway::read(bytes, 1) == whole);
    HF_CHECK(holdfast::gateway::read(bytes, 7) == whole);
    return 0;
}
