#include "health/process_share.h"

#include <deque>
#include <optional>

#include "runtime/clock.h"

namespace holdfast::health {

using runtime::LaunchSpec;
using runtime::ProcessEvent;
using runtime::RunId;
using runtime::RunReport;
using runtime::Task;

namespace {

// Events that a part has not taken yet. A part that stops taking them loses output first.
constexpr std::size_t waiting_max = 100'000;

}  // namespace

Part part_of_slot(std::string_view slot) {
    auto mark = slot.find('?');
    auto base = slot.substr(0, mark);
    if (base.ends_with("/job")) return Part::jobs;
    return mark == std::string_view::npos ? Part::services : Part::probes;
}

class ProcessShare::View final : public runtime::Processes {
  public:
    View(State& state, Part part) : state_(state), part_(part) {}

    Task<Result<RunReport>> launch(LaunchSpec spec) override;
    Task<Result<void>> stop(RunId run, Duration grace, int signal) override;
    Task<Result<void>> kill(RunId run) override;
    Task<Result<void>> forget(RunId run) override;
    Task<Result<std::vector<RunReport>>> list() override;
    Task<Result<std::uint16_t>> open_socket(runtime::SocketSpec spec) override;
    Task<Result<void>> close_socket(std::string name) override;
    Task<Result<std::vector<runtime::SocketSpec>>> sockets() override;
    Task<Result<ProcessEvent>> next_event() override;

    void give(Result<ProcessEvent> event) {
        if (waiting_.size() >= waiting_max) return;
        bool error_waits = !waiting_.empty() && !waiting_.back();
        if (!event && error_waits) return;
        waiting_.push_back(std::move(event));
        given_.wake();
    }

  private:
    State& state_;
    Part part_;
    std::deque<Result<ProcessEvent>> waiting_;
    runtime::Signal given_;
    bool took_error_ = false;  // And has not asked again yet.
};

struct ProcessShare::State {
    explicit State(runtime::Processes& p)
        : processes(p),
          views{View(*this, Part::services), View(*this, Part::probes), View(*this, Part::jobs)} {}

    View& view(Part part) { return views[static_cast<std::size_t>(part)]; }

    runtime::Processes& processes;
    std::array<View, 3> views;
    std::map<RunId, Part> parts;  // Of every run launched or listed, until it is forgotten.
    runtime::Signal asked_again;  // By a part that has taken an error.
};

Task<Result<RunReport>> ProcessShare::View::launch(LaunchSpec spec) {
    HF_CHECK(part_of_slot(spec.slot) == part_);
    auto run = spec.run;
    bool known = !state_.parts.emplace(run, part_).second;
    auto report = co_await state_.processes.launch(std::move(spec));
    if (!report && !known && report.error().code != Errc::unavailable &&
        report.error().code != Errc::in_doubt) {
        state_.parts.erase(run);
    }
    co_return report;
}

Task<Result<void>> ProcessShare::View::stop(RunId run, Duration grace, int signal) {
    return state_.processes.stop(run, grace, signal);
}

Task<Result<void>> ProcessShare::View::kill(RunId run) {
    return state_.processes.kill(run);
}

Task<Result<void>> ProcessShare::View::forget(RunId run) {
    auto outcome = co_await state_.processes.forget(run);
    if (outcome || outcome.error().code == Errc::not_found) state_.parts.erase(run);
    co_return outcome;
}

Task<Result<std::vector<RunReport>>> ProcessShare::View::list() {
    HF_CO_TRY(auto reports, co_await state_.processes.list());
    for (const auto& report : reports) {
        state_.parts.insert_or_assign(report.run, part_of_slot(report.slot));
    }
    std::erase_if(reports, [&](const RunReport& r) { return part_of_slot(r.slot) != part_; });
    co_return reports;
}

Task<Result<std::uint16_t>> ProcessShare::View::open_socket(runtime::SocketSpec spec) {
    return state_.processes.open_socket(std::move(spec));
}

Task<Result<void>> ProcessShare::View::close_socket(std::string name) {
    return state_.processes.close_socket(std::move(name));
}

Task<Result<std::vector<runtime::SocketSpec>>> ProcessShare::View::sockets() {
    return state_.processes.sockets();
}

Task<Result<ProcessEvent>> ProcessShare::View::next_event() {
    if (std::exchange(took_error_, false)) state_.asked_again.wake();
    while (waiting_.empty()) co_await given_.wait();
    auto event = std::move(waiting_.front());
    waiting_.pop_front();
    took_error_ = !event;
    co_return event;
}

ProcessShare::ProcessShare(runtime::Processes& processes)
    : state_(std::make_unique<State>(processes)) {}
ProcessShare::~ProcessShare() = default;

runtime::Processes& ProcessShare::of(Part part) {
    return state_->view(part);
}

Task<void> ProcessShare::run() {
    auto& state = *state_;
    for (;;) {
        auto event = co_await state.processes.next_event();
        if (event) {
            auto run = std::visit([](const auto& e) { return e.run; }, *event);
            auto found = state.parts.find(run);
            // A run nobody has launched or listed yet is one of an earlier node: its owner will
            // list.
            auto part = found == state.parts.end() ? Part::services : found->second;
            state.view(part).give(std::move(event));
            continue;
        }
        // The keeper's ephemeral runs have gone with it.
        std::erase_if(state.parts, [](const auto& p) { return p.second == Part::probes; });
        for (auto& view : state.views) view.give(event);
        co_await state.asked_again.wait();
    }
}

}  // namespace holdfast::health
