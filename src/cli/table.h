// Tables as the command prints them: aligned, and never wider than the terminal is.
//
// Pure. Widths are counted in characters (UTF-8 code points), which is right for all Holdfast
// prints of its own; wide scripts in a user's texts may stand out by a column.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

struct Column {
    enum class Align { left, right };
    enum class Fit {
        whole,   // Never cut.
        shrink,  // Cut with "..." when the table would be too wide; the last such column first.
    };
    std::string title;
    Align align = Align::left;
    Fit fit = Fit::whole;
};

class Table {
  public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    // As many cells as columns.
    void add(std::vector<std::string> cells);
    bool empty() const { return rows_.empty(); }

    // Lines with a title line first, two spaces between columns, none at the end of a line. A line
    // is longer than `width` only if the columns that may not shrink are.
    std::string render(std::size_t width) const;

  private:
    std::vector<std::size_t> widths(std::size_t width) const;

    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

// How many columns a text takes.
std::size_t text_width(std::string_view text);

// The text, or as much of it as fits with "..." at its end.
std::string cut_to(std::string_view text, std::size_t width);

// Breaks at spaces, so that no line is wider unless a word is; each line after the first begins
// with `indent` spaces.
std::string wrap(std::string_view text, std::size_t width, std::size_t indent);

}  // namespace holdfast::cli
