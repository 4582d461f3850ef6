#include "service/spec_parser_toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

// toml++ 3.3 asserts some things of its input that input need not fulfil ("[" and a line's end),
// and in builds without assertions assumes them, which is worse. So its assertions become an
// exception of ours, whatever the build; and its namespace becomes our own, lest the linker merge
// its functions with those of another file that compiles it otherwise.
namespace {
struct Misstep {};
}  // namespace
#undef NDEBUG
#define TOML_ASSERT(expression) ((expression) ? void(0) : throw Misstep())
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#define toml holdfast_service_toml
#include <toml++/toml.h>

namespace holdfast::service {

namespace {

Place place_of(const toml::source_region& region) {
    return {region.begin.line, region.begin.column};
}

TomlValue convert(const toml::node& node);

TomlValue::Table convert_table(const toml::table& table) {
    TomlValue::Table members;
    members.reserve(table.size());
    for (const auto& [key, node] : table)
        members.push_back({std::string(key.str()), place_of(key.source()), convert(node)});
    std::ranges::sort(members, {},
                      [](const TomlMember& each) { return std::tie(each.place, each.key); });
    return members;
}

TomlValue convert(const toml::node& node) {
    TomlValue value;
    value.place = place_of(node.source());
    if (const auto* text = node.as_string()) {
        value.is = text->get();
    } else if (const auto* integer = node.as_integer()) {
        value.is = integer->get();
    } else if (const auto* number = node.as_floating_point()) {
        value.is = number->get();
    } else if (const auto* flag = node.as_boolean()) {
        value.is = flag->get();
    } else if (const auto* array = node.as_array()) {
        TomlValue::Array elements;
        elements.reserve(array->size());
        for (const auto& element : *array) elements.push_back(convert(element));
        value.is = std::move(elements);
    } else if (const auto* table = node.as_table()) {
        value.is = convert_table(*table);
    } else if (node.is_time()) {
        value.is = TomlValue::Other{"a time of day"};
    } else {
        value.is = TomlValue::Other{"a date"};
    }
    return value;
}

bool is_misstep(std::string_view text) {
    try {
        static_cast<void>(toml::parse(text));
    } catch (const toml::parse_error&) {
    } catch (const Misstep&) {
        return true;
    }
    return false;
}

// The line on which toml++ took its misstep: the last of the shortest run of lines that leads to
// it.
unsigned line_of_misstep(std::string_view text) {
    std::vector<std::size_t> ends;
    for (std::size_t end = text.find('\n'); end != std::string_view::npos;
         end = text.find('\n', end + 1))
        ends.push_back(end + 1);
    if (ends.empty() || ends.back() != text.size()) ends.push_back(text.size());
    auto first = std::ranges::lower_bound(
        ends, true, {}, [&](std::size_t end) { return is_misstep(text.substr(0, end)); });
    return static_cast<unsigned>(std::min(first, ends.end() - 1) - ends.begin()) + 1;
}

}  // namespace

std::expected<TomlValue::Table, Diagnostic> parse_toml(std::string_view text) {
    try {
        return convert_table(toml::parse(text));
    } catch (const toml::parse_error& error) {
        auto place = place_of(error.source());
        return std::unexpected(Diagnostic{place.line, place.column, "",
                                          fmt::format("not TOML: {}", error.description())});
    } catch (const Misstep&) {
        return std::unexpected(Diagnostic{line_of_misstep(text), 1, "",
                                          "not TOML: a name is missing or broken on this line"});
    }
}

std::string describe(const TomlValue& value) {
    if (const auto* text = value.as<std::string>()) {
        constexpr std::size_t shown_bytes_max = 60;
        if (text->size() > shown_bytes_max) return "a longer text";
        return "the text " + toml_quoted(*text);
    }
    if (const auto* integer = value.as<std::int64_t>())
        return fmt::format("the number {}", *integer);
    if (const auto* number = value.as<double>()) return fmt::format("the number {}", *number);
    if (const auto* flag = value.as<bool>()) return fmt::format("{}", *flag);
    if (value.as<TomlValue::Array>()) return "an array";
    if (value.as<TomlValue::Table>()) return "a table";
    return value.as<TomlValue::Other>()->kind;
}

std::string toml_quoted(std::string_view text) {
    std::string quoted = "\"";
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            quoted += '\\';
            quoted += c;
        } else if (c == '\n') {
            quoted += "\\n";
        } else if (c == '\t') {
            quoted += "\\t";
        } else if (byte < 0x20 || byte == 0x7f) {
            quoted += fmt::format("\\u{:04X}", byte);
        } else {
            quoted += c;
        }
    }
    return quoted + '"';
}

std::string toml_key(std::string_view key) {
    constexpr std::string_view bare =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    bool is_bare = !key.empty() && key.find_first_not_of(bare) == std::string_view::npos;
    return is_bare ? std::string(key) : toml_quoted(key);
}

}  // namespace holdfast::service
