// The keeper: the process that owns services, their sockets and the node, and that nothing may
// stop.
//
// Its decisions are in Run, NodeWatch, Ring and the codecs; this is the shell around them. One
// thread, one loop: wait, handle what is ready, do what is due. On the way from a deadline to the
// SIGKILL it allocates nothing and touches no disk. What may block on a disk happens in a forked
// child: starting programs (child.h) and writing the table (record()).
//
// What it has to tell the node is not queued but derived from what it has not told yet, so a node
// that hangs costs no memory, and a new one learns everything.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "keeper/messages.h"
#include "keeper/node_watch.h"
#include "keeper/poller.h"
#include "keeper/table.h"
#include "runtime/process/child.h"
#include "runtime/process/ring.h"

namespace holdfast::keeper {

struct KeeperOptions {
    std::string data_dir;
    std::string node_binary;
    std::vector<std::string> node_args;
    NodeWatch::Options node;
    bool cgroups = true;
    int adopt_node = 0;  // Pid of a node that lives and has started this keeper.
    int resume_fd = -1;  // Memfd of the Table of the keeper this process was before its exec.
    std::vector<std::string> own_flags;  // To be repeated at the exec of an upgrade.
};

class Keeper {
  public:
    // Takes the lock, reads the table, adopts what runs. conflict: another keeper has the
    // directory.
    static Result<std::unique_ptr<Keeper>> start(KeeperOptions options);
    ~Keeper();

    // One turn: waits until something happens or is due, and does it. False when all is shut down.
    bool turn();
    // What is due at `now`: kills, ends of run_for, a silent node. Allocates nothing unless a run
    // ends or a node is started.
    void do_what_is_due(Instant now);

  private:
    struct Child {
        Run run;
        Fd process, out, err, notify, ring, channel;
        char* ring_memory = nullptr;
        std::uint64_t recorded_by = 0;        // Starting: released once this record is written,
        Instant release_by = Instant::max();  // or then, whatever the disk does.
        std::uint64_t asked_by = 0;           // Connection and sequence of the Launch.
        std::uint32_t sequence = 0;
        bool prepared = false;
        std::string failure;  // Why the program never ran; such a run is not reported but its
                              // launch refused.
        bool tell_notified = false, tell_output = false;
    };
    struct Connection {
        Fd fd;
        int pid = 0;
        std::deque<std::pair<std::string, Fd>>
            unsent;  // Nothing is read from a peer until it has taken these.
    };
    struct Node {
        ProcessId id;
        Fd process;
        std::uint64_t connection = 0;
        std::string build_id;
    };
    struct Socket {
        runtime::SocketSpec spec;
        Fd fd;  // None: it died with the last keeper and nobody has offered it yet.
    };
    struct Upgrading {
        enum class Step { preparing, draining, activating, replacing } step = Step::preparing;
        std::string node_binary, keeper_binary;
        std::vector<std::string> node_args;
        Instant deadline;
        std::uint64_t connection = 0;
        std::uint32_t sequence = 0;
    };
    enum class Leaving { no, node_first, everything };

    explicit Keeper(KeeperOptions options);

    // keeper.cc: the loop, the table, signals.
    Result<void> open();
    Result<void> take_lock();
    Instant next_deadline() const;
    void handle(Source source);
    void handle_signals();
    void reap();
    void record();
    void recorded(int status);
    enum class Which { lasting, all };
    Table table(Which which) const;
    void shut_down(bool at_once);
    void stop_everything();

    // adopt.cc: taking over from a keeper that died or that this process was.
    Result<Table> load();
    void adopt(Table before);
    void adopt_run(Child& child, bool same_boot);
    void adopt_strays();
    void inherit(std::vector<Inherited>& inherited);
    void recover(Socket& socket);
    Error become(const Upgrading& next);

    // runs.cc: processes of services.
    void launch(std::uint64_t connection, std::uint32_t sequence, runtime::LaunchSpec spec);
    Result<ChildPlan> plan(const runtime::LaunchSpec& spec);
    void channel_ready(Child& child);
    void release(Child& child);
    void launched(Child& child);
    Result<void> stop(runtime::RunId run, Duration grace, int signal);
    Result<void> forget(runtime::RunId run);
    void ended(Child& child, std::optional<WaitStatus> status);
    void kill_all_of(Child& child);
    std::size_t kill_strays_of(const Run& run);
    void over(Child& child);
    bool read_output(Child& child, runtime::OutputStream stream);
    void read_notifications(Child& child);
    void open_outputs(Child& child);
    void open_notify(Child& child);
    Child* find(runtime::RunId run);

    // nodes.cc: the node, and the upgrade to another.
    void start_the_node();
    void node_ready(Node& node);
    void node_ended(const std::string& how);
    void candidate_ended(const std::string& how);
    void upgrade(std::uint64_t connection, std::uint32_t sequence, const AskUpgrade& ask);
    void upgrade_step(Instant now);
    void activate_candidate();
    void upgrade_failed(const std::string& why);
    void say(std::string_view line);
    void ask(Node& node, Wish wish);
    KeeperStatus status() const;

    // server.cc: connections.
    std::uint64_t connect(Fd fd, int pid);
    void accept_all();
    void read_from(std::uint64_t id);
    void hang_up(std::uint64_t id);
    ListPage list_after(runtime::RunId last) const;
    void act(std::uint64_t id, Message message, Fd passed);
    Result<std::string> act_for_node(const AnyMessage& body, Fd& passed);
    void post(std::uint64_t id, std::string bytes, Fd fd = Fd());
    void send_unsent(std::uint64_t id);
    void answer(std::uint64_t id, std::uint32_t sequence, Result<std::string> outcome,
                Fd fd = Fd());
    void tell_node();
    void tell_all_again();
    Result<std::string> open_socket(const runtime::SocketSpec& spec, Fd& passed);

    KeeperOptions options_;
    std::string mark_;
    std::string oom_score_adj_;
    std::string boot_id_;
    WallTime started_;
    Cgroups cgroups_;
    Poller poller_;
    Fd lock_, signals_, listener_;

    std::map<runtime::RunId, Child> children_;
    std::deque<runtime::RunId> untold_;  // Ended, in that order.
    std::map<std::string, Socket> sockets_;
    std::map<std::uint64_t, Connection> connections_;
    std::uint64_t last_connection_ = 0;

    NodeWatch watch_;
    Node node_, candidate_;
    Fd node_executable_;
    std::optional<Upgrading> upgrading_;
    std::string upgrade_outcome_, took_over_, damaged_table_;
    Leaving leaving_ = Leaving::no;
    bool said_ready_ = false;

    int writer_ = 0;  // Pid of the child that writes the table.
    std::uint64_t record_wanted_ = 0, record_writing_ = 0, record_done_ = 0;
    std::vector<std::string> unlink_;  // FIFOs of forgotten runs.
};

}  // namespace holdfast::keeper
