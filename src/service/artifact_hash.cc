#include "service/artifact_hash.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "base/hash.h"

namespace holdfast::service {

namespace {

constexpr std::size_t known_max = 1000;

class Descriptor {
  public:
    explicit Descriptor(const std::string& path)
        : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
    ~Descriptor() {
        if (number_ >= 0) close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int number() const { return number_; }

  private:
    int number_;
};

std::unexpected<Error> trouble(const std::string& path, int error) {
    Errc code = error == ENOENT || error == ENOTDIR ? Errc::not_found
                : error == EACCES || error == EPERM ? Errc::denied
                                                    : Errc::unavailable;
    return fail(code, fmt::format("{}: {}", path, std::strerror(error)));
}

ArtifactHash::Identity identity_of(const struct stat& status) {
    return {status.st_dev,
            status.st_ino,
            static_cast<std::uint64_t>(status.st_size),
            static_cast<std::uint64_t>(status.st_mtim.tv_sec),
            static_cast<std::uint64_t>(status.st_mtim.tv_nsec),
            static_cast<std::uint64_t>(status.st_ctim.tv_sec),
            static_cast<std::uint64_t>(status.st_ctim.tv_nsec)};
}

Result<struct stat> status_of(const std::string& path) {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0) return trouble(path, errno);
    if (!S_ISREG(status.st_mode))
        return fail(Errc::not_found, fmt::format("{} is not a file", path));
    constexpr mode_t any_execute = S_IXUSR | S_IXGRP | S_IXOTH;
    if ((status.st_mode & any_execute) == 0)
        return fail(Errc::denied,
                    fmt::format("{} is not executable; `chmod +x {}` makes it so", path, path));
    return status;
}

struct Located {
    std::string path;
    ArtifactHash::Identity identity;
};

Result<Located> locate(const Spec& spec) {
    HF_TRY(auto path, find_executable(spec));
    HF_TRY(auto status, status_of(path));
    return Located{std::move(path), identity_of(status)};
}

struct Hashed {
    ArtifactHash::Identity identity;
    std::string sha256;
};

Result<Hashed> hash_file(const std::string& path) {
    Descriptor file(path);
    struct stat before{};
    if (file.number() < 0 || fstat(file.number(), &before) != 0) return trouble(path, errno);
    Sha256Stream stream;
    std::vector<char> buffer(std::size_t{1} << 18);
    while (true) {
        auto count = read(file.number(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return trouble(path, errno);
        if (count == 0) break;
        stream.update({buffer.data(), static_cast<std::size_t>(count)});
    }
    struct stat after{};
    if (fstat(file.number(), &after) != 0) return trouble(path, errno);
    if (identity_of(before) != identity_of(after))
        return fail(Errc::unavailable, fmt::format("{} was written to while it was read", path));
    return Hashed{identity_of(after), stream.finish().hex()};
}

std::string_view path_variable(const Spec& spec) {
    for (const auto& [name, value] : spec.env)
        if (name == "PATH") return value;
    return path_default;
}

std::string below(std::string_view directory, std::string_view path) {
    if (path.starts_with('/')) return std::string(path);
    auto slash = directory.ends_with('/') ? "" : "/";
    return fmt::format("{}{}{}", directory, slash, path);
}

// What a job on another thread leaves behind. Both ends own it: either may go first.
template <class T>
auto make_left_behind() {
    return std::make_shared<std::optional<T>>();
}

}  // namespace

Result<std::string> find_executable(const Spec& spec) {
    std::string_view program = spec.command.front();
    if (program.contains('/')) {
        auto path = below(spec.directory, program);
        HF_TRY_VOID(status_of(path));
        return path;
    }
    auto list = path_variable(spec);
    auto rest = list;
    while (!rest.empty()) {
        auto entry = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
        auto path = below(below(spec.directory, entry), program);
        if (status_of(path)) return path;
    }
    return fail(Errc::not_found, fmt::format("no program \"{}\" in {}", program, list));
}

ArtifactHash::ArtifactHash(Offload offload) : offload_(std::move(offload)) {}

runtime::Task<Result<std::string>> ArtifactHash::executable_sha256(Spec spec) {
    auto located = make_left_behind<Result<Located>>();
    co_await offload_([located, spec = std::move(spec)] { *located = locate(spec); });
    HF_CO_TRY(auto found, std::move(**located));
    if (auto known = known_.find(found.identity); known != known_.end()) co_return known->second;
    auto hashed = make_left_behind<Result<Hashed>>();
    co_await offload_([hashed, path = found.path] { *hashed = hash_file(path); });
    HF_CO_TRY(auto hash, std::move(**hashed));
    if (known_.size() >= known_max) known_.clear();
    known_[hash.identity] = hash.sha256;
    co_return hash.sha256;
}

}  // namespace holdfast::service
