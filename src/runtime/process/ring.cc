#include "runtime/process/ring.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace holdfast::runtime::process {

namespace {

struct Record {
    std::int64_t at;
    std::uint64_t before;  // Payload bytes ever written before this record.
    std::uint32_t length;
    std::uint8_t stream;
    std::uint8_t unused[3];
};

}  // namespace

void Ring::copy_in(std::uint64_t at, std::string_view bytes) {
    char* data = memory_ + ring_header_bytes;
    auto from = at % ring_data_bytes;
    auto first = std::min(bytes.size(), ring_data_bytes - from);
    std::memcpy(data + from, bytes.data(), first);
    std::memcpy(data, bytes.data() + first, bytes.size() - first);
}

void Ring::copy_out(std::uint64_t at, char* to, std::size_t count) const {
    const char* data = memory_ + ring_header_bytes;
    auto from = at % ring_data_bytes;
    auto first = std::min(count, ring_data_bytes - from);
    std::memcpy(to, data + from, first);
    std::memcpy(to + first, data, count - first);
}

bool Ring::write(runtime::OutputStream stream, WallTime at, std::string_view bytes) {
    HF_CHECK(bytes.size() <= ring_record_max);
    auto end = head().load();
    auto oldest = tail().load();
    auto size = sizeof(Record) + bytes.size();
    if (end - oldest > ring_data_bytes) oldest = end;  // Only if somebody has damaged it.
    while (end + size - oldest > ring_data_bytes) {
        Record passed;
        copy_out(oldest, reinterpret_cast<char*>(&passed), sizeof passed);
        oldest += sizeof(Record) + std::min<std::uint64_t>(passed.length, ring_record_max);
        if (oldest > end) oldest = end;
    }
    tail().store(
        oldest);  // Before its bytes are overwritten: the reader looks at it after copying.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    auto total = written().load();
    Record record{at.time_since_epoch().count(),
                  total,
                  static_cast<std::uint32_t>(bytes.size()),
                  std::to_underlying(stream),
                  {}};
    copy_in(end, {reinterpret_cast<const char*>(&record), sizeof record});
    copy_in(end + sizeof record, bytes);
    written().store(total + bytes.size());
    head().store(end + size);
    return quiet().exchange(1) == 0;
}

bool Ring::new_reader() {
    bool unread = read_to().load() < head().load();
    quiet().store(unread);
    return unread;
}

std::optional<runtime::RunOutput> Ring::read() {
    for (;;) {
        auto at = std::max(read_to().load(), tail().load());
        if (at >= head().load()) {
            // Says "tell me" first and looks again: a write in between sees one or the other.
            if (quiet().exchange(0) == 0 || at >= head().load()) return std::nullopt;
            continue;
        }
        Record record;
        copy_out(at, reinterpret_cast<char*>(&record), sizeof record);
        runtime::RunOutput output{
            0,
            record.stream == 0 ? runtime::OutputStream::out : runtime::OutputStream::err,
            WallTime(Duration(record.at)),
            {},
            0};
        bool sane = record.length <= ring_record_max;
        if (sane) {
            output.bytes.resize(record.length);
            copy_out(at + sizeof record, output.bytes.data(), record.length);
        }
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (tail().load() > at) continue;
        auto next = sane ? at + sizeof record + record.length : head().load();
        auto consumed = seen().load();
        output.lost_before = record.before > consumed ? record.before - consumed : 0;
        seen().store(sane ? record.before + record.length : written().load());
        read_to().store(next);
        if (sane) return output;
    }
}

Result<char*> map_ring(int fd) {
    struct stat status{};
    if (fstat(fd, &status) != 0 || status.st_size < static_cast<off_t>(ring_bytes)) {
        return fail(Errc::corrupt, "not a ring of output: too short");
    }
    void* memory = mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return fail(Errc::exhausted, "cannot map a ring of output");
    return static_cast<char*>(memory);
}

void unmap_ring(char* memory) {
    munmap(memory, ring_bytes);
}

}  // namespace holdfast::runtime::process
