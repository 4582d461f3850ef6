#include "service/output_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <numeric>
#include <ranges>

#include "base/units.h"

namespace holdfast::service {

using runtime::Task;

namespace {

constexpr std::size_t time_bytes = 24;          // "2026-11-21T00:09:42.123Z"
constexpr std::size_t chunk_bytes = 256 << 10;  // Read at once, from the end.

std::string numbered(const OutputFile& file, int number) {
    auto path = file.directory + "/" + file.name;
    return number == 0 ? path : fmt::format("{}.{}", path, number);
}

Task<Result<void>> rotate(const OutputFile& file) {
    for (int number = file.files_max - 1; number > 0; --number) {
        auto renamed =
            co_await file.disk.rename(numbered(file, number - 1), numbered(file, number));
        if (!renamed && renamed.error().code != Errc::not_found) {
            co_return std::unexpected(renamed.error());
        }
    }
    if (file.files_max <= 1) HF_CO_TRY_VOID(co_await file.disk.remove(numbered(file, 0)));
    co_return Result<void>();
}

// The lines of one file that are asked for, oldest first, read backwards. `enough`: no older file
// need be read.
struct Tail {
    std::deque<OutputLine> lines;
    bool enough = false;
};

void add_front(Tail& tail, std::string_view text, const OutputQuery& query, int instance) {
    auto line = parse_output_line(text);
    if (!line || tail.enough) return;
    // The file knows milliseconds only.
    if (query.since && line->at < std::chrono::floor<std::chrono::milliseconds>(*query.since)) {
        tail.enough = true;
        return;
    }
    line->instance = instance;
    tail.lines.push_front(std::move(*line));
    tail.enough = tail.lines.size() >= query.lines_max;
}

Task<Result<void>> read_tail(runtime::Disk& disk, std::string path, OutputQuery query, int instance,
                             Tail& tail) {
    HF_CO_TRY(auto file, co_await disk.open(std::move(path), runtime::OpenMode::read));
    HF_CO_TRY(std::uint64_t offset, co_await file->size());
    std::string rest;  // The end of a line whose beginning has not been read.
    while (offset > 0 && !tail.enough) {
        auto count = static_cast<std::size_t>(std::min<std::uint64_t>(offset, chunk_bytes));
        offset -= count;
        HF_CO_TRY(auto chunk, co_await file->read_at(offset, count));
        chunk += rest;
        std::string_view text = chunk;
        for (auto cut = text.rfind('\n'); cut != std::string_view::npos; cut = text.rfind('\n')) {
            add_front(tail, text.substr(cut + 1), query, instance);
            text = text.substr(0, cut);
        }
        rest = std::string(text);
    }
    add_front(tail, rest, query, instance);
    co_return Result<void>();
}

// "12.log.3" is file 3 of instance 12.
std::optional<std::pair<int, int>> parse_name(std::string_view name) {
    int instance = 0;
    int number = 0;
    const char* end = name.data() + name.size();
    auto first = std::from_chars(name.data(), end, instance);
    std::string_view rest(first.ptr, static_cast<std::size_t>(end - first.ptr));
    if (first.ec != std::errc{} || !rest.starts_with(".log")) return std::nullopt;
    rest.remove_prefix(4);
    if (rest.empty()) return std::pair(instance, 0);
    if (!rest.starts_with('.')) return std::nullopt;
    auto second = std::from_chars(rest.data() + 1, end, number);
    if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
    return std::pair(instance, number);
}

}  // namespace

std::string format_output_line(const OutputLine& line) {
    return fmt::format("{} {} {}\n", format_wall_time(line.at), line.stream, line.text);
}

std::optional<OutputLine> parse_output_line(std::string_view text) {
    if (text.size() < time_bytes + 5 || text[time_bytes] != ' ') return std::nullopt;
    auto at = parse_wall_time(text.substr(0, time_bytes));
    auto stream = text.substr(time_bytes + 1, 3);
    if (!at || text[time_bytes + 4] != ' ') return std::nullopt;
    if (stream != "out" && stream != "err" && stream != "log") return std::nullopt;
    return OutputLine{*at, std::string(stream), std::string(text.substr(time_bytes + 5)), 0};
}

Task<Result<void>> append(OutputFile file, std::string text) {
    for (int tries = 0;; ++tries) {
        auto opened = co_await file.disk.open(numbered(file, 0), runtime::OpenMode::read_write);
        if (!opened) {
            if (tries > 0 || opened.error().code != Errc::not_found) {
                co_return std::unexpected(opened.error());
            }
            HF_CO_TRY_VOID(co_await file.disk.make_directory(file.directory));
            continue;
        }
        HF_CO_TRY(auto size, co_await (*opened)->size());
        if (size > 0 && size + text.size() > file.bytes_max && tries < 2) {
            opened->reset();
            HF_CO_TRY_VOID(co_await rotate(file));
            tries = 2;
            continue;
        }
        co_return co_await (*opened)->write_at(size, std::move(text));
    }
}

Task<Result<std::vector<OutputLine>>> read_output(runtime::Disk& disk, std::string directory,
                                                  OutputQuery query) {
    HF_CO_TRY(auto names, co_await disk.list(directory));
    std::map<std::pair<int, int>, std::string> files;  // By instance, newest first.
    for (const auto& name : names) {
        auto parsed = parse_name(name);
        if (!parsed || (query.instance && parsed->first != *query.instance)) continue;
        files[*parsed] = directory + "/" + name;
    }
    if (files.empty()) co_return fail(Errc::not_found, "no output of it is kept");
    std::map<int, Tail> tails;
    for (const auto& [which, path] : files) {
        Tail& tail = tails[which.first];
        if (tail.enough) continue;
        auto read = co_await read_tail(disk, path, query, which.first, tail);
        if (!read && read.error().code != Errc::not_found) co_return std::unexpected(read.error());
    }
    std::vector<OutputLine> lines;
    for (auto& [instance, tail] : tails) {
        for (auto& line : tail.lines) lines.push_back(std::move(line));
    }
    std::vector<std::size_t> order(lines.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(lines[i].at, i); });
    std::vector<OutputLine> merged;
    auto skip = order.size() - std::min(order.size(), query.lines_max);
    for (auto i : order | std::views::drop(skip)) merged.push_back(std::move(lines[i]));
    co_return merged;
}

}  // namespace holdfast::service
