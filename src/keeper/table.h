// The keeper's table: what the next keeper must know. As a file for one that comes after a death,
// as a memfd for one that this keeper becomes by exec. docs/formats/keeper-table.md is its page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "keeper/run.h"
#include "runtime/process/system.h"

namespace holdfast::keeper {

using namespace runtime::process;

// A descriptor that survives the exec, by its number.
struct Inherited {
    enum class Role : std::uint8_t {
        lock,
        listener,
        node,
        command,
        socket,
        ring,
        out,
        err,
        notify
    };
    Role role = Role::lock;
    std::string name;          // Of a socket.
    std::uint64_t number = 0;  // Of a run, or the sequence an upgrade is to be answered with.
    std::int32_t fd = -1;
    auto fields() { return std::tie(role, name, number, fd); }
    bool operator==(const Inherited&) const = default;
};
template <>
inline constexpr auto last_of<Inherited::Role> = Inherited::Role::notify;

struct Table {
    std::string boot_id;  // Pids and instants mean nothing in another boot.
    ProcessId node;
    ProcessId candidate;  // A node beside the active one, during an upgrade.
    std::string node_build_id;
    std::uint64_t node_restarts = 0;
    std::vector<NodeDeath> node_deaths;
    std::vector<runtime::SocketSpec> sockets;  // With the port they have.
    std::vector<Run> runs;                     // Lasting ones.
    std::vector<Inherited> inherited;          // Empty in the file.
    std::string upgrade;                       // As in KeeperStatus.
    auto fields() {
        return std::tie(boot_id, node, candidate, node_build_id, node_restarts, node_deaths,
                        sockets, runs, inherited, upgrade);
    }
};

std::string encode_table(const Table& table);
// Errc::corrupt says what is wrong with it; total on any bytes.
Result<Table> decode_table(std::string_view bytes);

}  // namespace holdfast::keeper
