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

# hf_test(NAME SOURCES ... USES ... [LABELS ...]): a GoogleTest program; each of its tests is one
# test of ctest, found when ctest runs.
function(hf_test name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES;LABELS" ${ARGN})
    if(NOT ARG_LABELS)
        set(ARG_LABELS unit)
    endif()
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE ${ARG_USES} GTest::gmock GTest::gtest_main)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
        PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 120)
endfunction()

# hf_fuzzer(NAME SOURCE file USES ... CORPUS dir): defines LLVMFuzzerTestOneInput. With HF_FUZZ it is a
# libFuzzer program; always, a test replays the corpus through it.
function(hf_fuzzer name)
    cmake_parse_arguments(ARG "" "SOURCE;CORPUS" "USES" ${ARGN})
    if(HF_FUZZ)
        add_executable(${name} ${ARG_SOURCE})
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${name} ${ARG_SOURCE} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.cc)
        add_test(NAME ${name}_replay COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS})
        set_tests_properties(${name}_replay PROPERTIES LABELS fuzz TIMEOUT 120)
    endif()
    target_link_libraries(${name} PRIVATE ${ARG_USES})
endfunction()
include(GoogleTest)
