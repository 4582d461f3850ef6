#include "cli/node.h"

#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "access/local_token.h"
#include "access/local_token_server.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/units.h"
#include "cli/version.h"
#include "coord/embedded.h"
#include "coord/settings.h"
#include "gateway/api.h"
#include "gateway/live_operations.h"
#include "gateway/server.h"
#include "health/alerter.h"
#include "health/journal.h"
#include "health/prober.h"
#include "health/process_share.h"
#include "http/client.h"
#include "http/system_resolver.h"
#include "http/tls_client.h"
#include "keeper/build_id.h"
#include "keeper/link.h"
#include "runtime/random.h"
#include "runtime/real/disk.h"
#include "runtime/real/loop.h"
#include "runtime/real/network.h"
#include "runtime/real/rocks.h"
#include "service/alarms.h"
#include "service/artifact_hash.h"
#include "service/catalog.h"
#include "service/job_runner.h"
#include "service/output_log.h"
#include "service/supervisor.h"

namespace holdfast::cli {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr Duration rest_grace = 2s;          // For answers under way when the node leaves.
constexpr Duration handover_patience = 10s;  // For an older node to let go of store and ports.
constexpr Duration handover_retry = 10ms;

runtime::Random seeded() {
    auto bytes = runtime::secret_bytes(sizeof(std::uint64_t));
    return runtime::Random(ByteReader(bytes).le<std::uint64_t>());
}

std::optional<std::string> home_of(const std::string& user) {
    const passwd* entry = ::getpwnam(user.c_str());
    if (!entry) return std::nullopt;
    return entry->pw_dir;
}

// Whose services without `user` are.
struct Account {
    std::string name;
    std::string home = "/";
};

Account own_account() {
    const passwd* entry = ::getpwuid(::geteuid());
    if (!entry) return {};
    return {.name = entry->pw_name, .home = entry->pw_dir};
}

// Everything of a node that serves, in the order it is built; it is taken apart in the reverse
// order. What outlives it, processes and their sockets, is the keeper's and not here.
class Node {
  public:
    static Task<Result<std::unique_ptr<Node>>> open(runtime::EventLoop& loop,
                                                    keeper::KeeperLink& link,
                                                    const NodeOptions& options);

    // Supervises and answers; returns when the first look at what runs has been taken.
    Task<Result<void>> start();
    Task<void> leave();  // Services go on.
    Task<void> stop_services();
    Duration age() const { return loop_.clock().now() - born_; }

  private:
    Node(runtime::EventLoop& loop, keeper::KeeperLink& link, const NodeOptions& options)
        : loop_(loop), link_(link), options_(options) {}

    Result<void> open_exclusive();
    Task<Result<void>> build_rooms();
    void build_services(const coord::SettingValues& settings);
    void build_gateway();
    void connect_rooms();
    Task<void> supervise();

    runtime::EventLoop& loop_;
    keeper::KeeperLink& link_;
    const NodeOptions& options_;
    Instant born_ = loop_.clock().now();
    WallTime started_ = loop_.clock().wall_now();
    runtime::Random random_ = seeded();
    MetricRegistry metrics_;
    runtime::RealNetwork network_{loop_};

    // Nobody else may have these at the same time.
    std::unique_ptr<runtime::RocksStore> store_;
    access::LocalTokens tokens_{runtime::secret_bytes(32)};
    std::unique_ptr<access::LocalTokenServer> token_server_;
    std::unique_ptr<runtime::Listener> listener_;

    std::unique_ptr<runtime::RealDisk> disk_;
    std::unique_ptr<coord::EmbeddedCoordinator> coordinator_;
    http::SystemResolver resolver_{loop_};
    std::unique_ptr<http::TlsClient> tls_;
    std::unique_ptr<http::Client> http_;

    std::unique_ptr<health::Journal> journal_;
    std::unique_ptr<health::Alerter> alerter_;
    health::ProcessShare share_{link_};
    std::unique_ptr<health::MachineProber> prober_;

    service::ArtifactHash artifacts_{
        [this](std::function<void()> work) { return loop_.on_pool(std::move(work)); }};
    std::unique_ptr<service::Catalog> catalog_;
    std::unique_ptr<service::OutputLog> output_;
    std::unique_ptr<service::Supervisor> supervisor_;
    std::unique_ptr<service::JobRunner> jobs_;

    std::unique_ptr<gateway::LiveOperations> operations_;
    std::unique_ptr<gateway::Api> api_;
    std::unique_ptr<gateway::Server> server_;

