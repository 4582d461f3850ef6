#include "runtime/sim/disk.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::runtime {

class SimFile final : public File {
  public:
    SimFile(SimDisk& disk, SimDisk::InodePtr inode, OpenMode mode)
        : disk_(disk), inode_(std::move(inode)), mode_(mode), crashes_(disk.crashes_) {}

    Task<Result<std::string>> read_at(std::uint64_t offset, std::size_t count) override {
        return perform<std::string>([&disk = disk_, inode = inode_, offset, count] {
            return disk.read_now(*inode, offset, count);
        });
    }

    Task<Result<void>> write_at(std::uint64_t offset, std::string bytes) override {
        return change({.offset = offset, .bytes = std::move(bytes), .length = {}});
    }

    Task<Result<void>> sync() override {
        return perform<void>([&disk = disk_, inode = inode_] { return disk.sync_now(*inode); });
    }

    Task<Result<void>> truncate(std::uint64_t length) override {
        return change({.offset = 0, .bytes = {}, .length = length});
    }

    Task<Result<std::uint64_t>> size() override {
        return perform<std::uint64_t>(
            [inode = inode_]() -> Result<std::uint64_t> { return inode->current.size(); });
    }

  private:
    Task<Result<void>> change(SimDisk::Write write) {
        if (mode_ == OpenMode::read) {
            co_return fail(Errc::invalid, "the file was opened for reading only");
        }
        co_return co_await perform<void>([&disk = disk_, inode = inode_, write = std::move(write)] {
            return disk.write_now(*inode, write);
        });
    }

    template <class T>
    Task<Result<T>> perform(std::function<Result<T>()> act) {
        return disk_.perform<T>(
            [&disk = disk_, crashes = crashes_, act = std::move(act)]() -> Result<T> {
                if (crashes != disk.crashes_) {
                    return fail(Errc::unavailable, "the disk lost power since the file was opened");
                }
                return act();
            });
    }

    SimDisk& disk_;
    SimDisk::InodePtr inode_;
    OpenMode mode_;
    std::uint64_t crashes_;
};

SimDisk::SimDisk(Clock& clock, Random random, DiskFaults faults)
    : clock_(clock),
      random_(std::move(random)),
      faults_(faults),
      root_(std::make_shared<Inode>()),
      timer_(clock.timers(), [this] { carry_out_due(); }) {
    root_->is_directory = true;
}

SimDisk::~SimDisk() = default;

// Carrying out.

template <class T>
Task<Result<T>> SimDisk::perform(std::function<Result<T>()> act) {
    Completion<Result<T>> done;
    start([done, act = std::move(act)] { done.complete(act()); });
    co_return co_await done.wait();
}

void SimDisk::start(std::function<void()> act) {
    const auto number = ++operations_;
    const auto latency = random_.between(faults_.latency_least, faults_.latency_most);
    if (!faults_.hung && latency == Duration::zero()) return act();
    waiting_.emplace(std::pair(clock_.now() + latency, number), std::move(act));
    arm();
}

void SimDisk::carry_out_due() {
    while (!faults_.hung && !waiting_.empty() && waiting_.begin()->first.first <= clock_.now()) {
        auto act = std::move(waiting_.begin()->second);
        waiting_.erase(waiting_.begin());
        act();  // Resumes whoever waits, who may start more.
    }
    arm();
}

void SimDisk::arm() {
    if (faults_.hung || waiting_.empty()) {
        timer_.disarm();
    } else {
        timer_.arm(waiting_.begin()->first.first);
    }
}

void SimDisk::set_faults(DiskFaults faults) {
    faults_ = faults;
    arm();
}

// Paths.

SimDisk::InodePtr SimDisk::find(std::string_view path) const {
    auto inode = root_;
    while (!path.empty()) {
        const auto slash = path.find('/');
        const auto entry = inode->entries.find(std::string(path.substr(0, slash)));
        if (entry == inode->entries.end()) return nullptr;
        inode = entry->second;
        path = slash == path.npos ? std::string_view() : path.substr(slash + 1);
    }
    return inode;
}

