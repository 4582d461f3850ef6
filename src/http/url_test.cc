#include "http/url.h"

#include <gtest/gtest.h>

namespace holdfast::http {
namespace {

TEST(Url, ReadsItsParts) {
    struct Case {
        std::string text;
        Url url;
    };
    using enum Url::Scheme;
    for (const auto& [text, url] : {
             Case{"http://127.0.0.1:7400/v1/status", {http, "127.0.0.1", 7400, "/v1/status"}},
             Case{"http://example.com", {http, "example.com", 80, "/"}},
             Case{"https://Hooks.Example.COM/x?y=%20z",
                  {https, "hooks.example.com", 443, "/x?y=%20z"}},
             Case{"HTTPS://h:8443?q", {https, "h", 8443, "/?q"}},
             Case{"http://[::1]:9000/a#fragment", {http, "::1", 9000, "/a"}},
             Case{"http://[fe80::1]", {http, "fe80::1", 80, "/"}},
         }) {
        SCOPED_TRACE(text);
        auto parsed = parse_url(text);
        ASSERT_TRUE(parsed) << parsed.error().message;
        EXPECT_EQ(*parsed, url);
        EXPECT_EQ(parse_url(format_url(*parsed)), url) << format_url(*parsed);
    }
}

TEST(Url, RefusesWhatCouldMeanSomethingElse) {
    for (std::string text : {
             "",
             "example.com",
             "ftp://example.com/",
             "http:/example.com",
             "http://",
             "http:///x",
             "http://user:secret@example.com/",
             "http://example.com:0/",
             "http://example.com:65536/",
             "http://example.com:/",
             "http://example.com:80x/",
             "http://[::1/",
             "http://[::1]x/",
             "http://[zz::]/",
             "http://a b/",
             "http://example.com/a b",
             "http://example.com/\r\nX: y",
             "http://example.com/%zz",
             "http://example.com/%2",
             "http://ex\xc3\xa4mple.com/",
             "http://::1/",
             "http://-x/",
             "http://.x/",
         }) {
        SCOPED_TRACE(text);
        auto parsed = parse_url(text);
        ASSERT_FALSE(parsed);
        EXPECT_EQ(parsed.error().code, Errc::invalid);
    }
    EXPECT_FALSE(parse_url("http://x/" + std::string(3000, 'a')));
}

TEST(Url, NamesThePortOnlyWhereItIsUnusual) {
    EXPECT_EQ(parse_url("http://h:80/")->authority(), "h");
    EXPECT_EQ(parse_url("https://h:80/")->authority(), "h:80");
    EXPECT_EQ(parse_url("http://[::1]:81/")->authority(), "[::1]:81");
}

}  // namespace
}  // namespace holdfast::http
