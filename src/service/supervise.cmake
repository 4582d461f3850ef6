# Supervision: its cores, its shell and the output of what is supervised.
hf_library(service_core
    SOURCES backoff.cc instance.cc instance_action.cc instance_ready.cc rollout.cc service_core.cc
        service_core_step.cc service_core_view.cc start_gate.cc supervisor_core.cc view.cc
    USES base runtime_core)
hf_test(service_core_test
    SOURCES instance_test.cc service_core_test.cc start_gate_test.cc supervisor_core_test.cc
    USES service_core)

hf_library(service
    SOURCES instance_launch.cc output_file.cc output_log.cc supervisor.cc supervisor_begin.cc
        supervisor_feeds.cc supervisor_probes.cc supervisor_runs.cc
    USES service_core service_catalog service_spec health runtime_core Boost::json)
hf_test(service_test
    SOURCES instance_launch_test.cc output_log_test.cc supervisor_test.cc
    USES service runtime_sim coord_embedded)
