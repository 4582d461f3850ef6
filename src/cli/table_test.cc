#include "cli/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace holdfast::cli {
namespace {

std::size_t widest_line(const std::string& text) {
    std::istringstream lines(text);
    std::size_t widest = 0;
    for (std::string line; std::getline(lines, line);) widest = std::max(widest, text_width(line));
    return widest;
}

Table services() {
    return Table({{.title = "SERVICE"},
                  {.title = "READY", .align = Column::Align::right},
                  {.title = "REASON", .fit = Column::Fit::shrink}});
}

TEST(Table, AlignsItsColumnsAndEndsNoLineWithSpaces) {
    auto table = services();
    table.add({"shop", "3/3", ""});
    table.add({"db", "0/1", "exit code 1"});
    EXPECT_EQ(table.render(80),
              "SERVICE  READY  REASON\n"
              "shop       3/3\n"
              "db         0/1  exit code 1\n");
}

TEST(Table, CutsWhatMayShrinkAndNothingElse) {
    auto table = services();
    table.add({std::string(40, 'n'), "10/10", std::string(200, 'r')});
    auto text = table.render(80);
    EXPECT_EQ(widest_line(text), 80u);
    EXPECT_NE(text.find(std::string(40, 'n')), std::string::npos);
    EXPECT_NE(text.find("rrr..."), std::string::npos);
}

TEST(Table, CountsCharactersNotBytes) {
    EXPECT_EQ(text_width("süß"), 3u);
    EXPECT_EQ(cut_to("süßigkeit", 6), "süß...");
    EXPECT_EQ(cut_to("abc", 2), "..");
}

TEST(Wrap, BreaksAtSpacesAndIndentsWhatFollows) {
    EXPECT_EQ(wrap("one two three four", 9, 2), "one two\n  three\n  four");
    EXPECT_EQ(wrap("", 9, 2), "");
    EXPECT_EQ(wrap("unbreakable", 4, 0), "unbreakable");
}

}  // namespace
}  // namespace holdfast::cli
