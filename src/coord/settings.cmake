# Cluster-wide settings.
hf_library(coord_settings
    SOURCES settings.cc
    USES base coord_core)
hf_test(coord_settings_test
    SOURCES settings_test.cc
    USES coord_settings)
