// However an answer is cut, the parser reads the same from it; and it neither hangs nor goes beyond
// its limits, whatever the bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/response_parser.h"

namespace {

using holdfast::http::ResponseParser;

constexpr std::uint64_t body_bytes_max = 4096;

std::string read_in_pieces(std::string_view answer, std::size_t piece) {
    ResponseParser parser(
        {.head_bytes_max = 2048, .header_count_max = 16, .body_bytes_max = body_bytes_max});
    std::string seen;
    while (!answer.empty() && !parser.done()) {
        auto rest = answer.substr(0, piece);
        answer.remove_prefix(rest.size());
        while (!rest.empty() && !parser.done()) {
            auto step = parser.feed(rest);
            if (!step) return seen + "|refused";
            HF_CHECK(step->consumed > 0);
            HF_CHECK(step->consumed <= rest.size());
            HF_CHECK(step->body.size() <= step->consumed);
            seen += step->body;
            rest.remove_prefix(step->consumed);
        }
    }
    HF_CHECK(seen.size() <= body_bytes_max);
    HF_CHECK(seen.size() == parser.body_bytes());
    seen += parser.end() ? "|whole|" : "|cut|";
    if (parser.head_done()) seen += std::to_string(parser.head().status);
    return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view answer(reinterpret_cast<const char*>(data), size);
    auto whole = read_in_pieces(answer, size + 1);
    auto bytewise = read_in_pieces(answer, 1);
    // A refusal may come after more or less of the body has been handed out.
    if (!whole.ends_with("|refused") || !bytewise.ends_with("|refused")) {
        HF_CHECK(whole == bytewise);
    }
    return 0;
}
