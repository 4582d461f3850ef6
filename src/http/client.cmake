# The client: for probes, webhooks and the command line.
find_package(OpenSSL REQUIRED COMPONENTS SSL Crypto)

hf_library(http_client_core
    SOURCES response_parser.cc url.cc
    USES base)
hf_library(http_client
    SOURCES client.cc tls_client.cc
    USES http_client_core runtime_core OpenSSL::SSL OpenSSL::Crypto)
# The machine's name service, for those who run on a real loop.
hf_library(http_resolver
    SOURCES system_resolver.cc
    USES http_client runtime_real)

hf_test(http_client_core_test
    SOURCES response_parser_test.cc url_test.cc
    USES http_client_core)
hf_fuzzer(response_parser_fuzz
    SOURCE response_parser_fuzz.cc
    USES http_client_core
    CORPUS fuzz/response_parser)
hf_test(http_client_test
    SOURCES client_test.cc tls_client_test.cc
    USES http_client runtime_sim)
hf_test(http_client_real_test
    SOURCES client_real_test.cc
    USES http_resolver)
