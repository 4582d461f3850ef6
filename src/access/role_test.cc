#include "access/role.h"

#include <gtest/gtest.h>

namespace holdfast::access {
namespace {

struct Row {
    Role role;
    bool observe, inspect, operate, administer;
};

TEST(Role, EachMayDoWhatTheTableSays) {
    for (const Row& row : {Row{Role::viewer, true, true, false, false},
                           Row{Role::operator_, true, true, true, false},
                           Row{Role::admin, true, true, true, true}}) {
        SCOPED_TRACE(role_name(row.role));
        EXPECT_EQ(allowed(row.role, Action::observe), row.observe);
        EXPECT_EQ(allowed(row.role, Action::inspect), row.inspect);
        EXPECT_EQ(allowed(row.role, Action::operate), row.operate);
        EXPECT_EQ(allowed(row.role, Action::administer), row.administer);
    }
}

TEST(Role, ReadsBackItsOwnNamesAndNothingElse) {
    for (Role role : {Role::viewer, Role::operator_, Role::admin}) {
        EXPECT_EQ(parse_role(role_name(role)), role);
    }
    for (auto text : {"", "Admin", "root", "admin ", "operator_"}) EXPECT_FALSE(parse_role(text));
}

TEST(Role, NamesTheLeastRoleThatMay) {
    EXPECT_EQ(needed_role(Action::operate), Role::operator_);
    EXPECT_EQ(needed_role(Action::administer), Role::admin);
}

}  // namespace
}  // namespace holdfast::access
