# The edges to durable storage: Disk and Store.

hf_library(runtime_storage
    SOURCES disk.cc store.cc sim/disk.cc sim/store.cc
    USES runtime_core)

hf_test(storage_test
    SOURCES sim/disk_test.cc
    USES runtime_storage)
