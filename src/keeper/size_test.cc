// The keeper stays small and depends on little: what is in it must be readable in an afternoon.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace {

namespace fs = std::filesystem;

// Of the node's and the command's end, or of tests.
bool outside(const std::string& name) {
    for (auto* start : {"link", "control", "build_id", "cgroup_survey"}) {
        if (name.starts_with(start)) return true;
    }
    return name.find("_test.") != std::string::npos || name.find("_fuzz.") != std::string::npos;
}

// Calls back with the name and each line that is neither empty nor a comment.
template <class Each>
void for_each_line(Each each) {
    for (auto& file : fs::directory_iterator(HF_KEEPER_SOURCES)) {
        auto name = file.path().filename().string();
        auto extension = file.path().extension();
        if (outside(name) || (extension != ".h" && extension != ".cc")) continue;
        std::ifstream in(file.path());
        for (std::string line; std::getline(in, line);) {
            auto first = line.find_first_not_of(' ');
            if (first == std::string::npos || line.compare(first, 2, "//") == 0) continue;
            each(name, line);
        }
    }
}

// The promise is of what there is to read at night: what the keeper does. Headers declare it, and
// what Linux needs to be asked stands in runtime/process/.
TEST(KeeperSize, StaysWithin1500Lines) {
    int lines = 0;
    for_each_line([&](const std::string& name, const std::string&) {
        if (name.ends_with(".cc")) ++lines;
    });
    RecordProperty("lines", lines);
    EXPECT_GT(lines, 1000) << "the sources were not found";
    EXPECT_LE(lines, 1500);
}

TEST(KeeperSize, IncludesNothingBig) {
    for_each_line([](const std::string& name, const std::string& line) {
        if (!line.starts_with("#include")) return;
        for (auto* big :
             {"boost", "rocksdb", "google", "openssl", "runtime/real", "<thread>", "<iostream>"}) {
            EXPECT_EQ(line.find(big), std::string::npos) << name << ": " << line;
        }
        auto room = line.find('"');
        if (room == std::string::npos) return;
        bool allowed = line.find("\"base/") == room || line.find("\"keeper/") == room ||
                       line.find("\"runtime/process.h\"") == room ||
                       line.find("\"runtime/process/") == room;
        EXPECT_TRUE(allowed) << name << ": " << line;
    });
}

}  // namespace