Result<SimDisk::Place> SimDisk::place(const std::string& path) const {
    HF_TRY_VOID(check_path(path));
    if (path.empty()) return fail(Errc::invalid, "the root is not a file");
    auto parent = find(parent_path(path));
    if (!parent || !parent->is_directory) {
        return fail(Errc::not_found, fmt::format("{}: no such directory", parent_path(path)));
    }
    const auto slash = path.rfind('/');
    Place place{.parent = parent,
                .name = slash == path.npos ? path : path.substr(slash + 1),
                .inode = nullptr};
    if (auto entry = parent->entries.find(place.name); entry != parent->entries.end()) {
        place.inode = entry->second;
    }
    return place;
}

namespace {

template <class Inode, class Change>
void change_directory(Inode& directory, Change change) {
    for (auto& [name, inode] : change) {
        if (inode) {
            directory.entries[name] = inode;
        } else {
            directory.entries.erase(name);
        }
    }
    directory.unsynced_entries.push_back(std::move(change));
}

std::unexpected<Error> missing(const std::string& path) {
    return fail(Errc::not_found, fmt::format("{}: no such file", path));
}

}  // namespace

// What the operations do.

Task<Result<std::unique_ptr<File>>> SimDisk::open(std::string path, OpenMode mode) {
    return perform<std::unique_ptr<File>>([this, path, mode] { return open_now(path, mode); });
}

Result<std::unique_ptr<File>> SimDisk::open_now(const std::string& path, OpenMode mode) {
    HF_TRY(auto at, place(path));
    if (at.inode && at.inode->is_directory) {
        return fail(Errc::invalid, fmt::format("{}: is a directory", path));
    }
    if (!at.inode && mode == OpenMode::read) return missing(path);
    if (at.inode && mode == OpenMode::create_new) {
        return fail(Errc::conflict, fmt::format("{}: exists", path));
    }
    if (!at.inode) {
        if (random_.chance(faults_.write_error)) {
            return fail(Errc::unavailable, fmt::format("{}: input/output error", path));
        }
        at.inode = std::make_shared<Inode>();
        change_directory(*at.parent, EntryChange{{at.name, at.inode}});
    }
    return std::make_unique<SimFile>(*this, at.inode, mode);
}

Task<Result<void>> SimDisk::make_directory(std::string path) {
    return perform<void>([this, path] { return make_directory_now(path); });
}

Result<void> SimDisk::make_directory_now(const std::string& path) {
    HF_TRY_VOID(check_path(path));
    for (std::size_t end = 0; end != path.npos && !path.empty();) {
        end = path.find('/', end + 1);
        HF_TRY(auto at, place(path.substr(0, end)));
        if (at.inode && !at.inode->is_directory) {
            return fail(Errc::conflict, fmt::format("{}: is a file", path.substr(0, end)));
        }
        if (at.inode) continue;
        at.inode = std::make_shared<Inode>();
        at.inode->is_directory = true;
        change_directory(*at.parent, EntryChange{{at.name, at.inode}});
    }
    return {};
}

Task<Result<void>> SimDisk::rename(std::string from, std::string to) {
    return perform<void>([this, from, to] { return rename_now(from, to); });
}

Result<void> SimDisk::rename_now(const std::string& from, const std::string& to) {
    HF_TRY(auto source, place(from));
    HF_TRY(auto target, place(to));
    if (!source.inode) return missing(from);
    if (target.inode == source.inode) return {};
    const bool across = source.parent != target.parent;
    if (source.inode->is_directory && across) {
        return fail(Errc::invalid, fmt::format("{}: a directory stays where it is", from));
    }
    if (target.inode && target.inode->is_directory != source.inode->is_directory) {
        return fail(Errc::conflict, fmt::format("{}: is not of the same kind", to));
    }
    if (target.inode && target.inode->is_directory && !target.inode->entries.empty()) {
        return fail(Errc::conflict, fmt::format("{}: is not empty", to));
    }
    if (random_.chance(faults_.write_error)) {
        return fail(Errc::unavailable, fmt::format("{}: input/output error", to));
    }
    if (across) {  // Two directories: a crash may keep either half.
        change_directory(*target.parent, EntryChange{{target.name, source.inode}});
        change_directory(*source.parent, EntryChange{{source.name, nullptr}});
    } else {
        change_directory(*source.parent,
                         EntryChange{{source.name, nullptr}, {target.name, source.inode}});
    }
    return {};
}

