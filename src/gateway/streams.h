// The bodies of answers that go on: a rollout's progress, a service's output. Newline-delimited
// JSON.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/message.h"
#include "runtime/clock.h"
#include "service/output_log.h"
#include "service/supervisor.h"

namespace holdfast::gateway {

Response stream_response(std::unique_ptr<BodyStream> stream);

// The plan's warnings first, then the rollout's lines, then its result. The clock outlives it.
class RolloutLines final : public BodyStream {
  public:
    RolloutLines(runtime::Clock& clock, std::string service, service::VersionNumber version,
                 std::vector<std::string> first, std::unique_ptr<service::RolloutFeed> feed);

    runtime::Task<std::optional<std::string>> next() override;

  private:
    runtime::Clock& clock_;
    std::string service_;
    service::VersionNumber version_;
    std::deque<std::string> first_;
    std::unique_ptr<service::RolloutFeed> feed_;
    bool over_ = false;
};

// What was there, then what comes. The feed was opened before the past was read, so that nothing is
// lost between the two; what is in both is shown once.
class OutputLines final : public BodyStream {
  public:
    // `feed` may be null: the past only. `opened` is when the feed was.
    OutputLines(std::vector<service::OutputLine> past, std::unique_ptr<service::OutputFeed> feed,
                WallTime opened);

    runtime::Task<std::optional<std::string>> next() override;

  private:
    bool shown_already(const service::OutputLine& line);

    std::deque<service::OutputLine> past_;
    std::unique_ptr<service::OutputFeed> feed_;
    std::vector<service::OutputLine> overlap_;  // Of the past, what the feed may repeat.
};

}  // namespace holdfast::gateway
