#include "service/output_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/log.h"
#include "base/units.h"
#include "service/output_file.h"

namespace holdfast::service {

using runtime::Task;

namespace {
constexpr std::size_t feed_lines_max = 2000;

struct Waiting {
    OutputLine line;
    std::size_t bytes() const { return line.text.size() + 32; }
};

struct Partial {
    WallTime at;
    Instant due;
    std::string text;
};

using PartialKey = std::pair<runtime::RunId, runtime::OutputStream>;

struct Channel {
    std::map<PartialKey, Partial> partials;
    std::deque<Waiting> queue;
    std::size_t queued_bytes = 0;
    std::uint64_t dropped = 0;  // Since it was last said.
};

std::string stream_name(runtime::OutputStream stream) {
    return stream == runtime::OutputStream::out ? "out" : "err";
}

}  // namespace

struct OutputLog::State {
    using ChannelKey = std::pair<std::string, int>;

    State(runtime::Disk& d, runtime::Clock& c, OutputLogOptions o)
        : disk(d), clock(c), options(std::move(o)), timer(c.timers(), [this] { signal.wake(); }) {}

    class Feed;
    struct Request {
        enum class Kind { read, flush, remove };
        Kind kind = Kind::flush;
        std::string service;
        OutputQuery query;
        runtime::Completion<Result<std::vector<OutputLine>>> done;
    };

    void put(const ChannelKey& key, OutputLine line);
    void take(const ChannelKey& key, const runtime::RunOutput& output);
    void finish(const ChannelKey& key, Channel& channel, PartialKey of);
    void finish_due();
    Task<void> write_all();
    Task<void> write(ChannelKey key, Channel& channel);
    Task<Result<std::vector<OutputLine>>> answer(Request& request);
    Task<Result<std::vector<OutputLine>>> ask(Request request);
    Task<void> run();
    void wake_soon() { timer.arm(clock.now()); }

    runtime::Disk& disk;
    runtime::Clock& clock;
    OutputLogOptions options;
    std::map<ChannelKey, Channel> channels;
    std::deque<Request> requests;
    std::set<Feed*> feeds;
    std::uint64_t dropped_total = 0;
    bool write_failed = false;
    runtime::Signal signal;
    runtime::Timer timer;  // Wakes the writer: at once for work, later for unfinished lines.
};

class OutputLog::State::Feed final : public OutputFeed {
  public:
    Feed(State& state, std::string service, std::optional<int> instance)
        : state_(&state),
          service_(std::move(service)),
          instance_(instance),
          timer_(state.clock.timers(), [this] { signal_.wake(); }) {
        state_->feeds.insert(this);
    }
    ~Feed() override {
        if (state_) state_->feeds.erase(this);
    }

    Task<OutputLine> next() override {
        while (lines_.empty()) co_await signal_.wait();
        auto line = std::move(lines_.front());
        lines_.pop_front();
        if (lost_ > 0) {
            auto lost =
                fmt::format("{} lines were lost: the reader was too slow", std::exchange(lost_, 0));
            lines_.push_front(std::move(line));
            co_return OutputLine{lines_.front().at, "log", std::move(lost),
                                 lines_.front().instance};
        }
        co_return line;
    }

    void put(const std::string& service, const OutputLine& line) {
        if (service != service_ || (instance_ && *instance_ != line.instance)) return;
        lines_.push_back(line);
        if (lines_.size() > feed_lines_max) {
            lines_.pop_front();
            ++lost_;
        }
        timer_.arm(state_->clock.now());
    }
    void leave() { state_ = nullptr; }

