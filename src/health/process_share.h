// ProcessShare: one keeper, several who start things on it.
//
// Processes has one stream of events and one list of runs, but three rooms of a node use it:
// supervision, probes and jobs. A share gives each of them a Processes of its own, which shows the
// runs in its slots and no others, so that none takes another's run for a stray. The slot decides:
//
//     shop/0          Part::services       (everything not below)
//     shop/0?ready    Part::probes         (a '?' and then not "verify")
//     shop/job        Part::jobs           (ends in "/job", or in "/job?verify")
//
// Sockets belong to Part::services. Not thread-safe: one event loop.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string_view>

#include "runtime/process.h"
#include "runtime/task.h"

namespace holdfast::health {

enum class Part { services, probes, jobs };
Part part_of_slot(std::string_view slot);

class ProcessShare {
  public:
    // `processes` outlives the share, the share its users. A part whose events nobody takes keeps
    // the first 100,000 of them.
    explicit ProcessShare(runtime::Processes& processes);
    ~ProcessShare();
    ProcessShare(const ProcessShare&) = delete;
    ProcessShare& operator=(const ProcessShare&) = delete;

    runtime::Processes& of(Part part);

    // Hands events out, until destroyed. An error (the keeper is away) goes to every part; the
    // keeper is asked again when one of them asks again: so their patience is ours.
    runtime::Task<void> run();

  private:
    class View;
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::health
