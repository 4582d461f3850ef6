# The edges to the world but for durable storage: time, randomness, network, processes.

hf_library(runtime_core
    SOURCES clock.cc endpoint.cc random.cc timer_queue.cc
    USES base)

hf_test(runtime_test
    SOURCES clock_test.cc endpoint_test.cc random_test.cc task_test.cc
    USES runtime_core)
