#include "gateway/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"

namespace holdfast::gateway {
namespace {

constexpr std::size_t parts_max = 32;

enum class Plus { literal, space };

Result<std::string> decode(std::string_view text, Plus plus) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus == Plus::space) {
            out += ' ';
        } else if (text[i] != '%') {
            out += text[i];
        } else {
            auto byte = i + 2 < text.size() ? from_hex(text.substr(i + 1, 2)) : std::nullopt;
            if (!byte) {
                return fail(Errc::invalid,
                            fmt::format("\"{}\" has a % that no two digits follow", text));
            }
            out += *byte;
            i += 2;
        }
    }
    return out;
}

std::vector<std::string_view> split(std::string_view text, char at) {
    std::vector<std::string_view> parts;
    for (;;) {
        auto end = text.find(at);
        parts.push_back(text.substr(0, end));
        if (end == text.npos) return parts;
        text.remove_prefix(end + 1);
    }
}

Result<std::vector<std::string>> parse_path(std::string_view path) {
    std::vector<std::string> segments;
    if (!path.starts_with('/')) return fail(Errc::invalid, "the path does not begin with /");
    if (path == "/") return segments;
    auto parts = split(path.substr(1), '/');
    if (parts.size() > parts_max) return fail(Errc::invalid, "the path has too many segments");
    for (auto part : parts) {
        HF_TRY(auto segment, decode(part, Plus::literal));
        if (segment.empty()) return fail(Errc::invalid, "the path has an empty segment");
        segments.push_back(std::move(segment));
    }
    return segments;
}

Result<Query> parse_query(std::string_view text) {
    Query query;
    auto parts = split(text, '&');
    if (parts.size() > parts_max) return fail(Errc::invalid, "the query has too many parameters");
    for (auto part : parts) {
        if (part.empty()) continue;
        auto equals = std::min(part.find('='), part.size());
        HF_TRY(auto name, decode(part.substr(0, equals), Plus::space));
        auto rest = part.substr(std::min(equals + 1, part.size()));
        HF_TRY(auto value, decode(rest, Plus::space));
        if (find(query, name)) {
            return fail(Errc::invalid, fmt::format("the parameter \"{}\" is given twice", name));
        }
        query.emplace_back(std::move(name), std::move(value));
    }
    return query;
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
    auto mark = std::min(target.find('?'), target.size());
    HF_TRY(auto segments, parse_path(target.substr(0, mark)));
    HF_TRY(auto query, parse_query(target.substr(std::min(mark + 1, target.size()))));
    return Target{std::move(segments), std::move(query)};
}

std::optional<std::string_view> find(const Query& query, std::string_view name) {
    auto found = std::ranges::find(query, name,
                                   [](const auto& pair) -> std::string_view { return pair.first; });
    if (found == query.end()) return std::nullopt;
    return found->second;
}

Result<bool> flag(const Query& query, std::string_view name) {
    auto value = find(query, name);
    if (!value || *value == "false") return false;
    if (*value == "true") return true;
    return fail(Errc::invalid, fmt::format("{} is true or false, not \"{}\"", name, *value));
}

Result<std::optional<int>> number(const Query& query, std::string_view name, int most) {
    auto value = find(query, name);
    if (!value) return std::nullopt;
    int parsed = 0;
    auto end = value->data() + value->size();
    auto [stopped, failed] = std::from_chars(value->data(), end, parsed);
    if (failed != std::errc() || stopped != end || parsed < 0 || parsed > most) {
        return fail(Errc::invalid, fmt::format("{} is a whole number from 0 to {}, not \"{}\"",
                                               name, most, *value));
    }
    return parsed;
}

}  // namespace holdfast::gateway
