#include "runtime/real/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "runtime/real/loop.h"

namespace holdfast::runtime {

namespace {

enum class Direction { reading, writing };

std::unexpected<Error> failed(int error, const std::string& what, Direction direction) {
    auto message = fmt::format("{}: {}", what, std::strerror(error));
    switch (error) {
        case ENOENT:
            return fail(Errc::not_found, std::move(message));
        case EEXIST:
        case ENOTEMPTY:
        case ENOTDIR:
            return fail(Errc::conflict, std::move(message));
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
            return fail(Errc::exhausted, std::move(message));
        case EACCES:
        case EPERM:
            return fail(Errc::denied, std::move(message));
        case EISDIR:
        case ENAMETOOLONG:
            return fail(Errc::invalid, std::move(message));
        case EIO:
            if (direction == Direction::reading) return fail(Errc::corrupt, std::move(message));
            break;
        default:
            break;
    }
    return fail(Errc::unavailable, std::move(message));
}

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

  private:
    int fd_;
};

// shared_ptr: held by the file and by the jobs on the pool that outlive it.
using DescriptorPtr = std::shared_ptr<Descriptor>;

Result<void> write_all(int fd, const std::string& path, std::uint64_t offset,
                       std::string_view bytes) {
    while (!bytes.empty()) {
        const auto written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return failed(errno, path, Direction::writing);
        offset += static_cast<std::uint64_t>(written);
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

Result<std::string> read_up_to(int fd, const std::string& path, std::uint64_t offset,
                               std::size_t count) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) return failed(errno, path, Direction::reading);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (offset >= size) return std::string();
    std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(count, size - offset)),
                      '\0');
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const auto got = ::pread(fd, bytes.data() + filled, bytes.size() - filled,
                                 static_cast<off_t>(offset + filled));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed(errno, path, Direction::reading);
        if (got == 0) break;  // Truncated meanwhile.
        filled += static_cast<std::size_t>(got);
    }
    bytes.resize(filled);
    return bytes;
}

Result<void> sync_directory_at(const std::string& path, const std::string& name) {
    const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() < 0) return failed(errno, name, Direction::writing);
    if (::fsync(directory.get()) != 0) return failed(errno, name, Direction::writing);
    return {};
}

class RealFile final : public File {
  public:
    RealFile(EventLoop& loop, std::string path, OpenMode mode, DescriptorPtr descriptor)
        : loop_(loop), path_(std::move(path)), mode_(mode), descriptor_(std::move(descriptor)) {}

    Task<Result<std::string>> read_at(std::uint64_t offset, std::size_t count) override {
        return loop_.on_pool([descriptor = descriptor_, path = path_, offset, count] {
            return read_up_to(descriptor->get(), path, offset, count);
        });
    }

    Task<Result<void>> write_at(std::uint64_t offset, std::string bytes) override {
        return change([offset, bytes = std::move(bytes)](int fd, const std::string& path) {
            return write_all(fd, path, offset, bytes);
        });
    }

    Task<Result<void>> sync() override {
        return loop_.on_pool([descriptor = descriptor_, path = path_]() -> Result<void> {
            // Also writes the length, which reading back needs; not the times, which nobody reads.
            if (::fdatasync(descriptor->get()) == 0) return {};
            return failed(errno, path, Direction::writing);
        });
    }

    Task<Result<void>> truncate(std::uint64_t length) override {
        return change([length](int fd, const std::string& path) -> Result<void> {
            if (::ftruncate(fd, static_cast<off_t>(length)) == 0) return {};
            return failed(errno, path, Direction::writing);
        });
    }

    Task<Result<std::uint64_t>> size() override {
        return loop_.on_pool([descriptor = descriptor_, path = path_]() -> Result<std::uint64_t> {
            struct stat status{};
            if (::fstat(descriptor->get(), &status) != 0) {
                return failed(errno, path, Direction::reading);
            }
            return static_cast<std::uint64_t>(status.st_size);
        });
    }

  private:
    template <class F>
    Task<Result<void>> change(F job) {
        return loop_.on_pool([descriptor = descriptor_, path = path_, mode = mode_,
                              job = std::move(job)]() -> Result<void> {
            if (mode == OpenMode::read) {
                return fail(Errc::invalid, path + ": was opened for reading only");
            }
            return job(descriptor->get(), path);
        });
    }

    EventLoop& loop_;
    std::string path_;
    OpenMode mode_;
    DescriptorPtr descriptor_;
};

// Every prefix of the path that ends before a '/', then the path itself.
std::vector<std::string> prefixes(const std::string& path) {
    std::vector<std::string> all;
    for (auto slash = path.find('/', 1); slash != path.npos; slash = path.find('/', slash + 1)) {
        all.push_back(path.substr(0, slash));
    }
    all.push_back(path);
    return all;
}

Result<void> make_directory_at(const std::string& root, const std::string& path) {
    for (const auto& prefix : prefixes(path)) {
        const auto full = root + '/' + prefix;
        if (::mkdir(full.c_str(), 0700) == 0) continue;
        if (errno != EEXIST) return failed(errno, prefix, Direction::writing);
        struct stat status{};
        if (::stat(full.c_str(), &status) != 0) return failed(errno, prefix, Direction::reading);
        if (!S_ISDIR(status.st_mode)) return fail(Errc::conflict, prefix + ": is a file");
    }
    return {};
}