Task<Result<void>> SimDisk::remove(std::string path) {
    return perform<void>([this, path] { return remove_now(path); });
}

Result<void> SimDisk::remove_now(const std::string& path) {
    HF_TRY(auto at, place(path));
    if (!at.inode) return missing(path);
    if (at.inode->is_directory && !at.inode->entries.empty()) {
        return fail(Errc::conflict, fmt::format("{}: is not empty", path));
    }
    if (random_.chance(faults_.write_error)) {
        return fail(Errc::unavailable, fmt::format("{}: input/output error", path));
    }
    change_directory(*at.parent, EntryChange{{at.name, nullptr}});
    return {};
}

Task<Result<std::vector<std::string>>> SimDisk::list(std::string directory) {
    using Names = std::vector<std::string>;
    return perform<Names>([this, directory]() -> Result<Names> {
        HF_TRY_VOID(check_path(directory));
        const auto inode = find(directory);
        if (!inode || !inode->is_directory) return missing(directory);
        Names names;
        for (const auto& [name, entry] : inode->entries) names.push_back(name);
        return names;
    });
}

Task<Result<void>> SimDisk::sync_directory(std::string directory) {
    return perform<void>([this, directory] { return sync_directory_now(directory); });
}

Result<void> SimDisk::sync_directory_now(const std::string& path) {
    HF_TRY_VOID(check_path(path));
    const auto inode = find(path);
    if (!inode || !inode->is_directory) return missing(path);
    if (random_.chance(faults_.sync_error)) {
        return fail(Errc::unavailable, fmt::format("{}: input/output error in sync", path));
    }
    inode->durable_entries = inode->entries;
    inode->unsynced_entries.clear();
    return {};
}

Task<Result<DiskSpace>> SimDisk::space() {
    return perform<DiskSpace>([this]() -> Result<DiskSpace> {
        const auto used = std::min(used_bytes(), faults_.capacity_bytes);
        return DiskSpace{.total_bytes = faults_.capacity_bytes,
                         .free_bytes = faults_.capacity_bytes - used};
    });
}

Result<std::string> SimDisk::read_now(Inode& inode, std::uint64_t offset, std::size_t count) {
    if (random_.chance(faults_.read_error)) return fail(Errc::corrupt, "input/output error");
    if (offset >= inode.current.size()) return std::string();
    const auto from = static_cast<std::size_t>(offset);
    const auto length = std::min(count, inode.current.size() - from);
    if (length > 0 && random_.chance(faults_.bit_flip)) {
        const auto at = from + static_cast<std::size_t>(random_.below(length));
        const auto mask = static_cast<char>(1U << random_.below(8));
        inode.current[at] ^= mask;
        if (at < inode.durable.size()) inode.durable[at] ^= mask;
    }
    return inode.current.substr(from, length);
}

namespace {

template <class Write>
void write_into(std::string& bytes, const Write& write) {
    if (write.length) {
        bytes.resize(static_cast<std::size_t>(*write.length));
        return;
    }
    const auto offset = static_cast<std::size_t>(write.offset);
    if (bytes.size() < offset + write.bytes.size()) bytes.resize(offset + write.bytes.size());
    bytes.replace(offset, write.bytes.size(), write.bytes);
}

}  // namespace

Result<void> SimDisk::write_now(Inode& inode, Write write) {
    const auto end = write.length ? *write.length : write.offset + write.bytes.size();
    const auto growth = end > inode.current.size() ? end - inode.current.size() : 0;
    if (growth > 0 && used_bytes() + growth > faults_.capacity_bytes) {
        return fail(Errc::exhausted, "no space left on the disk");
    }
    const bool failing = random_.chance(faults_.write_error);
    if (failing)
        write.bytes.resize(static_cast<std::size_t>(random_.below(write.bytes.size() + 1)));
    write_into(inode.current, write);
    inode.unsynced.push_back(std::move(write));
    if (failing) return fail(Errc::unavailable, "input/output error");
    return {};
}

