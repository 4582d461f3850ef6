// Feeds every file of a corpus to a fuzzer's entry point, once each, in the order of their names:
// how a fuzzer's finds stay found in builds that have no libFuzzer. Fails when a directory named is
// missing or holds no file, so that a moved corpus cannot pass for a clean one.
//
//     spec_fuzzer DIRECTORY...
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
// Fuzzers may define it; libFuzzer calls it once before the first input.
extern "C" __attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_below(const fs::path& directory) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->is_regular_file(error)) files.push_back(entry->path());
    }
    if (error) {
        std::fprintf(stderr, "%s: %s\n", directory.c_str(), error.message().c_str());
        return {};
    }
    std::ranges::sort(files);
    return files;
}

std::optional<std::vector<std::uint8_t>> contents(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return std::nullopt;
    std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(stream), {}};
    // Exactly as long as the input, so that AddressSanitizer sees a read of one byte past it.
    bytes.shrink_to_fit();
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s CORPUS_DIRECTORY...\n", argv[0]);
        return 2;
    }
    if (LLVMFuzzerInitialize != nullptr) LLVMFuzzerInitialize(&argc, &argv);
    // A parser must also live through nothing at all.
    LLVMFuzzerTestOneInput(nullptr, 0);
    std::size_t replayed = 0;
    for (int i = 1; i < argc; ++i) {
        const std::vector<fs::path> files = files_below(argv[i]);
        if (files.empty()) {
            std::fprintf(stderr, "%s holds no corpus: name a directory with at least one file\n",
                         argv[i]);
            return 1;
        }
        for (const fs::path& file : files) {
            // Named before it runs: if it crashes, the last name printed is the culprit.
            std::fprintf(stderr, "replay %s\n", file.c_str());
            const auto bytes = contents(file);
            if (!bytes) {
                std::fprintf(stderr, "%s: cannot be read\n", file.c_str());
                return 1;
            }
            LLVMFuzzerTestOneInput(bytes->data(), bytes->size());
            ++replayed;
        }
    }
    std::fprintf(stderr, "replayed %zu inputs\n", replayed);
    return 0;
}
