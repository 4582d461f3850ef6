# How every target of the project is built: the compiler, its warnings, and two functions that keep
# the rooms' own lists short.

# g++ 12 destroys some temporaries in a statement with co_await twice, so it cannot build this code
# safely. Other compilers have not been tried.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
    message(FATAL_ERROR
        "Holdfast is built with clang 19 (g++ 12 miscompiles coroutines). "
        "Install clang-19 and lld-19, then use a preset: cmake --preset dev")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 17)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)

option(HF_WERROR "Treat warnings as errors" ON)
option(HF_FUZZ "Build the fuzzers as libFuzzer programs" OFF)
set(HF_SANITIZE "" CACHE STRING "Value of -fsanitize= for every target, empty for none")

add_compile_options(-Wall -Wextra -Wshadow -Wconversion -fno-omit-frame-pointer)
if(HF_WERROR)
    add_compile_options(-Werror)
endif()
add_link_options(-fuse-ld=lld)
if(HF_SANITIZE)
    add_compile_options(-fsanitize=${HF_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${HF_SANITIZE})
endif()

find_program(HF_CCACHE ccache)
if(HF_CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${HF_CCACHE})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${HF_CCACHE})
endif()

set(HF_SOURCE_ROOT ${CMAKE_CURRENT_SOURCE_DIR}/src)

# hf_library(NAME SOURCES ... USES ...): one target of a room. `x_core` does no I/O; `x` is the shell.
function(hf_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
    if(ARG_SOURCES)
        add_library(${name} STATIC ${ARG_SOURCES})
        target_include_directories(${name} PUBLIC ${HF_SOURCE_ROOT})
        target_link_libraries(${name} PUBLIC ${ARG_USES})
    else()
        add_library(${name} INTERFACE)
        target_include_directories(${name} INTERFACE ${HF_SOURCE_ROOT})
        target_link_libraries(${name} INTERFACE ${ARG_USES})
    endif()
endfunction()

# hf_program(NAME SOURCES ... USES ...): something people run. All of them lie side by side at the top of the
# build directory (build/release/holdfast), so that each finds the others beside itself.
function(hf_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${HF_SOURCE_ROOT})
    target_link_libraries(${name} PRIVATE ${ARG_USES})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endfunction()

# Everything ctest runs in this build: what the sanitizer builds make instead of `all`.
add_custom_target(hf_tests)

# hf_links(OUT PATTERN TARGETS...): whether one of the targets links, directly or not, something whose name matches.
function(hf_links out pattern)
    set(pending ${ARGN})
    set(seen "")
    set(${out} OFF PARENT_SCOPE)
    while(pending)
        list(POP_FRONT pending item)
        if(item IN_LIST seen)
            continue()
        endif()
        list(APPEND seen ${item})
        if(item MATCHES "${pattern}")
            set(${out} ON PARENT_SCOPE)
            return()
        endif()
        if(TARGET ${item})
            get_target_property(used ${item} INTERFACE_LINK_LIBRARIES)
            if(used)
                list(APPEND pending ${used})
            endif()
        endif()
    endwhile()
endfunction()

# ThreadSanitizer judges what has threads. Debian's RocksDB is not instrumented, so it cannot judge a program that links
# it; and what is pure or runs in the simulator has one thread.
function(hf_is_judged out)
    set(${out} ON PARENT_SCOPE)
    if(HF_SANITIZE MATCHES "thread")
        hf_links(threads "Threads::Threads" ${ARGN})
        hf_links(rocksdb "[Rr]ocks[Dd][Bb]" ${ARGN})
        if(rocksdb OR NOT threads)
            set(${out} OFF PARENT_SCOPE)
        endif()
    endif()
endfunction()

# Tests of a sanitizer build carry its name, so that one run of ctest over several builds tells them apart.
if(HF_SANITIZE MATCHES "thread")
    set(HF_TEST_PREFIX "tsan/")
    set(HF_SANITIZER_LABEL tsan)
elseif(HF_SANITIZE)
    set(HF_TEST_PREFIX "asan/")
    set(HF_SANITIZER_LABEL asan)
endif()

# hf_test(NAME SOURCES ... USES ... [LABELS ...]): a GoogleTest program; each of its tests is one
# test of ctest, found when ctest runs.
function(hf_test name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES;LABELS" ${ARGN})
    if(NOT ARG_LABELS)
        set(ARG_LABELS unit)
    endif()
    if(HF_SANITIZER_LABEL)
        set(ARG_LABELS ${HF_SANITIZER_LABEL})
    endif()
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE ${ARG_USES} GTest::gmock GTest::gtest_main)
    hf_is_judged(judged ${ARG_USES})
    if(NOT judged)
        return()
    endif()
    add_dependencies(hf_tests ${name})
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 TEST_PREFIX "${HF_TEST_PREFIX}"
        PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 120)
endfunction()

# hf_fuzzer(NAME SOURCE file USES ... CORPUS dir): defines LLVMFuzzerTestOneInput. With HF_FUZZ it is a
# libFuzzer program; always, a test replays the corpus through it.
function(hf_fuzzer name)
    cmake_parse_arguments(ARG "" "SOURCE;CORPUS" "USES" ${ARGN})
    if(HF_FUZZ)
        add_executable(${name} ${ARG_SOURCE})
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        # What `make fuzz` reads: program and corpus, one fuzzer to a line.
        file(APPEND ${CMAKE_BINARY_DIR}/fuzzers.txt
            "${CMAKE_CURRENT_BINARY_DIR}/${name} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS}\n")
        add_dependencies(hf_tests ${name})
    else()
        add_executable(${name} ${ARG_SOURCE} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.cc)
        hf_is_judged(judged ${ARG_USES})
        if(judged)
            add_dependencies(hf_tests ${name})
            if(HF_SANITIZER_LABEL)
                set(label ${HF_SANITIZER_LABEL})
            else()
                set(label fuzz)
            endif()
            add_test(NAME ${HF_TEST_PREFIX}${name}_replay
                COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS})
            set_tests_properties(${HF_TEST_PREFIX}${name}_replay PROPERTIES LABELS ${label} TIMEOUT 120)
        endif()
    endif()
    target_link_libraries(${name} PRIVATE ${ARG_USES})
endfunction()
if(HF_FUZZ)
    file(WRITE ${CMAKE_BINARY_DIR}/fuzzers.txt "")
endif()
include(GoogleTest)

# The contract names where they lie, so it holds for them however they were declared.
function(hf_place_programs)
    foreach(program holdfast holdfast-keeper)
        if(TARGET ${program})
            set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
        endif()
    endforeach()
endfunction()
cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL hf_place_programs)
