// Any text is parsed or refused; what is accepted is written and read back as the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "service/spec_parser.h"
#include "service/spec_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    using namespace holdfast::service;
    std::string_view text(reinterpret_cast<const char*>(bytes), count);
    auto spec = parse_spec(text);
    if (!spec) {
        HF_CHECK(!spec.error().empty());
        HF_CHECK(!format_diagnostics(spec.error(), "f").empty());
        return 0;
    }
    auto again = parse_spec(write_spec(*spec));
    HF_CHECK(again.has_value());
    HF_CHECK(*again == *spec);
    return 0;
}
