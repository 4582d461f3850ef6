// The client verbs: each asks a node and prints what it answers. Returns the exit code.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/client.h"
#include "cli/doctor.h"

namespace holdfast::cli {

// The contract's exit codes.
inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_degraded = 3;
inline constexpr int exit_no_quorum = 4;

enum class Output { table, json };

// What every client verb is given.
struct Session {
    NodeClient& node;
    Output output = Output::table;
    bool watch = false;  // Again every second, until interrupted.
    bool dry_run = false;
};

int show_status(Session& session);
int show_services(Session& session, const std::optional<std::string>& service);
int show_history(Session& session, const std::string& service);
int show_why(Session& session, const std::string& service);
int show_runs(Session& session, const std::string& service);
int show_spec(Session& session, const std::string& service, bool effective);

enum class Wait { no, yes };
int apply_files(Session& session, const std::vector<std::string>& files, Wait wait);
int delete_service(Session& session, const std::string& service);

struct DeployChoices {
    std::vector<std::string> env;  // "K=V"
    std::vector<std::string> command;
};
int deploy(Session& session, const std::string& service, const DeployChoices& choices);
int rollback(Session& session, const std::string& service, std::optional<int> to);
int restart(Session& session, const std::string& service, const std::optional<std::string>& mode);
int stop_service(Session& session, const std::string& service);
int start_service(Session& session, const std::string& service);
int scale(Session& session, const std::string& service, int instances);

struct LogChoices {
    bool follow = false;
    int tail = 100;
    std::optional<int> instance;
};
int show_logs(Session& session, const std::string& service, const LogChoices& choices);

struct UserChoices {
    std::string name;
    std::optional<std::string> role;
    std::optional<std::string> bucket;
    std::optional<std::string> prefix;
    std::optional<std::string> commands;
};
int create_user(Session& session, const UserChoices& choices);
int list_users(Session& session);
int delete_user(Session& session, const std::string& name);

int show_settings(Session& session, const std::optional<std::string>& key);
int set_setting(Session& session, const std::string& key, const std::string& value);
int unset_setting(Session& session, const std::string& key);

// Of this machine, without asking a node.
int print_checks(const std::vector<Check>& checks, Output output);  // 1 if one of them failed.
void print_version(Output output);

// Prints an error as every verb does, to standard error. Returns its exit code.
int print_error(const Error& error);

}  // namespace holdfast::cli
