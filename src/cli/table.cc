#include "cli/table.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast::cli {

namespace {

constexpr std::size_t gap = 2;           // Spaces between columns.
constexpr std::size_t shrunk_least = 8;  // A column narrower than this says nothing.

bool continues_character(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

void append_cell(std::string& line, const Column& column, std::string_view text,
                 std::size_t width) {
    std::string shown = cut_to(text, width);
    std::string padding(width - std::min(width, text_width(shown)), ' ');
    if (column.align == Column::Align::right)
        line += padding + shown;
    else
        line += shown + padding;
}

std::string trimmed(std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    return line + '\n';
}

}  // namespace

std::size_t text_width(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return !continues_character(c); }));
}

std::string cut_to(std::string_view text, std::size_t width) {
    if (text_width(text) <= width) return std::string(text);
    constexpr std::string_view mark = "...";
    if (width <= mark.size()) return std::string(mark.substr(0, width));
    std::size_t characters = 0;
    std::size_t end = 0;
    while (end < text.size()) {
        if (!continues_character(text[end]) && ++characters > width - mark.size()) break;
        ++end;
    }
    return std::string(text.substr(0, end)) + std::string(mark);
}

std::string wrap(std::string_view text, std::size_t width, std::size_t indent) {
    std::string out;
    std::size_t column = 0;
    while (!text.empty()) {
        std::size_t end = text.find(' ');
        auto word = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (column > 0 && column + 1 + text_width(word) > width) {
            out += '\n' + std::string(indent, ' ');
            column = indent;
        } else if (column > 0) {
            out += ' ';
            ++column;
        }
        out += word;
        column += text_width(word);
    }
    return out;
}

void Table::add(std::vector<std::string> cells) {
    HF_CHECK(cells.size() == columns_.size());
    rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths(std::size_t width) const {
    std::vector<std::size_t> widths;
    for (const auto& column : columns_) widths.push_back(text_width(column.title));
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], text_width(row[i]));

    std::size_t total = gap * (columns_.size() - 1);
    for (auto w : widths) total += w;
    for (std::size_t i = columns_.size(); i-- > 0 && total > width;) {
        if (columns_[i].fit != Column::Fit::shrink) continue;
        std::size_t least =
            std::min(widths[i], std::max(shrunk_least, text_width(columns_[i].title)));
        std::size_t cut = std::min(total - width, widths[i] - least);
        widths[i] -= cut;
        total -= cut;
    }
    return widths;
}

std::string Table::render(std::size_t width) const {
    auto column_widths = widths(width);
    std::string out;
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (i > 0) line.append(gap, ' ');
        append_cell(line, columns_[i], columns_[i].title, column_widths[i]);
    }
    out += trimmed(line);
    for (const auto& row : rows_) {
        line.clear();
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i > 0) line.append(gap, ' ');
            append_cell(line, columns_[i], row[i], column_widths[i]);
        }
        out += trimmed(line);
    }
    return out;
}

}  // namespace holdfast::cli