Result<void> SimDisk::sync_now(Inode& inode) {
    const bool failing = random_.chance(faults_.sync_error);
    for (const auto& write : inode.unsynced) {
        // As in Linux: the cache keeps what could not be written, marked clean, so that a second
        // sync succeeds and changes nothing.
        if (!failing || random_.chance(0.5)) write_into(inode.durable, write);
    }
    inode.unsynced.clear();
    if (failing) return fail(Errc::unavailable, "input/output error in sync");
    return {};
}

std::uint64_t SimDisk::used_bytes() const {
    std::uint64_t used = 0;
    std::vector<const Inode*> open{root_.get()};
    while (!open.empty()) {
        const auto* inode = open.back();
        open.pop_back();
        used += inode->current.size();
        for (const auto& [name, entry] : inode->entries) open.push_back(entry.get());
    }
    return used;
}

bool SimDisk::flip_bit(const std::string& path, std::uint64_t bit) {
    const auto inode = find(path);
    const auto at = static_cast<std::size_t>(bit / 8);
    if (!inode || at >= inode->current.size()) return false;
    const auto mask = static_cast<char>(1U << (bit % 8));
    inode->current[at] ^= mask;
    if (at < inode->durable.size()) inode->durable[at] ^= mask;
    return true;
}

// Power cuts.

void SimDisk::crash() {
    ++crashes_;
    waiting_.clear();
    timer_.disarm();
    std::vector<const Inode*> visited;
    crash_directory(*root_, visited);
}

void SimDisk::crash_directory(Inode& inode, std::vector<const Inode*>& visited) {
    enum { none, every, some_first, any_of_them };
    const auto kept = random_.below(4);
    const auto first = random_.below(inode.unsynced_entries.size() + 1);
    std::size_t position = 0;
    for (const auto& change : inode.unsynced_entries) {
        const bool keep = kept == every || (kept == some_first && position < first) ||
                          (kept == any_of_them && random_.chance(0.5));
        ++position;
        if (!keep) continue;
        for (const auto& [name, entry] : change) {
            if (entry) {
                inode.durable_entries[name] = entry;
            } else {
                inode.durable_entries.erase(name);
            }
        }
    }
    inode.unsynced_entries.clear();
    inode.entries = inode.durable_entries;
    for (const auto& [name, entry] : inode.entries) {
        // A file may be reached twice after half a rename.
        if (std::ranges::find(visited, entry.get()) != visited.end()) continue;
        visited.push_back(entry.get());
        if (entry->is_directory) {
            crash_directory(*entry, visited);
        } else {
            crash_file(*entry);
        }
    }
}

void SimDisk::crash_file(Inode& inode) {
    enum { none, every, any_of_them };
    const auto kept = random_.below(3);
    for (const auto& write : inode.unsynced) {
        if (kept == every) write_into(inode.durable, write);
        if (kept == any_of_them) apply_torn(inode.durable, write);
    }
    inode.unsynced.clear();
    inode.current = inode.durable;
}

void SimDisk::apply_torn(std::string& bytes, const Write& write) {
    if (write.length) {
        if (random_.chance(0.5)) write_into(bytes, write);
        return;
    }
    // The length may arrive without the bytes, which then read as zeros.
    const auto end = static_cast<std::size_t>(write.offset) + write.bytes.size();
    if (bytes.size() < end && random_.chance(0.5)) bytes.resize(end);
    for (std::size_t taken = 0; taken < write.bytes.size();) {
        const auto offset = static_cast<std::size_t>(write.offset) + taken;
        const auto length =
            std::min(sector_bytes - offset % sector_bytes, write.bytes.size() - taken);
        auto kept = random_.chance(0.5) ? length : 0;
        if (faults_.torn_sectors && random_.chance(0.2)) {
            kept = static_cast<std::size_t>(random_.below(length + 1));
        }
        if (kept > 0) {
            write_into(
                bytes,
                Write{.offset = offset, .bytes = write.bytes.substr(taken, kept), .length = {}});
        }
        taken += length;
    }
}

}  // namespace holdfast::runtime
