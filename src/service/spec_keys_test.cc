// One row for each key of the format: what it does to a Spec, and what it refuses. A key without a
// row fails the first test.
#include "service/spec_keys.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "service/spec_parser.h"
#include "service/spec_parser_rules.h"

namespace holdfast::service {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

using Effect = bool (*)(const Spec&);

struct Row {
    std::string_view key;
    std::string_view value;        // Accepted; not the default.
    Effect effect;                 // Null: the key is not available yet.
    std::string_view mistyped;     // A value of the wrong type.
    std::string_view misfit;       // Of the right type: wrong unit, word, form, or out of range.
    std::string_view beside = "";  // What the same table needs besides.
    std::string_view before = "";  // What other tables are needed.
};

constexpr std::string_view port = "http = 8080\n";
constexpr std::string_view listens = "listen = { http = 8080 }\n";
constexpr std::string_view each_hour = "every = \"1h\"\n";
constexpr Effect later = nullptr;

const Row rows[] = {
    {"name", "\"till\"", [](const Spec& s) { return s.name == "till"; }, "7", "\"Shop_1\""},
    {"command", "[\"a\", \"b c\"]",
     [](const Spec& s) { return s.command == std::vector<std::string>{"a", "b c"}; }, "\"a b\"",
     "[]", "", listens},
    {"instances", "3", [](const Spec& s) { return s.instances == 3; }, "1.5", "0"},
    {"env", "{ B = \"1\", A = \"\" }",
     [](const Spec& s) { return s.env == decltype(s.env){{"B", "1"}, {"A", ""}}; }, "\"A=1\"",
     "{ \"A-B\" = \"1\" }"},
    {"user", "\"nobody\"", [](const Spec& s) { return s.user == "nobody"; }, "0", "\"\""},
    {"directory", "\"/tmp\"", [](const Spec& s) { return s.directory == "/tmp"; }, "true",
     "\"tmp\""},
    {"after", "[\"db\", \"cache\"]",
     [](const Spec& s) { return s.after == std::vector<std::string>{"db", "cache"}; }, "\"db\"",
     "[\"db\", \"db\"]"},
    {"artifact",
     "\"obj:a/b#sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"", later,
     "1", "\"obj:a/b\""},
    {"files", "{ \"a.conf\" = \"obj:c/a\" }", later, "\"obj:c/a\"", "{ \"/a\" = \"obj:c/a\" }"},
    {"secrets", "{ P = \"secret:a/b\" }", later, "\"secret:a/b\"", "{ P = \"hunter2\" }"},
    {"zones", "\"pack\"", later, "1", "\"packed\""},

    {"limits.memory", "\"512MiB\"",
     [](const Spec& s) { return s.limits.memory_bytes == 512ULL << 20; }, "512", "\"512M\""},
    {"limits.cpu", "1.5", [](const Spec& s) { return s.limits.cpu == 1.5; }, "\"1.5\"", "0"},
    {"limits.files", "4096", [](const Spec& s) { return s.limits.files == 4096U; }, "\"4096\"",
     "3"},
    {"limits.core", "\"0\"", [](const Spec& s) { return s.limits.core_bytes == 0U; }, "0", "\"1\""},
    {"reserve.memory", "\"256MiB\"", later, "256", "\"256s\""},
    {"reserve.cpu", "0.2", later, "\"0.2\"", "-1"},

    {"listen.http", "8081",
     [](const Spec& s) {
         return s.listen && s.listen->port == 8081 &&
                s.listen->protocol == ListenSpec::Protocol::http;
     },
     "\"8080\"", "65536"},
    {"listen.tcp", "5432",
     [](const Spec& s) {
         return s.listen && s.listen->port == 5432 &&
                s.listen->protocol == ListenSpec::Protocol::tcp;
     },
     "[5432]", "0"},
    {"listen.address", "\"::1\"", [](const Spec& s) { return s.listen->address == "::1"; }, "1",
     "\"localhost\"", port},
    {"listen.sockets", "\"inherit\"",
     [](const Spec& s) { return s.listen->sockets == SocketMode::inherit; }, "true", "\"inherits\"",
     port},
    {"listen.policy", "\"least\"", later, "1", "\"p2\"", port},
    {"listen.hash", "\"cookie:sid\"", later, "1", "\"cookie\"", port},
    {"listen.domain", "\"a.example\"", later, "1", "\"a b\"", port},
    {"listen.vip", "\"10.0.0.50/24\"", later, "1", "\"10.0.0.50/33\"", port},
    {"listen.tls.cert", "\"/c.pem\"", later, "1", "\"c.pem\""},
    {"listen.tls.key", "\"/c.key\"", later, "1", "\"c.key\""},
    {"listen.direct", "true", later, "\"true\"", "1", port},
    {"listen.slow_start", "\"30s\"", later, "30", "\"30\"", port},
    {"listen.timeout.connect", "\"1s\"", later, "1", "\"1\""},
    {"listen.timeout.first_byte", "\"1s\"", later, "1", "\"1KiB\""},
    {"listen.timeout.idle", "\"1s\"", later, "1", "\"2d\""},
    {"listen.timeout.request_header", "\"1s\"", later, "1", "\"0s\""},
    {"listen.limit.in_flight", "256", later, "\"256\"", "0"},
    {"listen.limit.queue", "100", later, "1.5", "-1"},
    {"listen.limit.wait", "\"1s\"", later, "1", "\"1\""},
    {"listen.limit.header", "\"64KiB\"", later, "65536", "\"64\""},
    {"listen.limit.body", "\"10MiB\"", later, "10", "\"10s\""},

    {"health.ready", "\"http:/ready\"",
     [](const Spec& s) {
         return s.health.ready && s.health.ready->kind == health::ProbeSpec::Kind::http &&
                s.health.ready->path == "/ready";
     },
     "true", "\"http:ready\"", "", listens},
    {"health.live", "\"exec:pgrep shop\"",
     [](const Spec& s) {
         return s.health.live && s.health.live->kind == health::ProbeSpec::Kind::exec &&
                s.health.live->command == "pgrep shop";
     },
     "true", "\"exec:\"", "", listens},
    {"health.every", "\"2s\"", [](const Spec& s) { return s.health.every == 2s; }, "2", "\"2\""},
    {"health.timeout", "\"200ms\"", [](const Spec& s) { return s.health.timeout == 200ms; }, "0.2",
     "\"2h\""},
    {"health.fall", "3", [](const Spec& s) { return s.health.fall == 3; }, "\"3\"", "0"},
    {"health.rise", "1", [](const Spec& s) { return s.health.rise == 1; }, "\"1\"", "101"},
    {"health.panic", "\"30%\"", later, "0.3", "\"130%\""},
    {"health.eject.errors", "3", later, "\"3\"", "0"},
    {"health.eject.for", "\"30s\"", later, "30", "\"30\""},
    {"health.eject.max", "\"50%\"", later, "50", "\"50\""},

    {"restart.backoff", "\"1s..5m\"",
     [](const Spec& s) { return s.restart.backoff_least == 1s && s.restart.backoff_most == 5min; },
     "1", "\"5m..1s\""},
    {"restart.reset_after", "\"5m\"", [](const Spec& s) { return s.restart.reset_after == 5min; },
     "300", "\"5 minutes\""},
    {"restart.hang_after", "\"10s\"", [](const Spec& s) { return s.restart.hang_after == 10s; },
     "10", "\"1ms\""},
    {"restart.migrate_after", "5", later, "\"5\"", "0"},

    {"retry.tries", "3", later, "\"3\"", "11"},
    {"retry.on", "\"connect, 502-504\"", later, "502", "\"connect, 600\""},
    {"retry.try_timeout", "\"250ms\"", later, "250", "\"250\""},
    {"retry.verify", "\"length, status:200-299, header:ETag\"", later, "true", "\"size\""},
    {"retry.budget", "\"10%\"", later, "10", "\"ten\""},
    {"retry.unsafe", "\"never\"", later, "false", "\"sometimes\""},
    {"retry.hedge", "\"p95\"", later, "95", "\"p09\""},

    {"deploy.strategy", "\"hot\"",
     [](const Spec& s) { return s.deploy.strategy == DeploySpec::Strategy::hot; }, "true",
     "\"warm\"", "", "listen = { http = 8080, sockets = \"inherit\" }\n"},
    {"deploy.watch", "\"2m\"", [](const Spec& s) { return s.deploy.watch == 2min; }, "120",
     "\"120\""},
    {"deploy.rollback", "\"manual\"",
     [](const Spec& s) { return s.deploy.rollback == DeploySpec::Rollback::manual; }, "true",
     "\"never\""},
    {"deploy.drain", "\"5s\"", [](const Spec& s) { return s.deploy.drain == 5s; }, "5", "\"2d\""},

    {"data.path", "\"/var/lib/a\"", later, "1", "\"lib\""},
    {"data.checkpoint", "\"5m\"", later, "300", "\"5\""},
    {"data.keep", "\"48x1h, 7x1d\"", later, "48", "\"48\""},
    {"data.copies", "3", later, "\"3\"", "8"},
    {"scale.target.cpu", "0.7", later, "\"0.7\"", "1.1"},
    {"scale.target.rps", "2000", later, "\"2000\"", "0"},
    {"scale.down_after", "\"10m\"", later, "600", "\"10\""},

    {"alert.to", "[\"https://hooks.example/x\"]",
     [](const Spec& s) {
         return s.alert.to == std::vector<std::string>{"https://hooks.example/x"};
     },
     "\"https://hooks.example/x\"", "[\"hooks.example\"]"},
    {"alert.rto", "\"8s\"", later, "8", "\"8\""},
    {"alert.rpo", "\"30s\"", later, "30", "\"30\""},

    {"job.every", "\"2h\"",
     [](const Spec& s) { return s.job->when == JobSpec::When::every && s.job->every == 2h; }, "2",
     "\"100ms\""},
    {"job.at", "\"03:30\"",
     [](const Spec& s) { return s.job->when == JobSpec::When::at && s.job->at == "03:30"; },
     "03:30:00", "\"24:00\""},
    {"job.once", "true", [](const Spec& s) { return s.job->when == JobSpec::When::once; },
     "\"yes\"", "false"},
    {"job.tries", "3", [](const Spec& s) { return s.job->tries == 3; }, "\"3\"", "0", each_hour},
    {"job.backoff", "\"5s..1m\"",
     [](const Spec& s) { return s.job->backoff_least == 5s && s.job->backoff_most == 1min; }, "5",
     "\"5s\"", each_hour},
    {"job.timeout", "\"10m\"", [](const Spec& s) { return s.job->timeout == 10min; }, "600",
     "\"600\"", each_hour},
    {"job.verify", "\"exec:test -s /x\"",
     [](const Spec& s) { return s.job->verify_command == "test -s /x"; }, "true", "\"test -s /x\"",
     each_hour},
    {"job.overlap", "\"replace\"",
     [](const Spec& s) { return s.job->overlap == JobSpec::Overlap::replace; }, "true", "\"kill\"",
     each_hour},
};

std::string file_with(const Row& row, std::string_view value) {
    auto dot = row.key.rfind('.');
    std::string text;
    if (row.key != "name") text += "name = \"shop\"\n";
    if (row.key != "command") text += "command = [\"/bin/shop\"]\n";
    text += row.before;
    if (dot != std::string_view::npos) text += fmt::format("[{}]\n", row.key.substr(0, dot));
    text += row.beside;
    return text + fmt::format("{} = {}\n", row.key.substr(dot + 1), value);
}

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.key;
}