  private:
    State* state_;
    std::string service_;
    std::optional<int> instance_;
    std::deque<OutputLine> lines_;
    std::size_t lost_ = 0;
    runtime::Signal signal_;
    runtime::Timer timer_;
};

void OutputLog::State::put(const ChannelKey& key, OutputLine line) {
    line.instance = key.second;
    for (auto* feed : feeds) feed->put(key.first, line);
    Channel& channel = channels[key];
    channel.queue.push_back({std::move(line)});
    channel.queued_bytes += channel.queue.back().bytes();
    while (channel.queued_bytes > options.queue_bytes_max && channel.queue.size() > 1) {
        auto bytes = channel.queue.front().line.text.size() + 1;
        channel.queued_bytes -= channel.queue.front().bytes();
        channel.queue.pop_front();
        channel.dropped += bytes;
        dropped_total += bytes;
    }
    wake_soon();
}

void OutputLog::State::finish(const ChannelKey& key, Channel& channel, PartialKey of) {
    auto node = channel.partials.extract(of);
    if (node.empty() || node.mapped().text.empty()) return;
    auto& text = node.mapped().text;
    if (text.ends_with('\r')) text.pop_back();
    put(key, {node.mapped().at, stream_name(of.second), std::move(text), key.second});
}

void OutputLog::State::take(const ChannelKey& key, const runtime::RunOutput& output) {
    Channel& channel = channels[key];
    PartialKey of{output.run, output.stream};
    if (output.lost_before > 0) {
        finish(key, channel, of);
        put(key, {output.at, "log",
                  fmt::format("{} bytes of output were lost: nobody took them in time",
                              output.lost_before),
                  key.second});
    }
    std::string_view rest = output.bytes;
    while (!rest.empty()) {
        auto [partial, fresh] = channel.partials.try_emplace(of);
        if (fresh) {
            partial->second = {output.at, clock.now() + options.partial_wait, {}};
        }
        auto& text = partial->second.text;
        auto room = options.line_bytes_max - text.size();
        auto piece = rest.substr(0, std::min(rest.find('\n'), room));
        text += piece;
        rest.remove_prefix(piece.size());
        bool ends = !rest.empty() && rest.front() == '\n';
        if (ends) rest.remove_prefix(1);
        if (ends && text.empty()) {
            channel.partials.erase(partial);
            put(key, {output.at, stream_name(output.stream), {}, key.second});
        } else if (ends || text.size() >= options.line_bytes_max) {
            finish(key, channel, of);
        }
    }
    wake_soon();
}

// Writes down what has been unfinished for too long, and arms the timer for what has not.
void OutputLog::State::finish_due() {
    Instant now = clock.now();
    Instant next = Instant::max();
    for (auto& [key, channel] : channels) {
        std::vector<PartialKey> due;
        for (const auto& [of, partial] : channel.partials) {
            if (partial.due <= now) {
                due.push_back(of);
            } else {
                next = std::min(next, partial.due);
            }
        }
        for (const auto& of : due) finish(key, channel, of);
    }
    if (next != Instant::max()) timer.arm(next);
}

Task<void> OutputLog::State::write(ChannelKey key, Channel& channel) {
    std::string text;
    if (channel.dropped > 0) {
        OutputLine lost{clock.wall_now(), "log",
                        fmt::format("{} bytes of output were dropped: the disk did not follow",
                                    std::exchange(channel.dropped, 0)),
                        key.second};
        text += format_output_line(lost);
    }
    std::uint64_t bytes = 0;
    while (!channel.queue.empty()) {
        const auto& line = channel.queue.front().line;
        text += format_output_line(line);
        bytes += line.text.size() + 1;
        channel.queue.pop_front();
    }
    channel.queued_bytes = 0;
    OutputFile file{disk, options.directory + "/" + key.first, fmt::format("{}.log", key.second),
                    options.file_bytes_max, options.files_max};
    auto written = co_await append(std::move(file), std::move(text));
    if (written) {
        write_failed = false;
        co_return;
    }
    channels[key].dropped += bytes;
    dropped_total += bytes;
    if (!std::exchange(write_failed, true)) {
        log_error("output of {}.{} cannot be written, and is dropped until it can: {}", key.first,
                  key.second, written.error().message);
    }
}

Task<void> OutputLog::State::write_all() {
    std::vector<ChannelKey> keys;
    for (const auto& [key, channel] : channels) {
        if (!channel.queue.empty()) keys.push_back(key);
    }
    for (auto& key : keys) {
        auto channel = channels.find(key);
        if (channel != channels.end()) co_await write(key, channel->second);
    }
    std::erase_if(channels, [](const auto& entry) {
        const Channel& channel = entry.second;
        return channel.queue.empty() && channel.partials.empty() && channel.dropped == 0;
    });
}

Task<Result<std::vector<OutputLine>>> OutputLog::State::answer(Request& request) {
    auto directory = options.directory + "/" + request.service;
    if (request.kind == Request::Kind::read) {
        co_return co_await read_output(disk, std::move(directory), request.query);
    }
    if (request.kind == Request::Kind::remove) {
        auto names = co_await disk.list(directory);
        if (!names) co_return std::vector<OutputLine>();
        for (const auto& name : *names) {
            HF_CO_TRY_VOID(co_await disk.remove(directory + "/" + name));
        }
        HF_CO_TRY_VOID(co_await disk.remove(directory));
    }
    co_return std::vector<OutputLine>();
}

Task<Result<std::vector<OutputLine>>> OutputLog::State::ask(Request request) {
    auto done = request.done;
    requests.push_back(std::move(request));
    wake_soon();
    co_return co_await done.wait();
}

// Writing, rotating and reading one after the other, so that none sees another half done.
Task<void> OutputLog::State::run() {
    for (;;) {
        finish_due();
        co_await write_all();
        while (!requests.empty()) {
            // What was taken before it was asked must be in the files.
            co_await write_all();
            auto request = std::move(requests.front());
            requests.pop_front();
            request.done.complete(co_await answer(request));
        }
        bool more = std::ranges::any_of(
            channels, [](const auto& entry) { return !entry.second.queue.empty(); });
        if (!more && requests.empty()) co_await signal.wait();
    }
}

OutputLog::OutputLog(runtime::Disk& disk, runtime::Clock& clock, OutputLogOptions options)
    : state_(std::make_unique<State>(disk, clock, std::move(options))) {}

OutputLog::~OutputLog() {
    for (auto* feed : state_->feeds) feed->leave();
}

Task<void> OutputLog::run() {
    co_await state_->run();
}

void OutputLog::take(const std::string& service, int instance, const runtime::RunOutput& output) {
    state_->take({service, instance}, output);
}

void OutputLog::say(const std::string& service, int instance, WallTime at, std::string text) {
    std::ranges::replace(text, '\n', ' ');
    state_->put({service, instance}, {at, "log", std::move(text), instance});
}

void OutputLog::end_run(const std::string& service, int instance) {
    auto channel = state_->channels.find({service, instance});
    if (channel == state_->channels.end()) return;
    std::vector<PartialKey> all;
    for (const auto& [of, partial] : channel->second.partials) all.push_back(of);
    for (const auto& of : all) state_->finish(channel->first, channel->second, of);
}

Task<Result<std::vector<OutputLine>>> OutputLog::read(std::string service, OutputQuery query) {
    State::Request request;
    request.kind = State::Request::Kind::read;
    request.service = std::move(service);
    request.query = query;
    co_return co_await state_->ask(std::move(request));
}

std::unique_ptr<OutputFeed> OutputLog::follow(std::string service, std::optional<int> instance) {
    return std::make_unique<State::Feed>(*state_, std::move(service), instance);
}

Task<void> OutputLog::flush() {
    auto flushed = co_await state_->ask({});
    static_cast<void>(flushed);
}

Task<Result<void>> OutputLog::remove(std::string service) {
    State::Request request;
    request.kind = State::Request::Kind::remove;
    request.service = std::move(service);
    HF_CO_TRY_VOID(co_await state_->ask(std::move(request)));
    co_return Result<void>();
}

std::uint64_t OutputLog::dropped_bytes() const {
    return state_->dropped_total;
}

}  // namespace holdfast::service
