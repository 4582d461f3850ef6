// A program that writes to a store until somebody kills it: `store_victim DIRECTORY`. Prints the
// number of each batch whose sync has been answered. For the tests that cut the power or kill the
// process.
#include <unistd.h>

#include <cstdio>
#include <deque>

#include "runtime/real/rocks.h"
#include "runtime/storage_stepper.h"
#include "runtime/store_workload.h"

namespace {

using namespace holdfast;
using namespace holdfast::runtime;

constexpr std::uint64_t batches_max = 1'000'000;
constexpr std::size_t under_way_max = 4;

int complain(const Error& error) {
    std::fprintf(stderr, "store_victim: %s\n", error.message.c_str());
    return 3;
}

// write() and not stdio: what has been printed must be in the pipe when the process is killed.
void acknowledge(std::uint64_t number) {
    const auto line = std::to_string(number) + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) ::_exit(4);
}

int write_until_killed(const std::string& directory) {
    PostedStepper stepper;
    auto opened = RocksStore::open({.directory = directory},
                                   [&stepper](auto work) { stepper.post(std::move(work)); });
    if (!opened) return complain(opened.error());
    auto& store = **opened;
    const auto prefix = workload_prefix(store);
    if (!prefix) return complain(prefix.error());
    std::deque<std::pair<std::uint64_t, Started<Result<void>>>> under_way;
    for (auto number = *prefix + 1; number < batches_max; ++number) {
        const auto durability = number % 5 == 0 ? Durability::buffered : Durability::synced;
        under_way.emplace_back(number,
                               stepper.start(store.write(workload_batch(number), durability)));
        if (under_way.size() < under_way_max) continue;
        auto& [of, writing] = under_way.front();
        const auto written = stepper.finish(writing);
        if (!written) return complain(written.error());
        if (of % 5 != 0) acknowledge(of);
        under_way.pop_front();
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    return write_until_killed(argv[1]);
}
