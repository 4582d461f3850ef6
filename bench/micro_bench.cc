// Small functions that run often: checksums of every record, parsing of every declaration.
#include <benchmark/benchmark.h>

#include <string>

#include "base/hash.h"
#include "service/spec_parser.h"
#include "service/spec_writer.h"

namespace {

using namespace holdfast;

void crc32c_of(benchmark::State& state) {
    const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
    for (auto _ : state) benchmark::DoNotOptimize(crc32c(bytes));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(crc32c_of)->Arg(64)->Arg(64 << 10);

void sha256_of(benchmark::State& state) {
    const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
    for (auto _ : state) benchmark::DoNotOptimize(sha256(bytes));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(sha256_of)->Arg(64)->Arg(64 << 10);

constexpr const char* declaration = R"(
name      = "shop"
command   = ["/opt/shop/bin/shop", "--port", "${PORT}"]
instances = 3
env       = { LOG = "info" }
after     = ["db"]
[listen]
http    = 8080
sockets = "inherit"
[health]
ready = "http:/ready"
every = "500ms"
[restart]
backoff = "100ms..30s"
)";

void parse_a_spec(benchmark::State& state) {
    for (auto _ : state) {
        auto spec = service::parse_spec(declaration);
        if (!spec) return state.SkipWithError("the declaration is refused");
        benchmark::DoNotOptimize(spec);
    }
}
BENCHMARK(parse_a_spec);

void write_a_spec(benchmark::State& state) {
    auto spec = service::parse_spec(declaration);
    if (!spec) return state.SkipWithError("the declaration is refused");
    for (auto _ : state) benchmark::DoNotOptimize(service::write_spec(*spec));
}
BENCHMARK(write_a_spec);

}  // namespace

BENCHMARK_MAIN();
