// Any bytes to the keeper's decoder: refused, or one message that encodes to the same bytes again.
#include <cstdint>

#include "base/check.h"
#include "keeper/messages.h"
#include "keeper/run.h"
#include "keeper/table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (auto message = keeper::decode(bytes)) {
        auto again = std::visit([&](auto& body) { return keeper::encode(message->sequence, body); },
                                message->body);
        HF_CHECK(again == bytes);
    }
    (void)keeper::decode_table(bytes);
    // The fields behind the checksum, which random bytes would hardly pass.
    if (auto table = keeper::decode_all<keeper::Table>(bytes)) {
        HF_CHECK(keeper::encode_table(*table).substr(10) == bytes);
        for (auto& run : table->runs) {
            run.due(Instant(std::chrono::seconds(1)));
            run.report();
        }
    }
    runtime::Notified known;
    keeper::merge_notification(known, bytes, Instant());
    HF_CHECK(known.status.size() <= 255);
    return 0;
}
