#include "coord/history.h"

#include <gtest/gtest.h>

namespace holdfast::coord {
namespace {

std::vector<Change> change(const std::string& key, Revision revision, std::size_t bytes = 0) {
    return {{.kind = Change::Kind::put,
             .entry = {.key = key,
                       .value = std::string(bytes, 'x'),
                       .created = revision,
                       .modified = revision}}};
}

TEST(History, KnowsNothingOfBeforeItBegan) {
    const History history(7);
    EXPECT_TRUE(history.reaches(7));
    EXPECT_FALSE(history.reaches(6));
    EXPECT_FALSE(history.reaches(8));  // Nobody can have seen that.
    EXPECT_TRUE(history.since("", 7).empty());
}

TEST(History, TellsTheChangesOfAPrefixAfterARevision) {
    History history(7);
    history.append(change("a/1", 8));
    history.append(change("b/1", 9));
    history.append(change("a/2", 10));
    EXPECT_EQ(history.head(), 10);
    EXPECT_EQ(history.since("", 7).size(), 3);
    EXPECT_EQ(history.since("", 9).size(), 1);
    const auto found = history.since("a/", 8);
    ASSERT_EQ(found.size(), 1);
    EXPECT_EQ(found[0].entry.key, "a/2");
    EXPECT_TRUE(history.since("", 10).empty());
}

TEST(History, ForgetsTheOldestBeyondEitherLimit) {
    History by_count(0, {.changes_max = 3, .bytes_max = 1 << 20});
    History by_bytes(0, {.changes_max = 1000, .bytes_max = 4000});
    for (Revision revision = 1; revision <= 10; ++revision) {
        by_count.append(change("k", revision));
        by_bytes.append(change("k", revision, 1000));
    }
    EXPECT_TRUE(by_count.reaches(7));
    EXPECT_FALSE(by_count.reaches(6));
    EXPECT_TRUE(by_bytes.reaches(9));
    EXPECT_FALSE(by_bytes.reaches(5));
    by_count.append(std::vector<Change>(4, change("k", 11)[0]));
    EXPECT_TRUE(by_count.reaches(11));
    EXPECT_FALSE(by_count.reaches(10));
}

}  // namespace
}  // namespace holdfast::coord
