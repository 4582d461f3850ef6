// A disk in memory that does what real ones do on bad days.
//
// It keeps what the machine would read now apart from what is on the platters: each file has its
// durable bytes and a list of writes since its last sync; each directory has its durable entries
// and a list of changes since its last sync. crash() keeps an arbitrary part of what was not
// synced, in any order and sector by sector, so that code which syncs too little meets every
// outcome that disk.h allows. Follows the fault model of "All File Systems Are Not Created Equal"
// (OSDI 2014); stricter than ext4, which keeps renames in order.
//
// An operation whose Task is destroyed is still carried out when its time has come, as on a real
// disk pool, unless a crash comes first.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/clock.h"
#include "runtime/completion.h"
#include "runtime/disk.h"
#include "runtime/random.h"

namespace holdfast::runtime {

inline constexpr std::size_t sector_bytes = 512;

// Probabilities are per operation.
struct DiskFaults {
    double read_error = 0;      // Errc::corrupt.
    double write_error = 0;     // Errc::unavailable; a part of the write may have happened.
    double sync_error = 0;      // Errc::unavailable; what was not synced never will be.
    double bit_flip = 0;        // A read flips one bit of what it reads, for good.
    bool torn_sectors = false;  // A crash may leave a sector half old, half new.
    bool hung = false;          // Nothing completes until this is cleared.
    std::uint64_t capacity_bytes = std::uint64_t{1} << 40;
    Duration latency_least{};
    Duration latency_most{};
};

class SimDisk final : public Disk {
  public:
    SimDisk(Clock& clock, Random random, DiskFaults faults = {});
    ~SimDisk() override;  // After its files.
    SimDisk(const SimDisk&) = delete;
    SimDisk& operator=(const SimDisk&) = delete;

    Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) override;
    Task<Result<void>> make_directory(std::string path) override;
    Task<Result<void>> rename(std::string from, std::string to) override;
    Task<Result<void>> remove(std::string path) override;
    Task<Result<std::vector<std::string>>> list(std::string directory) override;
    Task<Result<void>> sync_directory(std::string directory) override;
    Task<Result<DiskSpace>> space() override;

    // Clearing `hung` lets the operations that waited go on.
    void set_faults(DiskFaults faults);
    const DiskFaults& faults() const { return faults_; }

    // Power cut: what was not synced is kept or lost in any part; waiting operations never answer;
    // files opened before fail with Errc::unavailable. The disk itself can be used again at once.
    void crash();

    // Damage at rest: flips one bit of the file, also of its durable part. False if there is none.
    bool flip_bit(const std::string& path, std::uint64_t bit);

    std::uint64_t operations() const { return operations_; }  // Started so far.

  private:
    friend class SimFile;

    // A change of a file's bytes: a write, or a truncation where `length` is set.
    struct Write {
        std::uint64_t offset = 0;
        std::string bytes;
        std::optional<std::uint64_t> length;
    };
    struct Inode;
    // shared_ptr: an inode is held by directory entries, current and durable ones, and by open
    // files.
    using InodePtr = std::shared_ptr<Inode>;
    using Entries = std::map<std::string, InodePtr>;
    // One atomic change of a directory: each name is set, or removed where null.
    using EntryChange = std::vector<std::pair<std::string, InodePtr>>;
    struct Inode {
        bool is_directory = false;
        std::string current;  // Of a file.
        std::string durable;
        std::vector<Write> unsynced;
        Entries entries;  // Of a directory.
        Entries durable_entries;
        std::vector<EntryChange> unsynced_entries;
    };
    struct Place {  // Where a path leads.
        InodePtr parent;
        std::string name;
        InodePtr inode;  // Null if there is nothing.
    };

    template <class T>
    Task<Result<T>> perform(std::function<Result<T>()> act);
    void start(std::function<void()> act);
    void carry_out_due();
    void arm();

    InodePtr find(std::string_view path) const;
    Result<Place> place(const std::string& path) const;
    Result<std::unique_ptr<File>> open_now(const std::string& path, OpenMode mode);
    Result<void> make_directory_now(const std::string& path);
    Result<void> rename_now(const std::string& from, const std::string& to);
    Result<void> remove_now(const std::string& path);
    Result<std::string> read_now(Inode& inode, std::uint64_t offset, std::size_t count);
    Result<void> write_now(Inode& inode, Write write);
    Result<void> sync_now(Inode& inode);
    Result<void> sync_directory_now(const std::string& path);
    std::uint64_t used_bytes() const;

    void crash_file(Inode& inode);
    void crash_directory(Inode& inode, std::vector<const Inode*>& visited);
    void apply_torn(std::string& bytes, const Write& write);

    Clock& clock_;
    Random random_;
    DiskFaults faults_;
    InodePtr root_;
    // By due time, then in the order started.
    std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> waiting_;
    std::uint64_t operations_ = 0;
    std::uint64_t crashes_ = 0;  // Files opened before the last one are dead.
    Timer timer_;
};

}  // namespace holdfast::runtime
