// One encoding for everything the keeper writes: control messages, the table, and what a keeper
// hands to the keeper that replaces it.
//
// A struct names its fields once, in fields(); integers are little-endian of their own width, a
// bool one byte, an enum its underlying integer, times signed nanoseconds, a double its bits,
// strings and vectors are preceded by a u32 count, an optional by one byte. Decoding is total: any
// bytes yield true or false, a count never allocates more than the bytes that are there could fill,
// enums and bools are checked against their range.
#pragma once

#include <bit>
#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "keeper/status.h"
#include "runtime/process.h"

namespace holdfast::keeper {

// The last enumerator of each enum that is encoded.
template <class E>
constexpr E last_of = E{};
template <>
inline constexpr auto last_of<runtime::Lifetime> = runtime::Lifetime::ephemeral;
template <>
inline constexpr auto last_of<runtime::EndedBy> = runtime::EndedBy::unknown;
template <>
inline constexpr auto last_of<NodeState> = NodeState::leaving;

inline auto fields(runtime::SocketSpec& v) {
    return std::tie(v.name, v.address, v.port, v.backlog);
}
inline auto fields(runtime::ResourceLimits& v) {
    return std::tie(v.memory_bytes, v.cpu, v.files, v.core_bytes);
}
inline auto fields(runtime::LaunchSpec& v) {
    return std::tie(v.run, v.slot, v.beside, v.command, v.env, v.directory, v.user, v.limits,
                    v.sockets, v.notify, v.run_for, v.stop_grace, v.watchdog, v.lifetime, v.note);
}
inline auto fields(runtime::Exit& v) {
    return std::tie(v.at, v.by, v.code, v.signal, v.core_dumped);
}
inline auto fields(runtime::Notified& v) {
    return std::tie(v.ready, v.stopping, v.reloading, v.status, v.watchdog, v.watchdog_trigger);
}
inline auto fields(runtime::RunReport& v) {
    return std::tie(v.run, v.slot, v.note, v.pid, v.started, v.lifetime, v.notified, v.stopping,
                    v.exit, v.weakened);
}
inline auto fields(NodeDeath& v) {
    return std::tie(v.at, v.reason);
}
inline auto fields(KeeperStatus& v) {
    return std::tie(v.build_id, v.pid, v.started, v.took_over, v.node_binary, v.node_build_id,
                    v.node_pid, v.node_state, v.node_since, v.node_restarts, v.node_deaths,
                    v.damaged_table, v.weakened, v.sockets, v.runs_live, v.runs_over, v.upgrade);
}
template <class T>
    requires requires(T& v) { v.fields(); }
auto fields(T& v) {
    return v.fields();
}

namespace detail {
template <class T>
constexpr bool is_vector = false;
template <class T>
constexpr bool is_vector<std::vector<T>> = true;
template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;
template <class T>
constexpr bool is_pair = false;
template <class A, class B>
constexpr bool is_pair<std::pair<A, B>> = true;
template <class T>
constexpr bool is_point = false;
template <class C, class D>
constexpr bool is_point<std::chrono::time_point<C, D>> = true;
}  // namespace detail

template <class T>
void put(std::string& out, const T& v) {
    if constexpr (std::is_enum_v<T>) {
        append_le(out, std::to_underlying(v));
    } else if constexpr (std::is_integral_v<T>) {
        append_le(out, v);
    } else if constexpr (std::is_same_v<T, double>) {
        append_le(out, std::bit_cast<std::uint64_t>(v));
    } else if constexpr (std::is_same_v<T, std::string>) {
        append_sized(out, v);
    } else if constexpr (std::is_same_v<T, Duration>) {
        append_le(out, v.count());
    } else if constexpr (detail::is_point<T>) {
        append_le(out, v.time_since_epoch().count());
    } else if constexpr (detail::is_optional<T>) {
        put(out, v.has_value());
        if (v) put(out, *v);
    } else if constexpr (detail::is_vector<T>) {
        append_le(out, static_cast<std::uint32_t>(v.size()));
        for (const auto& each : v) put(out, each);
    } else if constexpr (detail::is_pair<T>) {
        put(out, v.first);
        put(out, v.second);
    } else {
        // fields() names them for reading and writing alike; nothing is changed here.
        std::apply([&](auto&... each) { (put(out, each), ...); }, fields(const_cast<T&>(v)));
    }
}

template <class T>
bool get(ByteReader& in, T& v) {
    if constexpr (std::is_same_v<T, bool>) {
        auto byte = in.le<std::uint8_t>();
        v = byte == 1;
        return in.ok() && byte <= 1;
    } else if constexpr (std::is_enum_v<T>) {
        auto number = in.le<std::underlying_type_t<T>>();
        v = static_cast<T>(number);
        return in.ok() && number >= 0 && number <= std::to_underlying(last_of<T>);
    } else if constexpr (std::is_integral_v<T>) {
        v = in.le<T>();
        return in.ok();
    } else if constexpr (std::is_same_v<T, double>) {
        v = std::bit_cast<double>(in.le<std::uint64_t>());
        return in.ok();
    } else if constexpr (std::is_same_v<T, std::string>) {
        v = in.sized();
        return in.ok();
    } else if constexpr (std::is_same_v<T, Duration>) {
        v = Duration(in.le<Duration::rep>());
        return in.ok();
    } else if constexpr (detail::is_point<T>) {
        v = T(Duration(in.le<Duration::rep>()));
        return in.ok();
    } else if constexpr (detail::is_optional<T>) {
        bool there = false;
        if (!get(in, there)) return false;
        v.reset();
        return !there || get(in, v.emplace());
    } else if constexpr (detail::is_vector<T>) {
        v.clear();
        for (auto count = in.le<std::uint32_t>(); in.ok() && count > 0; --count) {
            if (!get(in, v.emplace_back())) return false;
        }
        return in.ok();
    } else if constexpr (detail::is_pair<T>) {
        return get(in, v.first) && get(in, v.second);
    } else {
        return std::apply([&](auto&... each) { return (get(in, each) && ...); }, fields(v));
    }
}

template <class T>
std::string encoded(const T& value) {
    std::string out;
    put(out, value);
    return out;
}

// The whole of `bytes` as one T.
template <class T>
std::optional<T> decode_all(std::string_view bytes) {
    ByteReader in(bytes);
    T v{};
    if (!get(in, v) || !in.done()) return std::nullopt;
    return v;
}

}  // namespace holdfast::keeper
