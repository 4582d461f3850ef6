# Jobs.
hf_library(service_jobs_core
    SOURCES job.cc job_core.cc job_core_view.cc schedule.cc
    USES service_core health_core Boost::json)
hf_library(service_jobs
    SOURCES job_runner.cc job_runner_drive.cc
    USES service_jobs_core service)
hf_test(jobs_core_test
    SOURCES job_core_simulation_test.cc job_core_test.cc job_test.cc schedule_test.cc
    USES service_jobs_core)
hf_test(jobs_test
    SOURCES job_runner_test.cc
    USES service_jobs coord_simulated runtime_sim)
