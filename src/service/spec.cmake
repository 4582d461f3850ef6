# What a service is: its spec, and the catalog of specs and versions.

hf_library(service_spec
    SOURCES spec_keys.cc spec_parser.cc spec_parser_check.cc spec_parser_expand.cc spec_parser_later.cc
        spec_parser_read.cc spec_parser_rules.cc spec_parser_toml.cc spec_writer.cc
    USES base)
# Nobody else compiles toml++ as this file does, so its functions get names of their own.
set_source_files_properties(spec_parser_toml.cc PROPERTIES
    COMPILE_DEFINITIONS "toml=holdfast_service_toml")
hf_test(service_spec_test
    SOURCES spec_keys_test.cc spec_parser_test.cc spec_writer_test.cc
    USES service_spec)
target_compile_definitions(service_spec_test
    PRIVATE HF_SPEC_REFERENCE="${CMAKE_SOURCE_DIR}/docs/spec.md")
hf_fuzzer(spec_parser_fuzz SOURCE spec_parser_fuzz.cc USES service_spec CORPUS corpus/spec_parser)

# The reference page is made from the table of keys; a test holds it to that.
hf_program(spec_reference_page SOURCES spec_reference_page.cc USES service_spec)
set_target_properties(spec_reference_page PROPERTIES EXCLUDE_FROM_ALL ON
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
add_custom_target(spec_reference
    COMMAND spec_reference_page > ${CMAKE_SOURCE_DIR}/docs/spec.md
    DEPENDS spec_reference_page)

find_package(Boost 1.81 REQUIRED COMPONENTS json GLOBAL)
hf_library(service_catalog_core
    SOURCES catalog_records.cc catalog_rules.cc
    USES service_spec Boost::json)
hf_test(service_catalog_core_test
    SOURCES catalog_records_test.cc catalog_rules_test.cc
    USES service_catalog_core)
hf_library(service_catalog
    SOURCES artifact_hash.cc catalog.cc catalog_calls.cc catalog_desired.cc
    USES service_catalog_core coord_core runtime_core base_crypto)
hf_test(service_catalog_test
    SOURCES artifact_hash_test.cc catalog_desired_test.cc catalog_test.cc
    USES service_catalog coord_embedded runtime_storage)
