#include "service/spec_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/nearest.h"
#include "service/spec_keys.h"
#include "service/spec_parser_rules.h"
#include "service/spec_parser_toml.h"

namespace holdfast::service {

namespace {

const Rule* find_rule(std::string_view path) {
    for (auto rules : {available_rules(), later_rules()})
        for (const auto& rule : rules)
            if (rule.path == path) return &rule;
    return nullptr;
}

std::string_view last_part(std::string_view path) {
    auto dot = path.rfind('.');
    return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

// The first key inside a table, or null if there is no such table.
const SpecKey* first_inside(std::string_view table) {
    auto prefix = std::string(table) + '.';
    for (const auto& key : spec_keys())
        if (key.path.starts_with(prefix)) return &key;
    return nullptr;
}

// The names that may stand in a table: its keys and its inner tables.
std::vector<std::string_view> names_inside(std::string_view table) {
    std::set<std::string_view> names;
    for (const auto& key : spec_keys()) {
        auto rest = key.path;
        if (!table.empty()) {
            if (!rest.starts_with(table) || rest.substr(table.size(), 1) != ".") continue;
            rest.remove_prefix(table.size() + 1);
        }
        names.insert(rest.substr(0, rest.find('.')));
    }
    return {names.begin(), names.end()};
}

class Parser {
  public:
    std::expected<Spec, Diagnostics> parse(std::string_view text) {
        if (text.size() > spec_bytes_max)
            return std::unexpected(
                Diagnostics{{0, 0, "", fmt::format("longer than {} KiB", spec_bytes_max / 1024)}});
        auto toml = parse_toml(text);
        if (!toml) return std::unexpected(Diagnostics{std::move(toml).error()});
        read_table(*toml, "");
        // A key that has been refused already would be found missing or wrong a second time.
        std::set<std::string> refused;
        for (const auto& diagnostic : found_) refused.insert(diagnostic.key);
        for (auto& diagnostic : check_draft(draft_))
            if (!refused.contains(diagnostic.key)) found_.push_back(std::move(diagnostic));
        if (found_.empty()) return std::move(draft_.spec);
        std::ranges::sort(found_, {}, [](const Diagnostic& each) {
            bool placed = each.line > 0;
            return std::tuple(!placed, each.line, each.column, each.key, each.reason);
        });
        if (found_.size() > diagnostics_most) {
            auto rest = found_.size() - diagnostics_most;
            found_.resize(diagnostics_most);
            found_.push_back({0, 0, "", fmt::format("and {} more problems", rest)});
        }
        return std::unexpected(std::move(found_));
    }

  private:
    void complain(Place place, std::string key, std::string reason) {
        found_.push_back({place.line, place.column, std::move(key), std::move(reason)});
    }

    void read_table(const TomlValue::Table& table, const std::string& path) {
        for (const auto& member : table) {
            auto key = path.empty() ? member.key : path + '.' + member.key;
            draft_.places.emplace(key, member.place);
            if (const auto* rule = find_rule(key)) {
                read_key(*rule, member, key);
            } else if (const auto* inside = first_inside(key)) {
                read_section(*inside, member, key);
            } else {
                complain(member.place, key, unknown(path, member.key));
            }
        }
    }

    void read_key(const Rule& rule, const TomlMember& member, const std::string& key) {
        const auto& known = *find_spec_key(rule.path);
        if (key == "env") note_env(member);
        if (auto problem = rule.read(member.value, draft_)) {
            auto place = problem->place.line > 0 ? problem->place : member.place;
            complain(place, key,
                     fmt::format("\"{}\": {}; example: {} = {}", key, problem->reason,
                                 last_part(key), known.example));
        } else if (!known.available) {
            complain(member.place, key, fmt::format("\"{}\" is not available yet", key));
        }
    }

    void read_section(const SpecKey& inside, const TomlMember& member, const std::string& key) {
        const auto* table = member.value.as<TomlValue::Table>();
        if (!table) {
            auto inner = inside.path.substr(key.size() + 1);
            complain(
                member.place, key,
                fmt::format("\"{}\": expected a table, not {}; example: {} = {{ {} = {} }}", key,
                            describe(member.value), last_part(key), inner, inside.example));
            return;
        }
        bool any_available = std::ranges::any_of(spec_keys(), [&](const SpecKey& each) {
            return each.available && each.path.starts_with(key + '.');
        });
        if (table->empty() && !any_available)
            complain(member.place, key, fmt::format("\"{}\" is not available yet", key));
        read_table(*table, key);
    }

    // So that what is wrong with one variable is reported at its own place.
    void note_env(const TomlMember& member) {
        if (const auto* table = member.value.as<TomlValue::Table>())
            for (const auto& each : *table) draft_.places.emplace("env." + each.key, each.place);
    }

    static std::string unknown(std::string_view table, std::string_view name) {
        auto where = table.empty() ? std::string() : fmt::format(" in [{}]", table);
        auto text = fmt::format("unknown key {}{}", toml_quoted(name), where);
        for (const auto& key : spec_keys())
            if (last_part(key.path) == name)
                return text + fmt::format("; did you mean \"{}\"?", key.path);
        auto names = names_inside(table);
        if (auto nearest = nearest_word(name, names))
            return text + fmt::format("; did you mean \"{}\"?", *nearest);
        return text + fmt::format("; known{}: {}", table.empty() ? " here" : where,
                                  fmt::join(names, ", "));
    }

    Draft draft_;
    Diagnostics found_;
};

}  // namespace

std::string format_diagnostics(const Diagnostics& diagnostics, std::string_view file) {
    std::string text;
    for (const auto& each : diagnostics) {
        if (!text.empty()) text += '\n';
        text += file;
        if (each.line > 0) text += fmt::format(":{}:{}", each.line, each.column);
        text += ": ";
        // Values are quoted as the author wrote them; they must not break the line.
        for (char c : each.reason) text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return text;
}

std::expected<Spec, Diagnostics> parse_spec(std::string_view text) {
    return Parser().parse(text);
}

Result<Spec> parse_spec(std::string_view text, std::string_view file) {
    auto spec = parse_spec(text);
    if (!spec) return fail(Errc::invalid, format_diagnostics(spec.error(), file));
    return *std::move(spec);
}

bool valid_service_name(std::string_view name) {
    constexpr std::size_t name_bytes_max = 63;
    if (name.empty() || name.size() > name_bytes_max) return false;
    if (name.starts_with('-') || name.ends_with('-')) return false;
    return std::ranges::all_of(
        name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace holdfast::service
