// Prints docs/spec.md.
#include <cstdio>

#include "service/spec_keys.h"

int main() {
    auto page = holdfast::service::spec_reference();
    return std::fwrite(page.data(), 1, page.size(), stdout) == page.size() ? 0 : 1;
}
