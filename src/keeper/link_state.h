// Inside of KeeperLink, shared by its two files: the connection (link.cc) and the calls
// (link_calls.cc).
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <variant>

#include "base/log.h"
#include "keeper/link.h"
#include "keeper/messages.h"
#include "runtime/completion.h"
#include "runtime/process/ring.h"
#include "runtime/process/system.h"
#include "runtime/real/loop.h"

namespace holdfast::keeper {

using namespace runtime::process;

struct KeeperLink::State {
    State(runtime::EventLoop& loop_in, Options options_in);
    ~State();

    struct Answer {
        std::string payload;
        std::shared_ptr<Fd>
            fd;  // Shared: Answers are copied through Completions, a descriptor is not.
    };
    struct Pending {
        std::string bytes;  // To be sent again to the next keeper.
        runtime::RunId launched = 0;
        bool repeated = true;  // By the next keeper; not what belongs to a greeting.
        runtime::Completion<Result<Answer>> answer;
    };
    struct Output {
        std::shared_ptr<Fd> fd;
        char* memory = nullptr;
        bool waits = false;  // It has a place in `events`.
        bool asked = false;  // For the ring, which is to come.
    };
    struct Socket {
        runtime::SocketSpec spec;
        std::shared_ptr<Fd> fd;
    };
    // A run alone: its output waits.
    using Event = std::variant<runtime::RunExited, runtime::RunNotified, runtime::RunId>;

    void flush();
    runtime::Task<void> flush_when_writable();
    void post(std::string bytes, int passed = -1);
    enum class Repeat { yes, no };
    runtime::Task<Result<Answer>> call(AnyMessage body, Repeat repeat = Repeat::yes);
    runtime::Task<Result<void>> call_plain(AnyMessage body);
    void receive_all();
    void heard(Message& message);
    void tell_notified(runtime::RunNotified event);
    void output_waits(runtime::RunId run);
    void lost();
    runtime::Task<void> beat();
    runtime::Task<void> connect();
    void start_keeper();
    runtime::Task<void> greet();
    runtime::Task<void> announce_change();
    runtime::Task<void> ask_again(std::uint32_t sequence);
    runtime::Task<void> mirror_sockets();
    runtime::Task<void> map_output(runtime::RunId run);
    std::optional<runtime::RunOutput> read_output(runtime::RunId run);

    runtime::EventLoop& loop;
    Options options;
    Fd fd;
    bool greeted = false;    // The keeper knows us: calls may be sent.
    bool lost_once = false;  // A keeper has gone since the last greeting.
    bool said_ready = false;
    bool activated = false;
    int started_keeper = 0;
    std::function<void(std::string)> changed;

    std::deque<std::pair<std::string, int>> unsent;
    bool waiting_to_send = false;
    std::uint32_t last_sequence = 0;
    std::map<std::uint32_t, Pending> pending_calls;

    std::deque<Event> events;
    std::set<runtime::RunId> reported;  // Whose exits have been in `events`.
    runtime::Signal happened;
    std::deque<NodeRequest> requests;
    runtime::Signal requested;
    std::map<runtime::RunId, Output> outputs;
    std::map<std::string, Socket> sockets;

    // Last: their tasks use what is above. `sending` ends with its connection.
    runtime::TaskGroup sending;
    runtime::TaskGroup work;
};

}  // namespace holdfast::keeper
