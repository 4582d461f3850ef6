# The edges to durable storage: Disk and Store.

hf_library(runtime_storage
    SOURCES disk.cc store.cc sim/disk.cc sim/store.cc
    USES runtime_core)

hf_library(runtime_real_disk
    SOURCES real/disk.cc
    USES runtime_storage runtime_real)

# RocksDB is linked by whoever needs a real store, and by nobody else.
find_path(HF_ROCKSDB_INCLUDE rocksdb/db.h REQUIRED)
find_library(HF_ROCKSDB_LIBRARY rocksdb REQUIRED)
hf_library(runtime_rocks
    SOURCES real/rocks.cc real/rocks_durable_point.cc real/rocks_writer.cc
    USES runtime_storage)
target_include_directories(runtime_rocks SYSTEM PRIVATE ${HF_ROCKSDB_INCLUDE})
target_link_libraries(runtime_rocks PRIVATE ${HF_ROCKSDB_LIBRARY} Threads::Threads)

hf_test(storage_test
    SOURCES disk_test.cc sim/disk_test.cc sim/store_test.cc
    USES runtime_storage runtime_real_disk)

add_executable(store_victim real/store_victim.cc)
target_link_libraries(store_victim PRIVATE runtime_rocks)

hf_test(rocks_test
    SOURCES real/rocks_kill_test.cc real/rocks_test.cc
    USES runtime_rocks)
hf_test(rocks_power_test
    SOURCES real/rocks_power_test.cc
    USES runtime_rocks runtime_real_disk
    LABELS power)
foreach(test rocks_test rocks_power_test)
    add_dependencies(${test} store_victim)
    target_compile_definitions(${test} PRIVATE HF_STORE_VICTIM="$<TARGET_FILE:store_victim>")
    target_include_directories(${test} SYSTEM PRIVATE ${HF_ROCKSDB_INCLUDE})
    target_link_libraries(${test} PRIVATE ${HF_ROCKSDB_LIBRARY})
endforeach()
