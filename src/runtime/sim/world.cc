#include "runtime/sim/world.h"

#include <fmt/format.h>

namespace holdfast::runtime {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t trace_lines_kept = 1000;
constexpr WallTime beginning(std::chrono::seconds(1'800'000'000));  // January 2027.

// FNV-1a: for telling traces apart, and seeds of one world.
std::uint64_t digest_of(std::string_view bytes, std::uint64_t start = 0xcbf29ce484222325) {
    for (char byte : bytes) start = (start ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    return start;
}

// Up for a while, a little off, and running a little fast or slow: as good as real ones get.
SimClock::Options plausible_clock(Random random) {
    auto off = random.between(-50ms, 50ms);
    return {.uptime = random.between(1h, 1000h),
            .wall = beginning + off,
            .drift_ppb = random.between(-50us, 50us).count()};
}

}  // namespace

// ---- Machines.

Machine::Machine(World& world, std::string name, std::string address, Random random)
    : world_(world),
      random_(std::move(random)),
      address_(std::move(address)),
      clock_options_(plausible_clock(random_.fork())),
      clock_(world.schedule_, clock_options_),
      host_clock_(world.schedule_, clock_options_),
      host_(world.fabric_, std::move(name)),
      network_(host_, clock_),
      host_network_(host_, host_clock_),
      processes_({.host = host_clock_, .node = clock_, .network = host_network_}, random_.fork()),
      disk_(clock_, random_.fork()),
      store_(clock_, random_.fork()) {
    host_.add_address(address_);
}

Machine::~Machine() = default;

void Machine::run(NodeProgram program) {
    program_ = std::move(program);
    start_node();
}

void Machine::kill_node() {
    world_.record(name() + ": the node dies");
    node_.reset();
    processes_.node_died();
    if (!host_clock_.paused()) clock_.resume();
}

void Machine::start_node() {
    if (node_ || !program_ || !host_.up()) return;
    world_.record(name() + ": the node starts");
    node_ = program_(*this);
}

void Machine::restart_node(Duration down) {
    kill_node();
    world_.after(down, [this] { start_node(); });
}

void Machine::pause(Duration duration) {
    world_.record(name() + ": pauses");
    clock_.pause(duration);
    host_clock_.pause(duration);
}

void Machine::crash(PeersSee peers) {
    if (!host_.up()) return;
    world_.record(name() + ": loses its power");
    host_.power_off(peers);  // First: dead sockets do not say goodbye.
    node_.reset();
    processes_.power_off();
    disk_.crash();
    store_.crash();
}

void Machine::start() {
    if (host_.up()) return;
    world_.record(name() + ": starts");
    clock_.restart();
    host_clock_.restart();
    host_.power_on();
    start_node();
}

void Machine::restart(Duration down, PeersSee peers) {
    crash(peers);
    world_.after(down, [this] { start(); });
}

void Machine::set_drift(std::int64_t drift_ppb) {
    clock_.set_drift(drift_ppb);
    host_clock_.set_drift(drift_ppb);
}

void Machine::shift_wall(Duration by) {
    clock_.shift_wall(by);
    host_clock_.shift_wall(by);
}

void Machine::shut_down() {
    host_.power_off(PeersSee::silence);
    node_.reset();
    processes_.power_off();
}

// ---- The world.

World::World(std::uint64_t seed)
    : seed_(seed),
      random_(seed),
      fabric_(schedule_, random_.fork(), [this](std::string line) { record(line); }) {}

World::~World() {
    // All at once, so that no stream meets a machine that is half gone.
    for (auto& [name, machine] : machines_) machine->shut_down();
    machines_.clear();
}

Machine& World::machine(const std::string& name) {
    auto& machine = machines_[name];
    if (!machine) {
        auto number = machines_.size();
        HF_CHECK(number < 65536);
        // By its name, so that its chances do not depend on who else there is.
        machine = std::make_unique<Machine>(*this, name,
                                            fmt::format("10.0.{}.{}", number / 256, number % 256),
                                            Random(digest_of(name, seed_)));
    }
    return *machine;
}

void World::run_until(Instant at) {
    while (schedule_.step(at)) {
    }
    schedule_.skip_to(at);
}

bool World::run_while(const std::function<bool()>& busy, Duration limit) {
    Instant until = now() + limit;
    while (busy()) {
        if (schedule_.step(until)) continue;
        schedule_.skip_to(until);
        return !busy();
    }
    return true;
}

Link& World::link(const std::string& from, const std::string& to) {
    return fabric_.link(machine(from).host(), machine(to).host());
}

void World::partition(const std::vector<std::string>& side, const std::vector<std::string>& other) {
    for (const auto& a : side)
        for (const auto& b : other) {
            cut(a, b);
            cut(b, a);
        }
}

void World::reset_streams(const std::string& a, const std::string& b) {
    fabric_.reset_streams(machine(a).host(), machine(b).host());
}

void World::record(std::string_view line) {
    auto whole = fmt::format("{} {}", now().time_since_epoch().count(), line);
    digest_ = digest_of(whole, digest_ == 0 ? digest_of({}) : digest_);
    trace_.push_back(std::move(whole));
    if (trace_.size() > trace_lines_kept) trace_.pop_front();
}

}  // namespace holdfast::runtime
