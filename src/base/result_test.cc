#include "base/result.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

Result<int> half(int number) {
    if (number % 2 != 0) return fail(Errc::invalid, "odd");
    return number / 2;
}

Result<int> quarter(int number) {
    HF_TRY(int halved, half(number));
    HF_TRY_VOID(half(halved));
    return half(halved);
}

TEST(Result, CarriesTheFirstErrorUp) {
    EXPECT_EQ(quarter(8), 2);
    EXPECT_EQ(quarter(6).error(), (Error{Errc::invalid, "odd"}));
    EXPECT_EQ(quarter(3).error().code, Errc::invalid);
}

TEST(Result, NamesItsCodes) {
    EXPECT_EQ(errc_name(Errc::in_doubt), "in_doubt");
}

}  // namespace
}  // namespace holdfast