// Of the disk's operations: those that take a path run only if it is one of this tree's.
template <class T, class F>
Result<T> at_path(const std::string& path, F job) {
    HF_TRY_VOID(check_path(path));
    return job();
}

}  // namespace

Result<std::unique_ptr<RealDisk>> RealDisk::open(EventLoop& loop, std::string root) {
    while (root.size() > 1 && root.ends_with('/')) root.pop_back();
    if (root.empty()) return fail(Errc::invalid, "the disk's root has no path");
    for (const auto& prefix : prefixes(root)) {
        if (::mkdir(prefix.c_str(), 0700) != 0) {
            if (errno == EEXIST) continue;
            return failed(errno, prefix, Direction::writing);
        }
        auto parent = parent_path(prefix);
        if (parent.empty()) parent = prefix.starts_with('/') ? "/" : ".";
        HF_TRY_VOID(sync_directory_at(parent, parent));
    }
    struct stat status{};
    if (::stat(root.c_str(), &status) != 0) return failed(errno, root, Direction::reading);
    if (!S_ISDIR(status.st_mode)) return fail(Errc::conflict, root + ": is not a directory");
    return std::unique_ptr<RealDisk>(new RealDisk(loop, std::move(root)));
}

RealDisk::~RealDisk() = default;

Task<Result<std::unique_ptr<File>>> RealDisk::open(std::string path, OpenMode mode) {
    auto opened = co_await loop_.on_pool([root = root_, path, mode] {
        return at_path<DescriptorPtr>(path, [&]() -> Result<DescriptorPtr> {
            if (path.empty()) return fail(Errc::invalid, "the root is not a file");
            int flags = O_CLOEXEC | (mode == OpenMode::read ? O_RDONLY : O_RDWR);
            if (mode != OpenMode::read) flags |= O_CREAT;
            if (mode == OpenMode::create_new) flags |= O_EXCL;
            auto descriptor =
                std::make_shared<Descriptor>(::open((root + '/' + path).c_str(), flags, 0600));
            if (descriptor->get() >= 0) return descriptor;
            return failed(errno, path, Direction::writing);
        });
    });
    HF_CO_TRY(auto descriptor, std::move(opened));
    co_return std::make_unique<RealFile>(loop_, std::move(path), mode, std::move(descriptor));
}

Task<Result<void>> RealDisk::make_directory(std::string path) {
    return loop_.on_pool([root = root_, path] {
        return at_path<void>(path, [&]() -> Result<void> {
            if (path.empty()) return {};
            return make_directory_at(root, path);
        });
    });
}

Task<Result<void>> RealDisk::rename(std::string from, std::string to) {
    return loop_.on_pool([root = root_, from, to] {
        return at_path<void>(from, [&] {
            return at_path<void>(to, [&]() -> Result<void> {
                if (::rename((root + '/' + from).c_str(), (root + '/' + to).c_str()) == 0)
                    return {};
                return failed(errno, fmt::format("{} to {}", from, to), Direction::writing);
            });
        });
    });
}

Task<Result<void>> RealDisk::remove(std::string path) {
    return loop_.on_pool([root = root_, path] {
        return at_path<void>(path, [&]() -> Result<void> {
            if (path.empty()) return fail(Errc::invalid, "the root stays");
            const auto full = root + '/' + path;
            if (::unlink(full.c_str()) == 0) return {};
            if (errno != EISDIR) return failed(errno, path, Direction::writing);
            if (::rmdir(full.c_str()) == 0) return {};
            return failed(errno, path, Direction::writing);
        });
    });
}

Task<Result<std::vector<std::string>>> RealDisk::list(std::string directory) {
    using Names = std::vector<std::string>;
    return loop_.on_pool([root = root_, directory] {
        return at_path<Names>(directory, [&]() -> Result<Names> {
            const std::unique_ptr<DIR, int (*)(DIR*)> open(
                ::opendir((root + '/' + directory).c_str()), ::closedir);
            if (!open) return failed(errno, directory, Direction::reading);
            Names names;
            while (true) {
                errno = 0;
                const auto* entry = ::readdir(open.get());
                if (!entry && errno != 0) return failed(errno, directory, Direction::reading);
                if (!entry) break;
                const std::string_view name = entry->d_name;
                if (name != "." && name != "..") names.emplace_back(name);
            }
            std::ranges::sort(names);
            return names;
        });
    });
}

Task<Result<void>> RealDisk::sync_directory(std::string directory) {
    return loop_.on_pool([root = root_, directory] {
        return at_path<void>(directory,
                             [&] { return sync_directory_at(root + '/' + directory, directory); });
    });
}

Task<Result<DiskSpace>> RealDisk::space() {
    return loop_.on_pool([root = root_]() -> Result<DiskSpace> {
        struct statvfs status{};
        if (::statvfs(root.c_str(), &status) != 0) return failed(errno, root, Direction::reading);
        return DiskSpace{.total_bytes = status.f_blocks * status.f_frsize,
                         .free_bytes = status.f_bavail * status.f_frsize};
    });
}

}  // namespace holdfast::runtime
