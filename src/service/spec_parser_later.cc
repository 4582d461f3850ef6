// Keys of the contract whose features do not exist yet: their values are checked all the same, so
// that a file which names one is told the truth about both.

#include <fmt/format.h>

#include "service/spec_parser_rules.h"

namespace holdfast::service {

using namespace std::chrono_literals;

namespace {

constexpr DurationRange some_time{1ms, 24h};
constexpr DurationRange up_to_years{1s, 24h * 3660};
constexpr SizeRange header_size{1 << 10, 1 << 20};
constexpr SizeRange any_size{0, 1ULL << 60};
constexpr SizeRange memory_size{1 << 20, 1ULL << 60};

template <class T>
Problem checked(Read<T> read) {
    if (!read) return std::move(read).error();
    return std::nullopt;
}

Problem refuse(std::string_view what, const TomlValue& value) {
    return expected_instead(what, value).error();
}

bool all_digits(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "404" or "502-504".
bool is_status_range(std::string_view text) {
    auto is_status = [](std::string_view part) {
        return part.size() == 3 && all_digits(part) && part[0] >= '1' && part[0] <= '5';
    };
    auto dash = text.find('-');
    if (dash == std::string_view::npos) return is_status(text);
    auto from = text.substr(0, dash);
    auto to = text.substr(dash + 1);
    return is_status(from) && is_status(to) && from <= to;
}

Problem check_artifact(const TomlValue& value, Draft&) {
    constexpr std::string_view what = "\"obj:BUCKET/KEY#sha256=\" and 64 hexadecimal digits";
    constexpr std::string_view mark = "#sha256=";
    auto text = read_text(value, what);
    if (!text) return text.error();
    auto hash = text->rfind(mark);
    bool valid = text->starts_with("obj:") && hash != std::string::npos && hash > 4;
    if (!valid) return refuse(what, value);
    auto hex = std::string_view(*text).substr(hash + mark.size());
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string_view::npos)
        return refuse(what, value);
    return std::nullopt;
}

Problem check_files(const TomlValue& value, Draft&) {
    constexpr std::string_view what =
        "a table such as { \"shop.conf\" = \"obj:config/shop.conf\" }";
    const auto* table = value.as<TomlValue::Table>();
    if (!table) return refuse(what, value);
    for (const auto& member : *table) {
        const auto* text = member.value.as<std::string>();
        bool valid = text && text->starts_with("obj:") && text->size() > 4 && !member.key.empty() &&
                     !member.key.starts_with('/') && !member.key.contains("..");
        if (!valid) return Refusal{refuse(what, member.value)->reason, member.place};
    }
    return std::nullopt;
}

Problem check_secrets(const TomlValue& value, Draft&) {
    auto pairs = read_env(value);
    if (!pairs) return pairs.error();
    for (const auto& [name, text] : *pairs)
        if (!text.starts_with("secret:") || text.size() == 7)
            return refuse("a table such as { DB_PASSWORD = \"secret:shop/db\" }", value);
    return std::nullopt;
}

Problem check_hash(const TomlValue& value, Draft&) {
    constexpr std::string_view what =
        "\"path\", or \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"";
    auto text = read_text(value, what);
    if (!text) return text.error();
    if (*text == "path") return std::nullopt;
    for (std::string_view kind : {"header:", "cookie:", "query:"})
        if (text->starts_with(kind) && text->size() > kind.size()) return std::nullopt;
    return refuse(what, value);
}

Problem check_body_limit(const TomlValue& value, Draft&) {
    if (is_none(value)) return std::nullopt;
    return checked(read_size(value, any_size));
}

Problem check_retry_on(const TomlValue& value, Draft&) {
    constexpr std::string_view what =
        "a list of connect, reset, refused, timeout and statuses, such as "
        "\"connect, reset, 502-504\"";
    auto text = read_text(value, what);
    if (!text) return text.error();
    for (auto piece : split_list(*text)) {
        bool word =
            piece == "connect" || piece == "reset" || piece == "refused" || piece == "timeout";
        if (!word && !is_status_range(piece)) return refuse(what, value);
    }
    return std::nullopt;
}

Problem check_retry_verify(const TomlValue& value, Draft&) {
    constexpr std::string_view what =
        "a list of length, digest, status:RANGE and header:NAME, such as \"length, "
        "status:200-299\"";
    auto text = read_text(value, what);
    if (!text) return text.error();
    for (auto piece : split_list(*text)) {
        bool valid = piece == "length" || piece == "digest" ||
                     (piece.starts_with("header:") && piece.size() > 7) ||
                     (piece.starts_with("status:") && is_status_range(piece.substr(7)));
        if (!valid) return refuse(what, value);
    }
    return std::nullopt;
}

Problem check_hedge(const TomlValue& value, Draft&) {
    constexpr std::string_view what = "\"off\", or a percentile from \"p50\" to \"p99\"";
    auto text = read_text(value, what);
    if (!text) return text.error();
    if (*text == "off") return std::nullopt;
    bool valid =
        text->size() == 3 && text->front() == 'p' && all_digits(text->substr(1)) && *text >= "p50";
    if (!valid) return refuse(what, value);
    return std::nullopt;
}

// "24x1h, 7x1d": how many, and how far apart.
Problem check_keep(const TomlValue& value, Draft&) {
    constexpr std::string_view what = "a list of counts and periods, such as \"24x1h, 7x1d\"";
    auto text = read_text(value, what);
    if (!text) return text.error();
    for (auto piece : split_list(*text)) {
        auto times = piece.find('x');
        if (times == std::string_view::npos || times > 5 || !all_digits(piece.substr(0, times)))
            return refuse(what, value);
        TomlValue period{std::string(piece.substr(times + 1)), value.place};
        if (auto problem = checked(read_duration(period, up_to_years))) return problem;
    }
    return std::nullopt;
}

template <std::size_t N>
Problem check_word(const TomlValue& value, const std::string_view (&words)[N]) {
    return checked(read_word(value, words));
}

using V = const TomlValue&;

constexpr Rule rules[] = {
    {"reserve.memory", [](V v, Draft&) { return checked(read_size(v, memory_size)); }},
    {"reserve.cpu", [](V v, Draft&) { return checked(read_number(v, {0, 4096})); }},
    {"artifact", check_artifact},
    {"files", check_files},
    {"secrets", check_secrets},
    {"zones", [](V v, Draft&) { return check_word(v, {"spread", "pack"}); }},
    {"listen.policy",
     [](V v, Draft&) {
         return check_word(v, {"round-robin", "least", "p2c", "ewma", "source", "hash", "maglev"});
     }},
    {"listen.hash", check_hash},
    {"listen.domain", [](V v, Draft&) { return checked(read_domain(v)); }},
    {"listen.vip", [](V v, Draft&) { return checked(read_ip_network(v)); }},
    {"listen.tls.cert", [](V v, Draft&) { return checked(read_absolute_path(v)); }},
    {"listen.tls.key", [](V v, Draft&) { return checked(read_absolute_path(v)); }},
    {"listen.direct", [](V v, Draft&) { return checked(read_flag(v)); }},
    {"listen.slow_start", [](V v, Draft&) { return checked(read_duration(v, {0s, 24h})); }},
    {"listen.timeout.connect", [](V v, Draft&) { return checked(read_duration(v, some_time)); }},
    {"listen.timeout.first_byte", [](V v, Draft&) { return checked(read_duration(v, some_time)); }},
    {"listen.timeout.idle", [](V v, Draft&) { return checked(read_duration(v, some_time)); }},
    {"listen.timeout.request_header",
     [](V v, Draft&) { return checked(read_duration(v, some_time)); }},
    {"listen.limit.in_flight", [](V v, Draft&) { return checked(read_integer(v, {1, 1 << 24})); }},
    {"listen.limit.queue", [](V v, Draft&) { return checked(read_integer(v, {0, 1 << 24})); }},
    {"listen.limit.wait", [](V v, Draft&) { return checked(read_duration(v, {0s, 24h})); }},
    {"listen.limit.header", [](V v, Draft&) { return checked(read_size(v, header_size)); }},
    {"listen.limit.body", check_body_limit},
    {"health.panic", [](V v, Draft&) { return checked(read_percent(v)); }},
    {"health.eject.errors", [](V v, Draft&) { return checked(read_integer(v, {1, 10000})); }},
    {"health.eject.for", [](V v, Draft&) { return checked(read_duration(v, some_time)); }},
    {"health.eject.max", [](V v, Draft&) { return checked(read_percent(v)); }},
    {"restart.migrate_after", [](V v, Draft&) { return checked(read_integer(v, {1, 1000})); }},
    {"retry.tries", [](V v, Draft&) { return checked(read_integer(v, {1, 10})); }},
    {"retry.on", check_retry_on},
    {"retry.try_timeout", [](V v, Draft&) { return checked(read_duration(v, some_time)); }},
    {"retry.verify", check_retry_verify},
    {"retry.budget", [](V v, Draft&) { return checked(read_percent(v)); }},
    {"retry.unsafe",
     [](V v, Draft&) { return check_word(v, {"never", "idempotency-key", "always"}); }},
    {"retry.hedge", check_hedge},
    {"data.path", [](V v, Draft&) { return checked(read_absolute_path(v)); }},
    {"data.checkpoint", [](V v, Draft&) { return checked(read_duration(v, up_to_years)); }},
    {"data.keep", check_keep},
    {"data.copies", [](V v, Draft&) { return checked(read_integer(v, {1, 7})); }},
    {"scale.target.cpu", [](V v, Draft&) { return checked(read_number(v, {0, 1})); }},
    {"scale.target.rps", [](V v, Draft&) { return checked(read_number(v, {0, 1e9})); }},
    {"scale.down_after", [](V v, Draft&) { return checked(read_duration(v, up_to_years)); }},
    {"alert.rto", [](V v, Draft&) { return checked(read_duration(v, some_time)); }},
    {"alert.rpo", [](V v, Draft&) { return checked(read_duration(v, some_time)); }},
};

}  // namespace

std::span<const Rule> later_rules() {
    return rules;
}

}  // namespace holdfast::service