    runtime::TaskGroup tasks_;  // Last: ends before what it uses.
};

Task<Result<std::unique_ptr<Node>>> Node::open(runtime::EventLoop& loop, keeper::KeeperLink& link,
                                               const NodeOptions& options) {
    std::unique_ptr<Node> node(new Node(loop, link, options));
    // An older node that was killed may take a moment to be gone.
    Instant give_up = loop.clock().now() + handover_patience;
    for (;;) {
        auto opened = node->open_exclusive();
        if (opened) break;
        if (opened.error().code != Errc::conflict || loop.clock().now() >= give_up)
            co_return std::unexpected(opened.error());
        co_await loop.clock().sleep_for(handover_retry);
    }
    HF_CO_TRY_VOID(co_await node->build_rooms());
    co_return node;
}

Result<void> Node::open_exclusive() {
    if (!store_) {
        HF_TRY(store_, runtime::RocksStore::open({.directory = options_.data_directory + "/store"},
                                                 [this](std::move_only_function<void()> work) {
                                                     loop_.post(std::move(work));
                                                 }));
    }
    if (!token_server_) {
        HF_TRY(token_server_, access::LocalTokenServer::open(loop_, tokens_, options_.rest.port));
    }
    HF_TRY(listener_, network_.listen(options_.rest));
    return {};
}

Task<Result<void>> Node::build_rooms() {
    auto& clock = loop_.clock();
    HF_CO_TRY(disk_, runtime::RealDisk::open(loop_, options_.data_directory));
    HF_CO_TRY(coordinator_, coord::EmbeddedCoordinator::open(*store_, clock));
    HF_CO_TRY(journal_, health::Journal::open(*store_, clock));
    HF_CO_TRY(auto settings, co_await coord::Settings(*coordinator_).values());
    for (const auto& complaint : settings.complaints()) log_warn("{}", complaint);

    HF_CO_TRY(tls_, http::TlsClient::create({}));
    http_ = std::make_unique<http::Client>(http::Client::Edges{
        .clock = clock, .network = network_, .resolver = &resolver_, .tls = tls_.get()});
    health::AlerterOptions alerting;
    alerting.node = options_.name;
    alerting.external_url = "http://" + runtime::format_endpoint(options_.rest);
    HF_CO_TRY(alerter_, health::Alerter::open({.clock = clock,
                                               .store = *store_,
                                               .client = *http_,
                                               .journal = *journal_,
                                               .random = random_.fork()},
                                              alerting));
    prober_ = std::make_unique<health::MachineProber>(
        health::MachineProber::Edges{.clock = clock,
                                     .network = network_,
                                     .processes = share_.of(health::Part::probes),
                                     .random = random_.fork()});
    build_services(settings);
    build_gateway();
    connect_rooms();
    co_return Result<void>();
}

void Node::build_services(const coord::SettingValues& settings) {
    auto& clock = loop_.clock();
    catalog_ = std::make_unique<service::Catalog>(*coordinator_, clock, artifacts_);
    service::OutputLogOptions log_options;
    log_options.file_bytes_max = settings.count("log_file_size");
    log_options.files_max = static_cast<int>(settings.count("log_files"));
    output_ = std::make_unique<service::OutputLog>(*disk_, clock, log_options);

    service::SupervisorOptions supervision;
    auto account = own_account();
    supervision.around.node = options_.name;
    supervision.around.home = account.home;
    supervision.around.user = account.name;
    supervision.around.home_of = home_of;
    supervision.starting_max = static_cast<int>(settings.count("starts_at_once"));
    supervisor_ = std::make_unique<service::Supervisor>(
        service::SupervisorEdges{.clock = clock,
                                 .processes = share_.of(health::Part::services),
                                 .coordinator = *coordinator_,
                                 .catalog = *catalog_,
                                 .prober = *prober_,
                                 .journal = *journal_,
                                 .output = *output_,
                                 .metrics = metrics_,
                                 .random = random_.fork()},
        supervision);
    service::JobRunnerOptions job_options;
    job_options.node = options_.name;
    job_options.home = account.home;
    job_options.user = account.name;
    jobs_ = std::make_unique<service::JobRunner>(
        service::JobRunnerEdges{.clock = clock,
                                .processes = share_.of(health::Part::jobs),
                                .coordinator = *coordinator_,
                                .journal = *journal_,
                                .output = *output_,
                                .random = random_.fork(),
                                .is_ready =
                                    [this](std::string_view name) {
                                        auto view = supervisor_->service(name);
                                        return view && view->ready > 0;
                                    }},
        job_options);
}

void Node::build_gateway() {
    auto& clock = loop_.clock();
    operations_ = std::make_unique<gateway::LiveOperations>(
        gateway::LiveEdges{.supervisor = *supervisor_,
                           .jobs = *jobs_,
                           .journal = *journal_,
                           .output = *output_,
                           .keeper_status = [this] { return link_.status(); }});
    gateway::NodeFacts facts{.name = options_.name,
                             .version = release,
                             .build = keeper::own_build_id(),
                             .data_directory = options_.data_directory,
                             .started = started_,
                             .as_root = ::geteuid() == 0};
    api_ = std::make_unique<gateway::Api>(gateway::ApiEdges{.clock = clock,
                                                            .coordinator = *coordinator_,
                                                            .catalog = *catalog_,
                                                            .operations = *operations_,
                                                            .local_tokens = tokens_,
                                                            .metrics = metrics_,
                                                            .facts = std::move(facts)});
    server_ = std::make_unique<gateway::Server>(clock, metrics_, [this](gateway::Request request) {
        return api_->answer(std::move(request));
    });
}

// Where a room above must cause something in a room below, it is here.
void Node::connect_rooms() {
    link_.on_keeper_change([this](std::string reason) {
        log_warn("keeper: {}", reason);
        journal_->record("node", "keeper", "", "replaced", std::move(reason));
    });
    supervisor_->observe([this](const service::ServiceView* before,
                                const service::ServiceView* after) {
        auto now = loop_.clock().wall_now();
        if (!after) {
            alerter_->forget(before->name, "the service was deleted", now);
        } else if (auto alarm = service::alarm_of(*after)) {
            alerter_->observed(after->name, after->alert_to, *alarm, after->reason, after->since);
        }
        jobs_->readiness_changed();
    });
    jobs_->observe([this](const service::JobView& job, const service::JobRun& run) {
        if (auto alarm = service::alarm_of(run))
            alerter_->observed(job.name, job.alert_to, *alarm, run.reason,
                               run.ended.value_or(loop_.clock().wall_now()));
    });
}

// A supervisor that could not begin, because keeper or store did not answer, tries again.
Task<void> Node::supervise() {
    for (;;) {
        auto ended = co_await supervisor_->run();
        if (ended) co_return;
        log_error("supervision: {}; trying again", ended.error().message);
        co_await loop_.clock().sleep_for(1s);
    }
}

Task<Result<void>> Node::start() {
    tasks_.spawn(journal_->run());
    tasks_.spawn(alerter_->run());
    tasks_.spawn(output_->run());
    tasks_.spawn(share_.run());
    tasks_.spawn(prober_->run());
    tasks_.spawn(supervise());
    tasks_.spawn(jobs_->run());
    tasks_.spawn(token_server_->run());
    tasks_.spawn(server_->run(*listener_));
    co_await supervisor_->began();
    operations_->set_supervising();
    co_return Result<void>();
}

Task<void> Node::stop_services() {
    co_await runtime::all(supervisor_->shut_down(), jobs_->shut_down());
}

Task<void> Node::leave() {
    co_await server_->stop(rest_grace);
    co_await output_->flush();
    auto flushed = co_await journal_->flush();
    if (!flushed) log_warn("the journal's last records are lost: {}", flushed.error().message);
}

// Until the keeper wants the node to leave, or it is told so by a signal.
Task<Result<void>> serve(runtime::EventLoop& loop, keeper::KeeperLink& link,
                         const NodeOptions& options) {
    runtime::TaskGroup link_task;
    link_task.spawn(link.run());
    // Started beside another node, for an upgrade, we have shown by now that this program runs
    // here; there is nothing else to prepare.
    HF_CO_TRY(auto status, co_await link.status());
    if (status.node_pid != ::getpid()) link.ready();
    auto request = co_await link.next_request();
    if (request != keeper::NodeRequest::activate) co_return Result<void>();

    HF_CO_TRY(auto node, co_await Node::open(loop, link, options));
    HF_CO_TRY_VOID(co_await node->start());
    link.ready();
    log_info("node {}: ready after {}, http://{}", options.name, format_duration_rough(node->age()),
             runtime::format_endpoint(options.rest));

    auto told = co_await runtime::race(link.next_request(), loop.next_signal({SIGTERM, SIGINT}));
    bool stop = told.index() == 0 && std::get<0>(told) == keeper::NodeRequest::shutdown;
    if (stop) {
        log_info("stopping services");
        co_await node->stop_services();
    }
    co_await node->leave();
    log_info("node {}: leaves{}", options.name, stop ? "" : "; services go on");
    co_return Result<void>();
}

}  // namespace

int run_node(const NodeOptions& options) {
    runtime::EventLoop loop;
    keeper::KeeperLink link(loop, {.data_dir = options.data_directory,
                                   .keeper_binary = options.keeper_program,
                                   .keeper_fd = keeper::KeeperLink::fd_from_environment(),
                                   .build_id = keeper::own_build_id()});
    auto served = loop.complete(serve(loop, link, options));
    if (served) return 0;
    log_error("node {}: {}", options.name, served.error().message);
    return 1;
}

}  // namespace holdfast::cli
