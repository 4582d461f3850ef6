#include "health/alerter.h"

#include <fmt/format.h>

#include <deque>

#include "health/journal.h"

namespace holdfast::health {

using runtime::Batch;
using runtime::Durability;
using runtime::Task;

namespace {

constexpr std::string_view prefix = "a/";
constexpr std::string_view prefix_end = "a0";

std::string store_key(const AlertLineKey& key) {
    return fmt::format("{}{}\n{}", prefix, key.service, key.url);
}

Delivery judge(const Result<http::Response>& answer, std::string& reason) {
    if (!answer) {
        reason = answer.error().message;
        return Delivery::failed;
    }
    int status = answer->status;
    reason = fmt::format("it answered {}", status);
    if (status >= 200 && status < 300) return Delivery::taken;
    bool passing = status == 408 || status == 425 || status == 429;
    return status >= 400 && status < 500 && !passing ? Delivery::refused : Delivery::failed;
}

}  // namespace

struct Alerter::State {
    State(Edges e, AlerterOptions o)
        : edges(std::move(e)), options(std::move(o)), core(options.limits, edges.random.fork()) {}

    void take(Alerting::Step step) {
        for (auto& key : step.changed) dirty.push_back(std::move(key));
        for (auto& note : step.notes)
            edges.journal.record("node", "alert", "", "", std::move(note));
        for (auto& post : step.posts) posts.push_back(std::move(post));
    }

    // From outside of run(), which then has something to do.
    void apply(Alerting::Step step) {
        take(std::move(step));
        changed.wake();
    }

    // What the lines are now, before anything is sent on their account. A store that fails makes
    // alerts less sure across a restart, it does not stop them.
    Task<void> keep_lines() {
        Batch batch;
        for (const auto& key : std::exchange(dirty, {})) {
            auto* line = core.find(key);
            if (line) {
                batch.put(store_key(key), encode_line(key, *line));
            } else {
                batch.erase(store_key(key));
            }
        }
        if (batch.empty()) co_return;
        auto written = co_await edges.store.write(std::move(batch), Durability::buffered);
        if (written.has_value() == store_failing) {
            store_failing = !written;
            if (store_failing) {
                edges.journal.record("node", "alert", "", "",
                                     "alerts cannot be kept: " + written.error().message);
            }
        }
    }

    static Task<void> send(State& state, Alerting::Post post) {
        std::string reason;
        auto delivery = Delivery::refused;
        if (auto url = http::parse_url(post.line.url)) {
            http::Request request{.method = "POST",
                                  .headers = {{"Content-Type", "application/json"}},
                                  .body = alert_json(post.line, post.message, state.options.node,
                                                     state.options.external_url)};
            auto answer = co_await state.edges.client.fetch(
                *url, std::move(request),
                {.limit = state.options.post_limit, .body_bytes_max = 64 * 1024});
            delivery = judge(answer, reason);
        } else {
            reason = url.error().message;
        }
        state.apply(
            state.core.delivered(post.line, delivery, std::move(reason), state.edges.clock.now()));
    }

    Edges edges;
    AlerterOptions options;
    Alerting core;
    std::vector<AlertLineKey> dirty;
    std::deque<Alerting::Post> posts;
    runtime::Signal changed;
    bool store_failing = false;
    runtime::TaskGroup sending;
};

Alerter::Alerter(std::unique_ptr<State> state) : state_(std::move(state)) {}
Alerter::~Alerter() = default;

Result<std::unique_ptr<Alerter>> Alerter::open(Edges edges, AlerterOptions options) {
    auto state = std::make_unique<State>(std::move(edges), std::move(options));
    std::vector<std::pair<AlertLineKey, AlertLine>> lines;
    int damaged = 0;
    auto snapshot = state->edges.store.snapshot();
    HF_TRY_VOID(snapshot->scan(prefix, prefix_end, [&](std::string_view, std::string_view value) {
        if (auto line = decode_line(value)) {
            lines.push_back(*std::move(line));
        } else {
            ++damaged;
        }
        return true;
    }));
    if (damaged > 0) {
        state->edges.journal.record(
            "node", "alert", "", "",
            fmt::format(
                "{} damaged records of alerts were dropped: what they told may be told twice",
                damaged));
    }
    state->core.restore(std::move(lines), state->edges.clock.now());
    return std::unique_ptr<Alerter>(new Alerter(std::move(state)));
}

void Alerter::observed(std::string_view service, const std::vector<std::string>& to,
                       AlarmState state, std::string reason, WallTime at) {
    state_->apply(state_->core.observed(service, to, state, std::move(reason), at,
                                        state_->edges.clock.now()));
}

void Alerter::forget(std::string_view service, std::string reason, WallTime at) {
    state_->apply(state_->core.forget(service, std::move(reason), at, state_->edges.clock.now()));
}

Task<void> Alerter::run() {
    auto& state = *state_;
    for (;;) {
        state.take(state.core.advance(state.edges.clock.now()));
        co_await state.keep_lines();
        while (!state.posts.empty()) {
            auto post = std::move(state.posts.front());
            state.posts.pop_front();
            state.sending.spawn(State::send(state, std::move(post)));
        }
        co_await runtime::race(state.changed.waited(),
                               [](runtime::Clock& clock, Instant at) -> Task<void> {
                                   co_await clock.sleep_until(at);
                               }(state.edges.clock, state.core.next_deadline()));
    }
}

std::size_t Alerter::waiting() const {
    return state_->core.waiting();
}
std::vector<std::string> Alerter::services() const {
    return state_->core.services();
}

}  // namespace holdfast::health
