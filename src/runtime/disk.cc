#include "runtime/disk.h"

#include <fmt/format.h>

namespace holdfast::runtime {

Result<void> check_path(std::string_view path) {
    if (path.empty()) return {};
    std::size_t start = 0;
    while (true) {
        const auto end = path.find('/', start);
        const auto name = path.substr(start, end == path.npos ? end : end - start);
        if (name.empty() || name == "." || name == ".." || name.contains('\0')) {
            return fail(Errc::invalid, fmt::format("'{}' is not a path inside the disk", path));
        }
        if (end == path.npos) return {};
        start = end + 1;
    }
}

std::string parent_path(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == path.npos ? std::string() : std::string(path.substr(0, slash));
}

namespace {

// A file of its own, and not one that is there already: a late write of an earlier, abandoned
// replacement must not reach it.
Task<Result<void>> write_beside(Disk& disk, std::string path, std::string bytes) {
    if (auto removed = co_await disk.remove(path);
        !removed && removed.error().code != Errc::not_found) {
        co_return std::unexpected(removed.error());
    }
    HF_CO_TRY(auto file, co_await disk.open(path, OpenMode::create_new));
    HF_CO_TRY_VOID(co_await file->write_at(0, std::move(bytes)));
    co_return co_await file->sync();
}

}  // namespace

Task<Result<void>> replace_file(Disk& disk, std::string path, std::string bytes) {
    const std::string beside = path + ".new";
    if (auto written = co_await write_beside(disk, beside, std::move(bytes)); !written) {
        // Room for others if this was a full disk; the error worth reporting is the first.
        static_cast<void>(co_await disk.remove(beside));
        co_return written;
    }
    HF_CO_TRY_VOID(co_await disk.rename(beside, path));
    co_return co_await disk.sync_directory(parent_path(path));
}

Task<Result<std::string>> read_file(Disk& disk, std::string path, std::size_t size_max) {
    HF_CO_TRY(auto file, co_await disk.open(path, OpenMode::read));
    HF_CO_TRY(const auto size, co_await file->size());
    if (size > size_max) {
        co_return fail(Errc::exhausted, fmt::format("{} has {} bytes, more than the {} it may have",
                                                    path, size, size_max));
    }
    co_return co_await file->read_at(0, static_cast<std::size_t>(size));
}

}  // namespace holdfast::runtime
