#include "runtime/process/ring.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>

namespace holdfast::runtime::process {

namespace {

using namespace std::chrono_literals;
using runtime::OutputStream;

struct Memory {
    std::unique_ptr<std::uint64_t[]> words = std::make_unique<std::uint64_t[]>(ring_bytes / 8);
    Ring ring{reinterpret_cast<char*>(words.get())};
};

TEST(Ring, GivesBackWhatWasWrittenInOrder) {
    Memory memory;
    auto& ring = memory.ring;
    EXPECT_FALSE(ring.read());
    EXPECT_TRUE(ring.write(OutputStream::out, WallTime(1s), "one"));
    EXPECT_FALSE(ring.write(OutputStream::err, WallTime(2s), "two")) << "the reader knows already";
    auto one = ring.read();
    ASSERT_TRUE(one);
    EXPECT_EQ(one->bytes, "one");
    EXPECT_EQ(one->at, WallTime(1s));
    auto two = ring.read();
    ASSERT_TRUE(two);
    EXPECT_EQ(two->stream, OutputStream::err);
    EXPECT_EQ(two->lost_before, 0u);
    EXPECT_FALSE(ring.read());
    EXPECT_TRUE(ring.write(OutputStream::out, WallTime(3s), "three"));
}

TEST(Ring, DropsTheOldestAndCountsEveryByte) {
    Memory memory;
    std::uint64_t written = 0, seen = 0, lost = 0;
    for (int i = 0; i < 1000; ++i) {
        std::string bytes(static_cast<std::size_t>(1 + i * 37 % 5000),
                          static_cast<char>('a' + i % 26));
        memory.ring.write(OutputStream::out, WallTime(1s), bytes);
        written += bytes.size();
    }
    while (auto output = memory.ring.read()) {
        lost += output->lost_before;
        seen += output->bytes.size();
        EXPECT_EQ(output->bytes.find_first_not_of(output->bytes[0]), std::string::npos);
    }
    EXPECT_EQ(seen + lost, written);
    EXPECT_GT(seen, ring_data_bytes * 9 / 10);
}

TEST(Ring, TellsANewReaderOnlyOfWhatIsThere) {
    Memory memory;
    EXPECT_FALSE(memory.ring.new_reader());
    memory.ring.write(OutputStream::out, WallTime(1s), "unread");
    EXPECT_TRUE(memory.ring.new_reader());
    memory.ring.read();  // And then the reader dies, without having found it empty.
    EXPECT_FALSE(memory.ring.new_reader());
    EXPECT_TRUE(memory.ring.write(OutputStream::out, WallTime(1s), "more"));
}

TEST(Ring, SurvivesAnyDamage) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 2000; ++round) {
        Memory memory;
        for (int i = 0; i < 20; ++i)
            memory.ring.write(OutputStream::out, WallTime(1s), std::string(7000, 'x'));
        for (int i = 0; i < 4; ++i) memory.words[random() % 6] = random() >> (random() % 64);
        for (int i = 0; i < 50; ++i)
            memory.words[512 + random() % (ring_data_bytes / 8)] = random();
        memory.ring.new_reader();
        for (int reads = 0; reads < 100 && memory.ring.read(); ++reads) {
        }
        memory.ring.write(OutputStream::out, WallTime(1s), "after");
    }
}

// Two threads for the two processes: every byte is read whole or counted as lost, none invented.
TEST(Ring, AReaderBesideAWriterSeesWholeRecordsOnly) {
    Memory memory;
    constexpr int records = 20000;
    std::thread writer([&] {
        for (int i = 0; i < records; ++i) {
            std::string bytes(static_cast<std::size_t>(100 + i % 900),
                              static_cast<char>('a' + i % 26));
            memory.ring.write(OutputStream::out, WallTime(Duration(i)), bytes);
        }
    });
    std::uint64_t total = 0, expected = 0;
    for (int i = 0; i < records; ++i) expected += static_cast<std::uint64_t>(100 + i % 900);
    while (total < expected) {
        auto output = memory.ring.read();
        if (!output) continue;
        auto i = static_cast<int>(output->at.time_since_epoch().count());
        ASSERT_EQ(output->bytes, std::string(static_cast<std::size_t>(100 + i % 900),
                                             static_cast<char>('a' + i % 26)));
        total += output->bytes.size() + output->lost_before;
    }
    EXPECT_EQ(total, expected);
    writer.join();
}

}  // namespace

}  // namespace holdfast::runtime::process
