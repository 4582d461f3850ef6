#include "service/instance_action.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>

namespace holdfast::service {

std::string instance_name(const InstanceId& id) {
    return fmt::format("{}.{}", id.service, id.index);
}

std::string instance_slot(const InstanceId& id) {
    return fmt::format("{}/{}", id.service, id.index);
}

std::optional<InstanceId> instance_of_slot(std::string_view slot) {
    auto slash = slot.rfind('/');
    if (slash == std::string_view::npos || slash == 0) return std::nullopt;
    auto digits = slot.substr(slash + 1);
    int index = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error != std::errc{} || end != digits.data() + digits.size() || index < 0) {
        return std::nullopt;
    }
    return InstanceId{std::string(slot.substr(0, slash)), index};
}

bool inherits_socket(const Spec& spec) {
    return spec.listen && spec.listen->sockets == SocketMode::inherit;
}

std::string socket_name(const Spec& spec) {
    // Without a colon: LISTEN_FDNAMES separates names by them.
    auto name = fmt::format("{}/{}/{}", spec.name, spec.listen->address, spec.listen->port);
    std::ranges::replace(name, ':', '_');
    return name;
}

std::string_view role_name(ProbeRole role) {
    return role == ProbeRole::ready ? "ready" : "live";
}

std::string_view cause_name(RestartCause cause) {
    switch (cause) {
        case RestartCause::failure:
            return "failure";
        case RestartCause::hang:
            return "hang";
        case RestartCause::outside:
            return "outside";
    }
    return "unknown";
}

namespace {

std::string signal_name(int signal) {
    const char* abbreviation = sigabbrev_np(signal);
    return abbreviation ? fmt::format("SIG{}", abbreviation) : fmt::format("signal {}", signal);
}

}  // namespace

std::string describe_exit(const runtime::Exit& exit) {
    if (exit.by == runtime::EndedBy::oom) {
        return "killed by the kernel because memory ran out";
    }
    if (exit.code) return fmt::format("exited with code {}", *exit.code);
    if (!exit.signal) return "ended, and nobody saw how";
    auto signal = signal_name(*exit.signal);
    const char* core = exit.core_dumped ? ", core dumped" : "";
    switch (exit.by) {
        case runtime::EndedBy::holdfast:
            return fmt::format("stopped by {}", signal);
        case runtime::EndedBy::outside:
            return fmt::format("killed from outside by {}", signal);
        default:
            return fmt::format("killed by {}{}", signal, core);
    }
}

}  // namespace holdfast::service
