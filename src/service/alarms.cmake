# From what is shown of services to what people are woken for.
hf_library(service_alarms
    SOURCES alarms.cc
    USES service_core service_jobs_core health_core)
hf_test(service_alarms_test
    SOURCES alarms_test.cc
    USES service_alarms)
