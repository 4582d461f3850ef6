#include "service/spec_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace holdfast::service {

namespace {

constexpr bool now = true;
constexpr bool later = false;

constexpr SpecKey keys[] = {
    {"name", "name", "(required)", "\"shop\"", now,
     "Lower-case letters, digits and inner hyphens, at most 63; what every other command calls "
     "it."},
    {"command", "array of texts", "(required)", "[\"/opt/shop/bin/shop\", \"--port\", \"${PORT}\"]",
     now, "The program (a path, relative to `directory`, or a name in PATH) and its arguments."},
    {"instances", "whole number, 1 to 1000, or a range", "1", "3", now,
     "How many run at once. A range (\"2..10\") is not available yet."},
    {"env", "table of texts", "{}", "{ LOG = \"info\" }", now,
     "Environment, beside what Holdfast sets. Values may name the instance's variables."},
    {"user", "name of a user", "(as Holdfast runs)", "\"nobody\"", now,
     "Dropped to before the program starts."},
    {"directory", "absolute path", "\"/\"", "\"/opt/shop\"", now, "Working directory."},
    {"after", "array of names", "[]", "[\"db\"]", now,
     "Services that must be ready, and jobs that must have succeeded, before it starts."},
    {"artifact", "text", "(none)",
     "\"obj:releases/shop-1.2.tar.zst#sha256="
     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
     later, "An archive that is unpacked for each version; `command` is relative to it."},
    {"files", "table of texts", "{}", "{ \"shop.conf\" = \"obj:config/shop.conf\" }", later,
     "Files put beside the artifact."},
    {"secrets", "table of texts", "{}", "{ DB_PASSWORD = \"secret:shop/db\" }", later,
     "Environment from secrets; never printed."},
    {"zones", "spread | pack", "\"spread\"", "\"pack\"", later,
     "Whether instances keep apart or together."},

    {"limits.memory", "size, from 1MiB, or \"none\"", "\"none\"", "\"512MiB\"", now,
     "What all processes of an instance may use together."},
    {"limits.cpu", "number of cores, or \"none\"", "\"none\"", "1.5", now, "CPU time per second."},
    {"limits.files", "whole number, from 16, or \"none\"", "\"none\"", "65536", now,
     "Open files of a process."},
    {"limits.core", "size, or \"none\"", "\"none\"", "\"0\"", now,
     "Core dumps: \"0\" for none at all; \"none\" leaves the system's limit."},
    {"reserve.memory", "size, from 1MiB", "(none)", "\"256MiB\"", later,
     "What the planner counts."},
    {"reserve.cpu", "number of cores", "(none)", "0.2", later, "What the planner counts."},

    {"listen.http", "port, 1 to 65535", "(none)", "8080", now,
     "The port of a service that speaks HTTP."},
    {"listen.tcp", "port, 1 to 65535", "(none)", "5432", now,
     "The port of a service that speaks something else over TCP."},
    {"listen.address", "IP address", "\"127.0.0.1\"", "\"0.0.0.0\"", now,
     "Where the port is opened."},
    {"listen.sockets", "own | inherit | proxy", "\"own\"", "\"inherit\"", now,
     "Who opens the port: the one instance itself, at PORT; or the keeper, and instances accept on "
     "its socket (LISTEN_FDS). \"proxy\" is not available yet, and will be the default."},
    {"listen.policy", "round-robin | least | p2c | ewma | source | hash | maglev", "\"p2c\"",
     "\"least\"", later, "Which instance gets a request."},
    {"listen.hash", "path | header:NAME | cookie:NAME | query:NAME", "(none)", "\"cookie:sid\"",
     later, "What the policies hash and maglev go by."},
    {"listen.domain", "domain name", "(none)", "\"shop.example.com\"", later,
     "Several services may share a port by Host."},
    {"listen.vip", "IP address with prefix", "(none)", "\"10.0.0.50/24\"", later,
     "Floating address."},
    {"listen.tls.cert", "absolute path", "(none)", "\"/etc/ssl/shop.pem\"", later, "Certificate."},
    {"listen.tls.key", "absolute path", "(none)", "\"/etc/ssl/shop.key\"", later, "Its key."},
    {"listen.direct", "true | false", "false", "true", later,
     "Whether other machines dial instances in clear, without the peer link."},
    {"listen.slow_start", "duration, to 1d", "\"10s\"", "\"30s\"", later,
     "How long a new instance's share grows."},
    {"listen.timeout.connect", "duration, 1ms to 1d", "\"500ms\"", "\"1s\"", later,
     "Of a connection to an instance."},
    {"listen.timeout.first_byte", "duration, 1ms to 1d", "\"30s\"", "\"1m\"", later,
     "From request to the answer's first byte."},
    {"listen.timeout.idle", "duration, 1ms to 1d", "\"60s\"", "\"5m\"", later,
     "Of a connection without traffic."},
    {"listen.timeout.request_header", "duration, 1ms to 1d", "\"10s\"", "\"5s\"", later,
     "Until a client's request header is complete."},
    {"listen.limit.in_flight", "whole number", "1024", "256", later, "Requests at once."},
    {"listen.limit.queue", "whole number", "1000", "100", later, "Requests that wait."},
    {"listen.limit.wait", "duration, to 1d", "\"5s\"", "\"1s\"", later, "How long they wait."},
    {"listen.limit.header", "size, 1KiB to 1MiB", "\"32KiB\"", "\"64KiB\"", later,
     "Of a request's header."},
    {"listen.limit.body", "size, or \"none\"", "\"none\"", "\"10MiB\"", later,
     "Of a request's body."},

    {"health.ready", "auto | tcp | http:PATH | exec:COMMAND | grpc", "\"auto\"", "\"http:/ready\"",
     now,
     "May it be used? \"auto\": READY=1 where the service notifies, else a TCP connection to its "
     "port, else alive for 1s."},
    {"health.live", "none | tcp | http:PATH | exec:COMMAND | grpc", "\"none\"", "\"http:/live\"",
     now, "Is it stuck? Restarted when it fails."},
    {"health.every", "duration, 10ms to 1h", "\"1s\"", "\"500ms\"", now, "Between probes."},
    {"health.timeout", "duration, 10ms to 1h", "(the lesser of 1s and `every`)", "\"200ms\"", now,
     "Of one probe; at most `every`."},
    {"health.fall", "whole number, 1 to 100", "2", "3", now, "Failures in a row until unready."},
    {"health.rise", "whole number, 1 to 100", "2", "1", now, "Successes in a row until ready."},
    {"health.panic", "percentage", "\"50%\"", "\"30%\"", later,
     "Share of ready instances below which traffic goes to all."},
    {"health.eject.errors", "whole number", "5", "3", later,
     "Failed requests in a row until an instance is left out."},
    {"health.eject.for", "duration, 1ms to 1d", "\"10s\"", "\"30s\"", later, "For how long."},
    {"health.eject.max", "percentage", "\"33%\"", "\"50%\"", later, "Share of instances at most."},

    {"restart.backoff", "two durations, 1ms to 1d", "\"100ms..30s\"", "\"1s..5m\"", now,
     "Pause after failed starts and self-inflicted exits, with full jitter."},
    {"restart.reset_after", "duration, 100ms to 1d", "\"60s\"", "\"5m\"", now,
     "Healthy time after which the pause is short again."},
    {"restart.hang_after", "duration, 100ms to 1d", "\"3s\"", "\"10s\"", now,
     "Live probe failing, or watchdog silent, this long: restart."},
    {"restart.migrate_after", "whole number, 1 to 1000", "3", "5", later,
     "Failures on one machine until another is tried."},

    {"retry.tries", "whole number, 1 to 10", "2", "3", later,
     "Tries of a request, the first included."},
    {"retry.on", "list", "\"connect, reset, refused, 502-504\"", "\"connect, refused\"", later,
     "What is tried again."},
    {"retry.try_timeout", "duration, 1ms to 1d", "\"1s\"", "\"250ms\"", later, "Of one try."},
    {"retry.verify", "list", "\"length\"", "\"length, status:200-299\"", later,
     "Checks of an answer; a failed check is a failed try."},
    {"retry.budget", "percentage", "\"20%\"", "\"10%\"", later,
     "Share of requests that are retries."},
    {"retry.unsafe", "never | idempotency-key | always", "\"idempotency-key\"", "\"never\"", later,
     "Whether requests that change something are tried again."},
    {"retry.hedge", "off | p50 to p99", "\"off\"", "\"p95\"", later,
     "When a second copy of a read is sent."},

    {"deploy.strategy", "hot | recreate | rolling | canary:N%",
     "(hot with inherited sockets, else recreate)", "\"recreate\"", now,
     "hot: the new instance is ready on the same socket before the old one stops; needs sockets = "
     "\"inherit\". rolling and canary are not available yet."},
    {"deploy.watch", "duration, to 1d", "\"30s\"", "\"2m\"", now,
     "How long a new version must hold before it counts as good."},
    {"deploy.rollback", "auto | manual | auto+data", "\"auto\"", "\"manual\"", now,
     "What happens to a version that fails. auto+data is not available yet."},
    {"deploy.drain", "duration, to 1d", "\"30s\"", "\"5s\"", now, "Between SIGTERM and SIGKILL."},

    {"data.path", "absolute path", "(none)", "\"/var/lib/shop\"", later,
     "A directory with one writer, which follows the service."},
    {"data.checkpoint", "duration, from 1s", "\"30s\"", "\"5m\"", later, "Between checkpoints."},
    {"data.keep", "list", "\"24x1h, 7x1d\"", "\"48x1h\"", later, "Which checkpoints are kept."},
    {"data.copies", "whole number, 1 to 7", "2", "3", later, "Machines that hold it."},

    {"scale.target.cpu", "number, to 1", "0.6", "0.7", later, "Load per instance to aim at."},
    {"scale.target.rps", "number", "(none)", "2000", later, "Requests per second to aim at."},
    {"scale.down_after", "duration, from 1s", "\"5m\"", "\"10m\"", later,
     "Low load for this long takes an instance away."},

    {"alert.to", "array of URLs", "[]", "[\"https://hooks.example/x\"]", now,
     "Webhooks told of each change of state, in Alertmanager's format."},
    {"alert.rto", "duration, 1ms to 1d", "(none)", "\"8s\"", later,
     "Time to recover; longer alerts."},
    {"alert.rpo", "duration, 1ms to 1d", "(none)", "\"30s\"", later, "Data at risk; more alerts."},

    {"job.every", "duration, 1s to 366d", "(one of every, at, once)", "\"1h\"", now,
     "A job instead of a server: run at this interval."},
    {"job.at", "time of day in UTC", "(one of every, at, once)", "\"03:30\"", now,
     "Run once a day."},
    {"job.once", "true", "(one of every, at, once)", "true", now, "Run once per version."},
    {"job.tries", "whole number, 1 to 100", "1", "3", now, "Tries of a run, the first included."},
    {"job.backoff", "two durations, 1ms to 1d", "\"1s..1m\"", "\"5s..1m\"", now,
     "Pause between tries, with full jitter."},
    {"job.timeout", "duration, 100ms to 1d, or \"none\"", "\"none\"", "\"10m\"", now,
     "Of one try."},
    {"job.verify", "exec:COMMAND, or \"none\"", "\"none\"", "\"exec:test -s /var/backup/db.gz\"",
     now, "A run counts only when this exits with 0."},
    {"job.overlap", "skip | queue | replace", "\"skip\"", "\"queue\"", now,
     "When a run is due and the one before has not ended."},
};

std::string_view table_of(std::string_view path) {
    auto dot = path.find('.');
    return dot == std::string_view::npos ? "" : path.substr(0, dot);
}

std::string in_table(std::string_view text) {
    std::string escaped;
    for (char c : text) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
    return escaped;
}

constexpr std::string_view introduction = R"(# The file of a service

One TOML file declares one service; three lines are enough:

```toml
name    = "shop"
command = ["/opt/shop/bin/shop", "--port", "${PORT}"]
listen  = { http = 8080 }
```

Every key, with its type and range, its default and an example. A key marked *not yet* belongs to the
format, its value is checked, and then the file is refused: nothing is accepted and ignored. An unknown
key is refused with the nearest known one. Durations ("250ms", "1m30s", "7d") and sizes ("512MiB",
"1.5GB") are texts with units. `holdfast spec SERVICE --effective` prints a service's file with every
default filled in.

`${NAME}` in an argument of `command` or in a value of `env` is replaced: by `PORT` (with `listen`),
`HOLDFAST_SERVICE`, `HOLDFAST_INSTANCE`, `HOLDFAST_NODE`, `HOLDFAST_EPOCH`, and in `command` also by the
names in `env`. Nothing else is special; a literal `${` is written `$${`. The program itself,
`command[0]`, is taken as it is.

A `[job]` runs instead of a server: it has no `listen`, `health` or `restart`, one instance, and
of `deploy` only `drain`.

A file is at most 128 KiB long.
)";

}  // namespace

std::span<const SpecKey> spec_keys() {
    return keys;
}

const SpecKey* find_spec_key(std::string_view path) {
    const auto* key = std::ranges::find(keys, path, &SpecKey::path);
    return key == std::end(keys) ? nullptr : key;
}

std::string spec_reference() {
    std::string page(introduction);
    std::string_view table = "(none)";
    for (const auto& key : keys) {
        if (table_of(key.path) != table) {
            table = table_of(key.path);
            page += table.empty() ? "\n## Top level\n" : fmt::format("\n## [{}]\n", table);
            page +=
                "\n| key | type | default | example | what it does |\n"
                "| --- | --- | --- | --- | --- |\n";
        }
        page += fmt::format("| `{}` | {} | {} | `{}` | {}{} |\n", key.path, in_table(key.type),
                            key.initial.starts_with('(') ? std::string(key.initial)
                                                         : fmt::format("`{}`", key.initial),
                            key.example, key.available ? "" : "*Not yet.* ", in_table(key.about));
    }
    return page;
}

}  // namespace holdfast::service
