#include "service/supervisor_core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace holdfast::service {

SupervisorCore::SupervisorCore(Options options, runtime::Random random)
    : gate_(options.starting_max, options.start_hold_max),
      random_(std::move(random)),
      next_run_(options.first_run) {
    HF_CHECK(options.first_run > 0);
}

ServiceCore& SupervisorCore::service(const std::string& name) {
    return services_.try_emplace(name, name, out_).first->second;
}

const ServiceCore* SupervisorCore::find(runtime::RunId run) const {
    for (const auto& [name, service] : services_) {
        if (service.knows(run)) return &service;
    }
    return nullptr;
}

ServiceCore* SupervisorCore::find(runtime::RunId run) {
    return const_cast<ServiceCore*>(std::as_const(*this).find(run));
}

void SupervisorCore::adopt(Moment moment, std::vector<FoundRun> runs,
                           const std::vector<std::string>& sockets) {
    HF_CHECK(services_.empty());
    // The ended ones first: they came before what lives in the same slot.
    std::ranges::sort(runs, [](const FoundRun& a, const FoundRun& b) {
        bool a_lives = !a.report.exit;
        bool b_lives = !b.report.exit;
        return std::tuple(a_lives, a.report.run) < std::tuple(b_lives, b.report.run);
    });
    for (const auto& found : runs) {
        auto id = instance_of_slot(found.report.slot);
        HF_CHECK(id);
        // Should the coordinator have lost its count.
        next_run_ = std::max(next_run_, found.report.run + 1);
        service(id->service).adopt(moment, id->index, found.report, found.release, random_);
    }
    for (const auto& name : sockets) {
        auto owner = services_.find(name.substr(0, name.find('/')));
        if (owner != services_.end()) {
            owner->second.adopt_socket(name);
        } else {
            stray_sockets_.push_back(name);
        }
    }
}

void SupervisorCore::want(Instant now, const std::string& name, const DesiredService& wanted,
                          std::optional<OutcomeState> known) {
    ServiceCore& core = service(name);
    std::erase_if(stray_sockets_, [&](const std::string& socket) {
        if (socket.substr(0, socket.find('/')) != name) return false;
        core.adopt_socket(socket);
        return true;
    });
    if (!shutting_) core.want(now, wanted, known);
}

void SupervisorCore::unwant(Instant now, const std::string& name) {
    if (auto found = services_.find(name); found != services_.end()) {
        found->second.unwant(now, "deleted");
    }
}

void SupervisorCore::want_only(Instant now, const std::set<std::string>& names) {
    for (auto& [name, service] : services_) {
        if (!names.contains(name)) service.unwant(now, "deleted");
    }
    for (auto& socket : stray_sockets_) out_.put(CloseSocket{std::move(socket)});
    stray_sockets_.clear();
}

void SupervisorCore::start_now(Instant now, std::string_view name) {
    if (auto found = services_.find(name); found != services_.end()) found->second.start_now(now);
}

void SupervisorCore::rollback_refused(Instant now, const std::string& name,
                                      const std::string& why) {
    if (auto found = services_.find(name); found != services_.end()) {
        found->second.rollback_refused(now, why);
    }
}

void SupervisorCore::launched(Instant now, const runtime::RunReport& report) {
    if (auto* service = find(report.run)) service->launched(now, report, random_);
}

void SupervisorCore::launch_failed(Instant now, runtime::RunId run, const Error& error) {
    if (auto* service = find(run)) service->launch_failed(now, run, error, random_);
}

void SupervisorCore::notified(Instant now, runtime::RunId run, const runtime::Notified& notified) {
    if (auto* service = find(run)) service->notified(now, run, notified);
}

void SupervisorCore::probed(Instant now, const ProbeVerdict& verdict) {
    if (auto* service = find(verdict.run)) service->probed(now, verdict);
}

void SupervisorCore::exited(Instant now, runtime::RunId run, const runtime::Exit& exit) {
    if (auto* service = find(run)) service->exited(now, run, exit, random_);
}

std::optional<std::string> SupervisorCore::held_back(const ServiceCore& service) const {
    for (const auto& name : service.after()) {
        auto before = services_.find(name);
        if (before == services_.end()) {
            return fmt::format("waits for {}, which does not exist", name);
        }
        if (auto why = before->second.keeps_waiting()) return why;
    }
    return std::nullopt;
}

bool SupervisorCore::something_after(const ServiceCore& service) const {
    return std::ranges::any_of(services_, [&](const auto& entry) {
        const ServiceCore& other = entry.second;
        return &other != &service && other.live() &&
               std::ranges::find(other.after(), service.name()) != other.after().end();
    });
}

void SupervisorCore::stop_next(Instant now) {
    bool waiting = false;
    bool under_way = false;
    for (auto& [name, service] : services_) {
        if (shut_.contains(name)) {
            under_way = under_way || service.live();
        } else if (something_after(service)) {
            waiting = true;
        } else {
            shut_.insert(name);
            service.shut_down(now);
            under_way = true;
        }
    }
    if (!waiting || under_way) return;
    // They come after each other in a circle: there is no order to keep.
    for (auto& [name, service] : services_) {
        if (shut_.insert(name).second) service.shut_down(now);
    }
}

bool SupervisorCore::grant(Instant now) {
    if (shutting_) return false;
    bool any = false;
    while (auto key = gate_.grant(now)) {
        services_.at(key->service).start(now, key->index, next_run_++);
        any = true;
    }
    return any;
}

std::vector<int> SupervisorCore::readiness() const {
    std::vector<int> signature;
    for (const auto& [name, service] : services_) {
        signature.push_back((service.ready() > 0 ? 2 : 0) + (service.live() ? 1 : 0));
    }
    return signature;
}

std::vector<Action> SupervisorCore::step(Instant now) {
    // Each pass can let services on that waited for another; it ends when nothing moves any more.
    for (std::size_t pass = 0;; ++pass) {
        HF_CHECK(pass < 1000 + services_.size());
        auto before = readiness();
        if (shutting_) stop_next(now);
        for (auto& [name, service] : services_) service.step(now, gate_, held_back(service));
        std::erase_if(services_, [](const auto& entry) { return entry.second.gone(); });
        bool granted = grant(now);
        if (!granted && readiness() == before) break;
    }
    return out_.take();
}

Instant SupervisorCore::next_deadline() const {
    Instant next = shutting_ ? Instant::max() : gate_.next_deadline();
    for (const auto& [name, service] : services_) next = std::min(next, service.next_deadline());
    return next;
}

bool SupervisorCore::idle() const {
    return std::ranges::none_of(services_, [](const auto& entry) { return entry.second.live(); });
}

std::vector<ServiceView> SupervisorCore::services(Moment moment) const {
    std::vector<ServiceView> views;
    for (const auto& [name, service] : services_) views.push_back(service.view(moment));
    return views;
}

std::optional<ServiceView> SupervisorCore::service(Moment moment, std::string_view name) const {
    auto found = services_.find(name);
    if (found == services_.end()) return std::nullopt;
    return found->second.view(moment);
}

}  // namespace holdfast::service