class EveryKey : public testing::TestWithParam<Row> {};

TEST_P(EveryKey, HasItsEffectOrIsRefusedAsNotAvailable) {
    const auto& row = GetParam();
    auto text = file_with(row, row.value);
    auto spec = parse_spec(text);
    if (row.effect) {
        ASSERT_TRUE(spec) << format_diagnostics(spec.error(), "f") << '\n' << text;
        EXPECT_TRUE(row.effect(*spec));
        return;
    }
    ASSERT_FALSE(spec);
    EXPECT_THAT(format_diagnostics(spec.error(), "f"),
                HasSubstr(fmt::format("\"{}\" is not available yet", row.key)));
}

TEST_P(EveryKey, TakesTheExampleThatItsErrorsShow) {
    const auto& row = GetParam();
    auto spec = parse_spec(file_with(row, find_spec_key(row.key)->example));
    if (row.effect) {
        EXPECT_TRUE(spec) << format_diagnostics(spec.error(), "f");
    } else {
        ASSERT_FALSE(spec);
        EXPECT_THAT(format_diagnostics(spec.error(), "f"), HasSubstr("is not available yet"));
    }
}

TEST_P(EveryKey, NamesAWrongTypeAndAWrongValueAtTheirPlaceWithAnExample) {
    const auto& row = GetParam();
    for (auto value : {row.mistyped, row.misfit}) {
        auto text = file_with(row, value);
        auto spec = parse_spec(text);
        ASSERT_FALSE(spec) << text;
        auto found = std::ranges::find(spec.error(), row.key, &Diagnostic::key);
        ASSERT_NE(found, spec.error().end()) << format_diagnostics(spec.error(), "f");
        EXPECT_EQ(found->line, std::ranges::count(text, '\n'));
        EXPECT_THAT(found->reason, HasSubstr(fmt::format("\"{}\": ", row.key)));
        EXPECT_THAT(found->reason, HasSubstr(find_spec_key(row.key)->example));
        EXPECT_THAT(found->reason, Not(HasSubstr("not available yet; example")));
        EXPECT_EQ(std::ranges::count(spec.error(), row.key, &Diagnostic::key), 1);
    }
}

