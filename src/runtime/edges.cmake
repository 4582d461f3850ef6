# The edges to the world but for durable storage: time, randomness, network, processes.

find_package(Boost 1.81 REQUIRED)

hf_library(runtime_core
    SOURCES clock.cc endpoint.cc random.cc timer_queue.cc
    USES base)

# What Linux gives to whoever keeps processes: the keeper. No Boost, no threads, no event loop.
hf_library(runtime_process
    SOURCES process/cgroup.cc process/child.cc process/ring.cc process/system.cc
    USES base)
hf_test(runtime_process_test
    SOURCES process/ring_test.cc
    USES runtime_process)

# Only loop.cc knows Boost.
hf_library(runtime_real
    SOURCES real/loop.cc real/network.cc real/pool.cc real/reactor.cc
    USES runtime_core Threads::Threads Boost::headers)

# Whole machines in virtual time. runtime_storage has their disks and stores.
hf_library(runtime_sim
    SOURCES sim/network.cc sim/process_run.cc sim/processes.cc sim/schedule.cc sim/stream.cc sim/world.cc
    USES runtime_core runtime_storage)

hf_test(runtime_test
    SOURCES clock_test.cc endpoint_test.cc race_test.cc random_test.cc task_test.cc
    USES runtime_core)

hf_test(runtime_real_test
    SOURCES real/loop_test.cc real/network_test.cc real/reactor_test.cc
    USES runtime_real)

hf_test(runtime_network_test
    SOURCES network_conformance_test.cc
    USES runtime_real runtime_sim)

hf_test(runtime_sim_test
    SOURCES sim/processes_test.cc sim/world_test.cc
    USES runtime_sim)
