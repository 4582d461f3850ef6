#include <gtest/gtest.h>

#include "runtime/network.h"

namespace holdfast::runtime {
namespace {

TEST(EndpointTest, ReadsBackWhatItWrites) {
    for (auto text : {"127.0.0.1:7400", "0.0.0.0:0", "[::1]:7400", "[2001:db8::1]:65535",
                      "/run/x.sock", "@name"}) {
        auto endpoint = parse_endpoint(text);
        ASSERT_TRUE(endpoint) << endpoint.error().message;
        EXPECT_EQ(format_endpoint(*endpoint), text);
    }
    EXPECT_EQ(parse_endpoint("[::1]:74"), (Endpoint{"::1", 74}));
    EXPECT_EQ(parse_endpoint("/run/a:1"), (Endpoint{"/run/a:1", 0}));
    EXPECT_EQ(format_endpoint(Endpoint{}), "");
}

TEST(EndpointTest, RefusesWhatIsNoEndpoint) {
    std::string long_path = "/" + std::string(108, 'x');
    for (std::string text :
         {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1",
          "127.0.0.1: 80", "127.0.0.1:80 ", "localhost:80", "::1:80", "[::1]", "[127.0.0.1]:80",
          "127.1:80", "[]:80", "[fe80::1%eth0]:80", "/", "@", long_path.c_str()}) {
        auto endpoint = parse_endpoint(text);
        ASSERT_FALSE(endpoint) << text;
        EXPECT_EQ(endpoint.error().code, Errc::invalid);
        EXPECT_NE(endpoint.error().message.find("127.0.0.1:7400"), std::string::npos);
    }
    EXPECT_FALSE(parse_endpoint(std::string_view("@a\0b", 4)));
}

}  // namespace
}  // namespace holdfast::runtime