TEST_P(EveryKey, SaysSoWhenItsDefaultIsWrittenOut) {
    const auto& row = GetParam();
    auto initial = find_spec_key(row.key)->initial;
    if (!row.effect || initial.starts_with('(')) return;
    auto text = file_with(row, initial);
    auto spec = parse_spec(text);
    ASSERT_TRUE(spec) << format_diagnostics(spec.error(), "f");
    auto without = text.substr(0, text.rfind('\n', text.size() - 2) + 1);
    EXPECT_EQ(*spec, parse_spec(without));
}

INSTANTIATE_TEST_SUITE_P(Spec, EveryKey, testing::ValuesIn(rows), [](const auto& tested) {
    std::string name(tested.param.key);
    std::ranges::replace(name, '.', '_');
    return name;
});

TEST(SpecKeys, AreEachTestedReadAndListedOnce) {
    std::set<std::string_view> listed, tested, read;
    for (const auto& key : spec_keys()) EXPECT_TRUE(listed.insert(key.path).second) << key.path;
    for (const auto& row : rows) EXPECT_TRUE(tested.insert(row.key).second) << row.key;
    for (auto rules : {available_rules(), later_rules()})
        for (const auto& rule : rules) EXPECT_TRUE(read.insert(rule.path).second) << rule.path;
    EXPECT_EQ(listed, tested);
    EXPECT_EQ(listed, read);
}

TEST(SpecKeys, AreAvailableExactlyWhereTheyHaveAnEffect) {
    for (const auto& rule : available_rules()) EXPECT_TRUE(find_spec_key(rule.path)->available);
    for (const auto& rule : later_rules()) EXPECT_FALSE(find_spec_key(rule.path)->available);
}

TEST(SpecKeys, MakeTheReferencePage) {
    std::ifstream file(HF_SPEC_REFERENCE);
    std::stringstream page;
    page << file.rdbuf();
    EXPECT_EQ(page.str(), spec_reference())
        << "docs/spec.md is made from spec_keys.cc: build the target spec_reference";
}

}  // namespace
}  // namespace holdfast::service
