// The `holdfast` command: its words and flags, and which function each leads to.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "cli/doctor.h"
#include "cli/machine_config.h"
#include "cli/node.h"
#include "cli/table.h"
#include "cli/up.h"
#include "cli/verbs.h"
#include "cli/version.h"

namespace holdfast::cli {
namespace {

// What may be said with every client verb.
struct Common {
    std::string node = "http://127.0.0.1:7400";
    std::string output = "table";
    bool watch = false;
    bool dry_run = false;
};

class Command {
  public:
    Command();
    int run(int argc, char** argv);

  private:
    using Action = std::function<int(Session&)>;

    CLI::App* verb(const std::string& name, const std::string& what, Action action);
    CLI::App* service_verb(const std::string& name, const std::string& what, Action action);
    void add_local_verbs();
    void add_looking_verbs();
    void add_changing_verbs();
    void add_user_verbs(CLI::App* parent);
    void add_common(CLI::App* sub);
    int act(const Action& action);
    int start_up();
    int examine();
    int refuse_words(const CLI::ParseError& error);

    CLI::App app_{"Keeps services and their data alive on one machine.", "holdfast"};
    Common common_;
    std::function<int()> chosen_;

    // Values that flags fill in.
    MachineChoices machine_;
    std::optional<std::string> config_file_, zone_, address_, etcd_, join_, join_token_;
    NodeOptions node_options_;
    std::string node_rest_;
    std::optional<std::string> service_, key_, value_, mode_;
    std::string service_name_;
    std::vector<std::string> files_;
    std::optional<int> version_to_;
    int instances_ = 1;
    bool effective_ = false, wait_ = false, hot_ = false, cold_ = false, with_data_ = false,
         unset_ = false;
    DeployChoices deploy_;
    LogChoices logs_;
    UserChoices user_;
};

Command::Command() {
    app_.require_subcommand(1);
    app_.footer(
        "Start with `holdfast up`, then `holdfast apply FILE`. Each verb explains itself:\n"
        "holdfast VERB --help");
    if (const char* node = std::getenv("HOLDFAST_NODE"); node && *node) common_.node = node;
    add_local_verbs();
    add_looking_verbs();
    add_changing_verbs();
    add_user_verbs(app_.add_subcommand("user", "people and their keys"));
}

void Command::add_common(CLI::App* sub) {
    sub->add_option("--node", common_.node, "URL of the node to talk to [HOLDFAST_NODE]")
        ->capture_default_str();
    sub->add_option("-o,--output", common_.output, "table or json")
        ->check(CLI::IsMember({"table", "json"}))
        ->capture_default_str();
}

CLI::App* Command::verb(const std::string& name, const std::string& what, Action action) {
    auto* sub = app_.add_subcommand(name, what);
    add_common(sub);
    sub->callback([this, action] { chosen_ = [this, action] { return act(action); }; });
    return sub;
}

CLI::App* Command::service_verb(const std::string& name, const std::string& what, Action action) {
    auto* sub = verb(name, what, std::move(action));
    sub->add_option("SERVICE", service_name_, "its name")->required();
    return sub;
}

void Command::add_local_verbs() {
    auto* up = app_.add_subcommand("up", "start Holdfast on this machine, in the foreground");
    up->add_option("--config", config_file_, "machine file [/etc/holdfast/holdfast.toml]");
    up->add_option("--data", machine_.data_directory,
                   "data directory [/var/lib/holdfast as root, else ~/.local/share/holdfast]");
    up->add_option("--name", machine_.name, "this machine's name [its host name]");
    up->add_option("--port-base", machine_.port_base, "first of the seven ports [7400]")
        ->check(CLI::Range(1, 65529));
    up->add_option("--zone", zone_, "not available yet");
    up->add_option("--address", address_, "not available yet");
    up->add_option("--etcd", etcd_, "not available yet");
    up->add_option("--join", join_, "not available yet");
    up->add_option("--token", join_token_, "not available yet");
    up->callback([this] { chosen_ = [this] { return start_up(); }; });

    auto* doctor = app_.add_subcommand("doctor", "check whether this machine has what is needed");
    doctor->add_option("--config", config_file_, "machine file [/etc/holdfast/holdfast.toml]");
    doctor->add_option("--data", machine_.data_directory, "data directory to check");
    doctor->add_option("--port-base", machine_.port_base, "ports to check [7400]")
        ->check(CLI::Range(1, 65529));
    doctor->add_option("-o,--output", common_.output, "table or json")
        ->check(CLI::IsMember({"table", "json"}));
    doctor->callback([this] { chosen_ = [this] { return examine(); }; });

    auto* version = app_.add_subcommand("version", "say what this program is");
    version->add_option("-o,--output", common_.output, "table or json")
        ->check(CLI::IsMember({"table", "json"}));
    version->callback([this] {
        chosen_ = [this] {
            print_version(common_.output == "json" ? Output::json : Output::table);
            return exit_done;
        };
    });

    // What the keeper starts; nobody types it.
    auto* node = app_.add_subcommand("node", "the keeper's other half")->group("");
    node->add_option("--name", node_options_.name)->required();
    node->add_option("--data", node_options_.data_directory)->required();
    node->add_option("--rest", node_rest_)->required();
    node->add_option("--keeper", node_options_.keeper_program)->required();
    node->callback([this] {
        chosen_ = [this] {
            auto rest = runtime::parse_endpoint(node_rest_);
            if (!rest) return print_error(rest.error());
            node_options_.rest = *rest;
            return run_node(node_options_);
        };
    });
}

void Command::add_looking_verbs() {
    auto watchable = [this](CLI::App* sub) {
        sub->add_flag("--watch", common_.watch, "again every second");
    };
    watchable(verb("status", "how this machine and its services are; exits 3 when degraded",
                   [](Session& session) { return show_status(session); }));
    auto* services = verb("services", "all services, or one in detail",
                          [this](Session& session) { return show_services(session, service_); });
    services->add_option("SERVICE", service_, "its name");
    watchable(services);
    service_verb("history", "the versions of a service",
                 [this](Session& session) { return show_history(session, service_name_); });
    service_verb("why", "what happened to a service, as a timeline",
                 [this](Session& session) { return show_why(session, service_name_); });
    service_verb("runs", "the runs of a job",
                 [this](Session& session) { return show_runs(session, service_name_); });
    service_verb("spec", "what was declared", [this](Session& session) {
        return show_spec(session, service_name_, effective_);
    })->add_flag("--effective", effective_, "with every default filled in");

    auto* logs = service_verb("logs", "what a service prints", [this](Session& session) {
        return show_logs(session, service_name_, logs_);
    });
    logs->add_flag("-f,--follow", logs_.follow, "and what it will print");
    logs->add_option("-n,--tail", logs_.tail, "so many of the last lines")
        ->check(CLI::Range(0, 100000))
        ->capture_default_str();
    logs->add_option("--instance", logs_.instance, "only this one's")
        ->check(CLI::NonNegativeNumber);

    auto* settings = verb("settings", "show or change settings", [this](Session& session) {
        if (key_ && unset_) return unset_setting(session, *key_);
        if (key_ && value_) return set_setting(session, *key_, *value_);
        return show_settings(session, key_);
    });
    settings->add_option("KEY", key_, "which one");
    settings->add_option("VALUE", value_, "its new value");
    settings->add_flag("--unset", unset_, "back to its default");
}

void Command::add_changing_verbs() {
    auto* apply = verb("apply", "declare services", [this](Session& session) {
        return apply_files(session, files_, wait_ ? Wait::yes : Wait::no);
    });
    apply->add_option("FILE", files_, "TOML files, one service each; - is standard input")
        ->required();
    apply->add_flag("--dry-run", common_.dry_run, "only show what would be done");
    apply->add_flag("--wait", wait_, "until it is rolled out, showing progress");

    service_verb("delete", "stop a service and forget it", [this](Session& session) {
        return delete_service(session, service_name_);
    })->add_flag("--dry-run", common_.dry_run, "only show what would be done");

    auto* deploy_verb =
        service_verb("deploy", "roll out a new version, watched",
                     [this](Session& session) { return deploy(session, service_name_, deploy_); });
    deploy_verb->add_option("--env", deploy_.env, "NAME=VALUE, added to the spec's")
        ->take_all()
        ->expected(1);
    deploy_verb->add_flag("--dry-run", common_.dry_run, "only show what would change");
    deploy_verb->add_option("COMMAND", deploy_.command, "after --: replaces the spec's command");

    auto* rollback_verb =
        service_verb("rollback", "go back to an earlier version", [this](Session& session) {
            if (with_data_) return print_error({Errc::invalid, not_available_yet("--with-data")});
            return rollback(session, service_name_, version_to_);
        });
    rollback_verb->add_option("--to", version_to_, "which one [the last that was live]")
        ->check(CLI::PositiveNumber);
    rollback_verb->add_flag("--dry-run", common_.dry_run, "only show what would change");
    rollback_verb->add_flag("--with-data", with_data_, "not available yet");

    auto* restart_verb =
        service_verb("restart", "replace the instances by fresh ones", [this](Session& session) {
            if (hot_) mode_ = "hot";
            if (cold_) mode_ = "cold";
            return restart(session, service_name_, mode_);
        });
    auto* hot = restart_verb->add_flag("--hot", hot_, "new one ready before the old one stops");
    restart_verb->add_flag("--cold", cold_, "stop, then start")->excludes(hot);

    service_verb("stop", "stop a service; it stays declared",
                 [this](Session& session) { return stop_service(session, service_name_); });
    service_verb("start", "start a stopped service, or one that is backing off, now",
                 [this](Session& session) { return start_service(session, service_name_); });
    service_verb("scale", "set the number of instances",
                 [this](Session& session) { return scale(session, service_name_, instances_); })
        ->add_option("N", instances_, "instances")
        ->required()
        ->check(CLI::Range(0, 1000));
}

void Command::add_user_verbs(CLI::App* parent) {
    parent->require_subcommand(1);
    auto user_verb = [&](const std::string& name, const std::string& what, Action action) {
        auto* sub = parent->add_subcommand(name, what);
        add_common(sub);
        sub->callback([this, action] { chosen_ = [this, action] { return act(action); }; });
        return sub;
    };
    auto* create = user_verb("create", "a new user; the keys are shown once",
                             [this](Session& session) { return create_user(session, user_); });
    create->add_option("NAME", user_.name, "letters, digits, '-', '.', '_'")->required();
    create->add_option("--role", user_.role, "admin, operator or viewer [viewer]")
        ->check(CLI::IsMember({"admin", "operator", "viewer"}));
    create->add_option("--bucket", user_.bucket, "not available yet");
    create->add_option("--prefix", user_.prefix, "not available yet");
    create->add_option("--commands", user_.commands, "not available yet");
    user_verb("list", "all users", [](Session& session) { return list_users(session); });
    user_verb("delete", "take a user's access away",
              [this](Session& session) { return delete_user(session, user_.name); })
        ->add_option("NAME", user_.name, "whose")
        ->required();
}

int Command::act(const Action& action) {
    std::optional<std::string> token;
    if (const char* given = std::getenv("HOLDFAST_TOKEN"); given && *given) token = given;
    auto client = NodeClient::open(common_.node, std::move(token));
    if (!client) return print_error(client.error());
    Session session{.node = **client,
                    .output = common_.output == "json" ? Output::json : Output::table,
                    .watch = common_.watch,
                    .dry_run = common_.dry_run};
    return action(session);
}

int Command::start_up() {
    for (const auto& [flag, given] : {std::pair{"--zone", zone_},
                                      {"--address", address_},
                                      {"--etcd", etcd_},
                                      {"--join", join_},
                                      {"--token", join_token_}})
        if (given) return print_error({Errc::invalid, not_available_yet(flag)});
    auto config = load_machine_config(config_file_, machine_);
    if (!config) return print_error(config.error());
    auto code = run_up(*config);
    return code ? *code : print_error(code.error());
}

int Command::examine() {
    auto config = load_machine_config(config_file_, machine_);
    if (!config) return print_error(config.error());
    return print_checks(judge(gather(*config)),
                        common_.output == "json" ? Output::json : Output::table);
}

// An unknown verb gets the nearest known one; all else CLI11 words well itself.
int Command::refuse_words(const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app_.exit(error);
    auto typed = app_.remaining();
    if (app_.get_subcommands().empty() && !typed.empty()) {
        std::vector<std::string> names;
        for (const auto* sub : app_.get_subcommands([](const CLI::App*) { return true; }))
            names.push_back(sub->get_name());
        std::vector<std::string_view> known(names.begin(), names.end());
        auto nearest = nearest_word(typed.front(), known);
        fmt::print(stderr, "error: there is no verb \"{}\"{}\nnext: holdfast --help lists them\n",
                   typed.front(), nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : "");
        return exit_usage;
    }
    const CLI::App* where = &app_;
    while (!where->get_subcommands().empty()) where = where->get_subcommands().front();
    std::string words = where == &app_ ? "" : " " + where->get_name();
    fmt::print(stderr, "error: {}\nnext: holdfast{} --help\n", error.what(), words);
    return exit_usage;
}

int Command::run(int argc, char** argv) {
    app_.allow_extras(true);
    try {
        app_.parse(argc, argv);
        if (!app_.remaining().empty()) throw CLI::ExtrasError("holdfast", app_.remaining());
    } catch (const CLI::ParseError& error) {
        return refuse_words(error);
    }
    return chosen_();
}

}  // namespace
}  // namespace holdfast::cli

int main(int argc, char** argv) {
    holdfast::cli::Command command;
    return command.run(argc, argv);
}
