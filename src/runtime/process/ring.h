// What a run has written and the node has not yet taken: a ring in memory that both have mapped, so
// that neither waits for the other and nothing is copied through a socket.
//
// One writer, the keeper, never blocks: it drops the oldest records and counts their bytes. One
// reader, the node, copies a record and then looks whether the writer has passed it meanwhile (a
// sequence lock by position); if so the copy is thrown away and the loss reported with the next
// record. The ring outlives both as long as either holds the memfd. Layout:
// docs/formats/keeper-control.md.
//
// The reader trusts nothing it reads: a damaged ring is skipped as a whole.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "runtime/process.h"

namespace holdfast::runtime::process {

inline constexpr std::size_t ring_header_bytes = 4096;
inline constexpr std::size_t ring_data_bytes = 128 * 1024;
inline constexpr std::size_t ring_bytes = ring_header_bytes + ring_data_bytes;
inline constexpr std::size_t ring_record_max =
    16 * 1024;  // Longer pieces are cut by the writer's caller.

// Over `ring_bytes` of zeroed or used memory, which must outlive it; 8-byte aligned.
class Ring {
  public:
    explicit Ring(char* memory) : memory_(memory) {}

    // Keeper. At most ring_record_max bytes. True if the node must be told (once, until it has
    // emptied it).
    bool write(runtime::OutputStream stream, WallTime at, std::string_view bytes);
    // A node, or a keeper, is new: starts afresh with the telling. True if there is something to
    // tell.
    bool new_reader();

    // Node. Nothing: empty, and the keeper will tell.
    std::optional<runtime::RunOutput> read();

  private:
    std::atomic<std::uint64_t>& word(std::size_t index) const {
        return reinterpret_cast<std::atomic<std::uint64_t>*>(memory_)[index];
    }
    std::atomic<std::uint64_t>& head() const { return word(0); }
    std::atomic<std::uint64_t>& tail() const { return word(1); }
    std::atomic<std::uint64_t>& written() const { return word(2); }
    std::atomic<std::uint64_t>& read_to() const { return word(3); }
    std::atomic<std::uint64_t>& seen() const { return word(4); }
    std::atomic<std::uint64_t>& quiet() const { return word(5); }
    void copy_in(std::uint64_t at, std::string_view bytes);
    void copy_out(std::uint64_t at, char* to, std::size_t count) const;

    char* memory_;
};

// Maps a ring's memfd; whoever maps it may also unmap it. corrupt: too short to be one.
Result<char*> map_ring(int fd);
void unmap_ring(char* memory);

}  // namespace holdfast::runtime::process
