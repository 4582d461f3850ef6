#include "service/spec_writer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/units.h"
#include "service/spec_keys.h"
#include "service/spec_parser.h"
#include "service/spec_parser_toml.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Draws specs from the whole of what parse_spec() can return.
class Draw {
  public:
    explicit Draw(unsigned seed) : engine_(seed) {}

    Spec spec() {
        Spec spec;
        spec.name = fmt::format("s{}", below(1000));
        spec.command = {"/bin/" + text(), text(), "$${" + text()};
        spec.command.front() = "/bin/x" + std::to_string(below(9));
        for (unsigned i = below(3); i > 0; --i)
            spec.env.emplace_back(fmt::format("E{}", i), text());
        if (below(2)) spec.after = {"db", "cache"};
        if (below(2)) spec.user = "nobody";
        spec.directory = "/" + text();
        if (below(2))
            spec.limits = {below(9) * 1000000ULL + 1048576, 0.1 * (1 + below(40)), 16 + below(9),
                           below(2)};
        if (below(2)) spec.alert.to = {"http://a.example/x"};
        spec.deploy.drain = duration();
        if (below(4) == 0) {
            job(spec);
        } else {
            server(spec);
        }
        return spec;
    }

  private:
    unsigned below(unsigned limit) { return static_cast<unsigned>(engine_() % limit); }
    Duration duration() {
        return std::chrono::nanoseconds(1000ULL * 1000 * 1000 + engine_() % 1000000000000);
    }

    std::string text() {
        constexpr std::string_view bytes = "ab \"\\\n\t\r\x01\x7f'=#[]{}$ä.";
        std::string text;
        for (unsigned i = below(6); i > 0; --i) {
            auto c = bytes[below(static_cast<unsigned>(bytes.size() - 3))];
            if (c == '{' && text.ends_with('$')) continue;
            text += c;
        }
        return text + (below(2) ? "ä" : "");
    }

    health::ProbeSpec probe(bool listens) {
        using Kind = health::ProbeSpec::Kind;
        switch (listens ? below(4) : 3) {
            case 0:
                return {Kind::tcp, "", ""};
            case 1:
                return {Kind::grpc, "", ""};
            case 2:
                return {Kind::http, "/ready?x=" + std::to_string(below(9)), ""};
            default:
                return {Kind::exec, "", "x" + text()};
        }
    }

    void server(Spec& spec) {
        bool inherits = false;
        if (below(3)) {
            inherits = below(2);
            spec.listen = ListenSpec{
                below(2) ? ListenSpec::Protocol::http : ListenSpec::Protocol::tcp,
                static_cast<std::uint16_t>(1 + below(65535)), below(2) ? "::1" : "0.0.0.0",
                inherits ? SocketMode::inherit : SocketMode::own};
        }
        bool many = !spec.listen || inherits;
        spec.instances = many ? static_cast<int>(1 + below(1000)) : 1;
        if (below(2)) spec.health.ready = probe(spec.listen.has_value());
        if (below(2)) spec.health.live = probe(spec.listen.has_value());
        spec.health.every = std::chrono::milliseconds(10 + below(100000));
        spec.health.timeout = std::min<Duration>(spec.health.every, 10ms * (1 + below(100)));
        spec.health.fall = static_cast<int>(1 + below(100));
        spec.health.rise = static_cast<int>(1 + below(100));
        spec.restart.backoff_least = 1ms * (1 + below(1000));
        spec.restart.backoff_most = duration();
        spec.restart.reset_after = duration();
        spec.restart.hang_after = duration();
        bool hot = inherits && below(2);
        spec.deploy.strategy = hot ? DeploySpec::Strategy::hot : DeploySpec::Strategy::recreate;
        spec.deploy.watch = duration();
        if (below(2)) spec.deploy.rollback = DeploySpec::Rollback::manual;
    }

    void job(Spec& spec) {
        JobSpec job;
        job.when = static_cast<JobSpec::When>(below(3));
        if (job.when == JobSpec::When::every) job.every = duration();
        if (job.when == JobSpec::When::at) job.at = "23:59:01";
        job.tries = static_cast<int>(1 + below(100));
        job.backoff_least = 1ms * (1 + below(1000));
        job.backoff_most = duration();
        if (below(2)) job.timeout = duration();
        if (below(2)) job.verify_command = "v" + text();
        job.overlap = static_cast<JobSpec::Overlap>(below(3));
        spec.job = job;
    }

    std::mt19937_64 engine_;
};

TEST(SpecWriter, WritesWhatTheParserReadsBackAsTheSame) {
    for (unsigned seed = 0; seed < 2000; ++seed) {
        auto spec = Draw(seed).spec();
        auto text = write_spec(spec);
        auto again = parse_spec(text);
        ASSERT_TRUE(again) << "seed " << seed << '\n'
                           << format_diagnostics(again.error(), "f") << '\n'
                           << text;
        ASSERT_EQ(*again, spec) << "seed " << seed << '\n'
                                << text << "\nthen\n"
                                << write_spec(*again);
    }
}

TEST(SpecWriter, FillsInEveryDefault) {
    auto spec = parse_spec("name = \"shop\"\ncommand = [\"/bin/shop\"]\nlisten.tcp = 80\n");
    ASSERT_TRUE(spec);
    EXPECT_EQ(write_spec(*spec), R"(# user is not set: the service runs as Holdfast does.
name = "shop"
command = ["/bin/shop"]
instances = 1
directory = "/"
after = []

[limits]
memory = "none"
cpu = "none"
files = "none"
core = "none"

[listen]
tcp = 80
address = "127.0.0.1"
sockets = "own"

[health]
ready = "auto"
live = "none"
every = "1s"
timeout = "1s"
fall = 2
rise = 2

[restart]
backoff = "100ms..30s"
reset_after = "1m"
hang_after = "3s"

[deploy]
strategy = "recreate"
watch = "30s"
rollback = "auto"
drain = "30s"

[alert]
to = []
)");
}

TEST(SpecWriter, ShowsEveryAvailableKeySomewhere) {
    std::string shown;
    for (auto more : {"listen = { http = 80 }\nuser = \"nobody\"\nenv = { A = \"1\" }\n",
                      "listen = { tcp = 80 }\n", "job = { every = \"1h\" }\n",
                      "job = { at = \"00:00\" }\n", "job = { once = true }\n"}) {
        auto spec = parse_spec(std::string("name = \"a\"\ncommand = [\"x\"]\n") + more);
        ASSERT_TRUE(spec) << format_diagnostics(spec.error(), "f");
        for (const auto& [key, value] : spec_fields(*spec)) shown += ' ' + key + ' ';
    }
    for (const auto& key : spec_keys())
        if (key.available && key.path != "env")
            EXPECT_THAT(shown, HasSubstr(fmt::format(" {} ", key.path)));
    EXPECT_THAT(shown, HasSubstr(" env.A "));
}

TEST(TomlText, EscapesWhatWouldBreakTheLine) {
    EXPECT_EQ(toml_quoted("a\"\\\n\t\r\x01\x7f"), R"("a\"\\\n\t\u000D\u0001\u007F")");
    EXPECT_EQ(toml_key("a-b_1"), "a-b_1");
    EXPECT_EQ(toml_key("a.b"), "\"a.b\"");
    EXPECT_EQ(toml_key(""), "\"\"");
}

}  // namespace
}  // namespace holdfast::service
