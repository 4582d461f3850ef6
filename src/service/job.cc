#include "service/job.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>

#include "base/units.h"

namespace holdfast::service {

namespace json = boost::json;

namespace {

constexpr int job_format = 1;

constexpr std::array<std::string_view, 7> state_names{"queued", "running", "succeeded", "failed",
                                                      "missed", "skipped", "replaced"};
constexpr std::array<std::string_view, 4> phase_names{"none", "running", "verifying",
                                                      "backing_off"};
constexpr std::array<std::string_view, 3> ending_names{"none", "replaced", "stopped"};

template <class Enum, std::size_t n>
std::optional<Enum> find_name(const std::array<std::string_view, n>& names, std::string_view name) {
    for (std::size_t i = 0; i < n; ++i) {
        if (names[i] == name) return static_cast<Enum>(i);
    }
    return std::nullopt;
}

json::value time_or_null(const std::optional<WallTime>& time) {
    if (!time) return nullptr;
    return time->time_since_epoch().count();
}

// Reads fields of one object; the first that is missing or of the wrong kind makes ok() false.
class Fields {
  public:
    explicit Fields(std::string_view text) {
        boost::system::error_code error;
        auto value = json::parse(text, error);
        ok_ = !error && value.is_object();
        if (ok_) object_ = value.get_object();
        ok_ = ok_ && number<int>("format") == job_format;
    }

    template <class T>
    T number(std::string_view name) {
        if (auto* field = find(name)) {
            boost::system::error_code error;
            auto value = field->to_number<T>(error);
            if (!error) return value;
        }
        ok_ = false;
        return T{};
    }
    template <class T>
    std::optional<T> number_or_null(std::string_view name) {
        auto* field = find(name);
        if (!field || field->is_null()) return std::nullopt;
        return number<T>(name);
    }
    WallTime time(std::string_view name) { return WallTime(Duration(number<std::int64_t>(name))); }
    std::optional<WallTime> time_or_null(std::string_view name) {
        auto count = number_or_null<std::int64_t>(name);
        if (!count) return std::nullopt;
        return WallTime(Duration(*count));
    }
    std::string text(std::string_view name) {
        auto* field = find(name);
        if (field && field->is_string()) return std::string(field->get_string());
        ok_ = false;
        return {};
    }
    bool boolean(std::string_view name) {
        auto* field = find(name);
        if (field && field->is_bool()) return field->get_bool();
        ok_ = false;
        return false;
    }
    template <class Enum, std::size_t n>
    Enum named(std::string_view name, const std::array<std::string_view, n>& names) {
        auto found = find_name<Enum>(names, text(name));
        ok_ = ok_ && found.has_value();
        return found.value_or(Enum{});
    }

    bool ok() const { return ok_; }

  private:
    const json::value* find(std::string_view name) const { return object_.if_contains(name); }

    json::object object_;
    bool ok_ = false;
};

std::unexpected<Error> damaged(std::string_view key) {
    return fail(Errc::corrupt, fmt::format("{} is damaged", key));
}

}  // namespace

std::string_view state_name(RunState state) {
    return state_names[static_cast<std::size_t>(state)];
}

std::string schedule_text(const JobSpec& spec) {
    switch (spec.when) {
        case JobSpec::When::every:
            return "every " + format_duration(spec.every);
        case JobSpec::When::at:
            return "at " + spec.at;
        case JobSpec::When::once:
            return "once";
    }
    return "once";
}

std::string job_memory_key(std::string_view service) {
    return fmt::format("{}{}", job_memories_prefix, service);
}
std::string job_runs_prefix(std::string_view service) {
    return fmt::format("services/runs/{}/", service);
}
std::string job_run_key(std::string_view service, std::uint64_t number) {
    return fmt::format("{}{:012}", job_runs_prefix(service), number);
}

std::string encode(const JobRun& run) {
    return json::serialize(json::object{
        {"format", job_format},
        {"number", run.number},
        {"version", run.version},
        {"due", run.due.time_since_epoch().count()},
        {"times", run.times},
        {"started", time_or_null(run.started)},
        {"ended", time_or_null(run.ended)},
        {"state", state_name(run.state)},
        {"tries", run.tries},
        {"phase", phase_names[static_cast<std::size_t>(run.phase)]},
        {"ending", ending_names[static_cast<std::size_t>(run.ending)]},
        {"run", run.run},
        {"verify", run.verify},
        {"code", run.code ? json::value(*run.code) : json::value(nullptr)},
        {"signal", run.signal ? json::value(*run.signal) : json::value(nullptr)},
        {"reason", run.reason},
        {"output", run.output},
    });
}

Result<JobRun> decode_job_run(std::string_view key, std::string_view text) {
    Fields fields(text);
    JobRun run;
    run.number = fields.number<std::uint64_t>("number");
    run.version = fields.number<VersionNumber>("version");
    run.due = fields.time("due");
    run.times = fields.number<std::uint64_t>("times");
    run.started = fields.time_or_null("started");
    run.ended = fields.time_or_null("ended");
    run.state = fields.named<RunState>("state", state_names);
    run.tries = fields.number<int>("tries");
    run.phase = fields.named<TryPhase>("phase", phase_names);
    run.ending = fields.named<Ending>("ending", ending_names);
    run.run = fields.number<runtime::RunId>("run");
    run.verify = fields.number<runtime::RunId>("verify");
    run.code = fields.number_or_null<int>("code");
    run.signal = fields.number_or_null<int>("signal");
    run.reason = fields.text("reason");
    run.output = fields.text("output");
    if (!fields.ok()) return damaged(key);
    return run;
}

std::string encode(const JobMemory& memory) {
    return json::serialize(json::object{
        {"format", job_format},
        {"last_number", memory.last_number},
        {"decided", time_or_null(memory.decided)},
        {"done", memory.done},
        {"paused", memory.paused},
        {"schedule", memory.schedule},
        {"serial", memory.serial},
    });
}

Result<JobMemory> decode_job_memory(std::string_view key, std::string_view text) {
    Fields fields(text);
    JobMemory memory;
    memory.last_number = fields.number<std::uint64_t>("last_number");
    memory.decided = fields.time_or_null("decided");
    memory.done = fields.number<VersionNumber>("done");
    memory.paused = fields.boolean("paused");
    memory.schedule = fields.text("schedule");
    memory.serial = fields.number<std::uint64_t>("serial");
    if (!fields.ok()) return damaged(key);
    return memory;
}

}  // namespace holdfast::service
