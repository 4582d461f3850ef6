# The edges to the world but for durable storage: time, randomness, network, processes.

hf_library(runtime_core
    SOURCES clock.cc endpoint.cc random.cc timer_queue.cc
    USES base)
