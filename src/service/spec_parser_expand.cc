#include <fmt/format.h>

#include <algorithm>

#include "base/nearest.h"
#include "service/spec_parser.h"
#include "service/spec_parser_read.h"

namespace holdfast::service {

namespace {

const std::string* find(const Variables& variables, std::string_view name) {
    auto found = std::ranges::find(variables, name, &Variables::value_type::first);
    return found == variables.end() ? nullptr : &found->second;
}

Error unknown_variable(std::string_view name, const Variables& variables) {
    std::vector<std::string_view> known;
    for (const auto& [each, value] : variables) known.push_back(each);
    auto nearest = nearest_word(name, known);
    return {Errc::invalid,
            nearest ? fmt::format("unknown variable ${{{}}}; did you mean ${{{}}}?", name, *nearest)
                    : fmt::format("unknown variable ${{{}}}; known here: {}; a literal ${{ is "
                                  "written $${{",
                                  name, fmt::join(known, ", "))};
}

}  // namespace

Result<std::string> expand(std::string_view text, const Variables& variables) {
    std::string out;
    while (true) {
        auto start = text.find("${");
        if (start == std::string_view::npos) break;
        if (start > 0 && text[start - 1] == '$') {
            out.append(text.substr(0, start - 1)).append("${");
            text.remove_prefix(start + 2);
            continue;
        }
        auto end = text.find('}', start);
        auto name = end == std::string_view::npos ? "" : text.substr(start + 2, end - start - 2);
        if (!valid_env_name(name))
            return fail(Errc::invalid,
                        fmt::format("\"${{\" without a NAME and \"}}\" after it in {}; a literal "
                                    "${{ is written $${{",
                                    toml_quoted(text.substr(start, 40))));
        const auto* value = find(variables, name);
        if (!value) return std::unexpected(unknown_variable(name, variables));
        out.append(text.substr(0, start)).append(*value);
        text.remove_prefix(end + 1);
    }
    return out.append(text);
}

Result<Expanded> expand(const Spec& spec, const Variables& variables) {
    Expanded expanded;
    auto known = variables;
    for (const auto& [name, value] : spec.env) {
        HF_TRY(auto text, expand(value, variables));
        expanded.env.emplace_back(name, text);
        known.emplace_back(name, std::move(text));
    }
    for (const auto& argument : spec.command) {
        bool program = expanded.command.empty();
        HF_TRY(auto text, program ? Result<std::string>(argument) : expand(argument, known));
        expanded.command.push_back(std::move(text));
    }
    return expanded;
}

}  // namespace holdfast::service
