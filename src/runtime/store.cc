#include "runtime/store.h"

namespace holdfast::runtime {

void Batch::put(std::string key, std::string value) {
    steps_.push_back({Kind::put, std::move(key), std::move(value)});
}

void Batch::erase(std::string key) {
    steps_.push_back({Kind::erase, std::move(key), {}});
}

void Batch::erase_range(std::string from, std::string to) {
    steps_.push_back({Kind::erase_range, std::move(from), std::move(to)});
}

}  // namespace holdfast::runtime
