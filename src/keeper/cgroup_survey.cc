#include "keeper/cgroup_survey.h"

#include <unistd.h>

#include "runtime/process/cgroup.h"
#include "runtime/process/system.h"

namespace holdfast::keeper {

using namespace runtime::process;

namespace {

bool writable(const std::string& directory) {
    return !directory.empty() && access(directory.c_str(), W_OK) == 0;
}

bool among(const std::string& words, const std::string& word) {
    return (" " + words + " ").find(" " + word + " ") != std::string::npos;
}

}  // namespace

std::vector<std::string> writable_controllers() {
    auto unified = own_cgroup("");
    auto passed_on = read_file(unified + "/cgroup.controllers").value_or("\n");
    passed_on.pop_back();
    std::vector<std::string> found;
    for (const std::string controller : {"memory", "cpu"}) {
        bool in_v2 = writable(unified) && among(passed_on, controller);
        if (in_v2 || writable(own_cgroup(controller))) found.push_back(controller);
    }
    if (writable(unified) || writable(own_cgroup("freezer"))) found.push_back("kill");
    return found;
}

}  // namespace holdfast::keeper
