#include "access/peer_trust.h"

#include <gtest/gtest.h>

namespace holdfast::access {
namespace {

constexpr std::uint32_t node = 990;
constexpr std::uint32_t group = 77;

TEST(PeerTrust, IsForTheNodesOwnUserAndForRoot) {
    EXPECT_TRUE(trusted({.uid = node, .gid = 1, .groups = {}}, node, std::nullopt));
    EXPECT_TRUE(trusted({.uid = 0, .gid = 0, .groups = {}}, node, std::nullopt));
    EXPECT_FALSE(trusted({.uid = 1000, .gid = 0, .groups = {0}}, node, std::nullopt));
}

TEST(PeerTrust, IsForMembersOfTheGroupWhereThereIsOne) {
    EXPECT_TRUE(trusted({.uid = 1000, .gid = group, .groups = {}}, node, group));
    EXPECT_TRUE(trusted({.uid = 1000, .gid = 1000, .groups = {4, group}}, node, group));
    EXPECT_FALSE(trusted({.uid = 1000, .gid = 1000, .groups = {4}}, node, group));
    EXPECT_FALSE(trusted({.uid = 1000, .gid = group, .groups = {group}}, node, std::nullopt));
}

}  // namespace
}  // namespace holdfast::access
