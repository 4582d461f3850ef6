// What the interface's tests work with: the real catalog over a real coordinator in virtual time,
// and services that are only said to run.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/api.h"
#include "service/catalog_bench.h"

namespace holdfast::gateway {

class SaidOperations final : public Operations {
  public:
    bool is_ready = true;
    service::MachineView said_machine;
    Result<keeper::KeeperStatus> said_keeper = keeper::KeeperStatus{};
    std::map<std::string, service::ServiceView, std::less<>> said_services;
    std::map<std::string, service::JobView, std::less<>> said_jobs;
    std::map<std::string, std::vector<service::JobRun>, std::less<>> said_runs;
    health::Account said_account;
    std::map<std::string, std::vector<service::OutputLine>, std::less<>> said_output;
    std::vector<service::OutputLine> said_later;  // What a feed gives, then it waits for ever.
    std::vector<std::string> said_progress;
    service::RolloutResult said_result;
    std::vector<std::string> asked;  // "start_now shop"
    service::OutputQuery asked_query;

    bool ready() const override { return is_ready; }
    service::MachineView machine() const override { return said_machine; }
    runtime::Task<Result<keeper::KeeperStatus>> keeper_status() override { co_return said_keeper; }

    std::vector<service::ServiceView> services() const override {
        std::vector<service::ServiceView> all;
        for (const auto& [name, view] : said_services) all.push_back(view);
        return all;
    }
    std::optional<service::ServiceView> service(std::string_view name) const override {
        auto found = said_services.find(name);
        if (found == said_services.end()) return std::nullopt;
        return found->second;
    }
    Result<void> start_now(std::string_view name) override {
        asked.push_back("start_now " + std::string(name));
        return {};
    }
    std::unique_ptr<service::RolloutFeed> follow_rollout(std::string name,
                                                         service::VersionNumber version) override {
        asked.push_back("follow " + name + " " + std::to_string(version));
        auto result = said_result;
        result.service = std::move(name);
        result.version = version;
        return std::make_unique<Progress>(said_progress, result);
    }

    std::vector<service::JobView> jobs() const override {
        std::vector<service::JobView> all;
        for (const auto& [name, view] : said_jobs) all.push_back(view);
        return all;
    }
    std::optional<service::JobView> job(std::string_view name) const override {
        auto found = said_jobs.find(name);
        if (found == said_jobs.end()) return std::nullopt;
        return found->second;
    }
    Result<std::vector<service::JobRun>> runs(std::string_view name) const override {
        auto found = said_runs.find(name);
        if (found == said_runs.end()) return fail(Errc::not_found, "no such job");
        return found->second;
    }
    Result<void> run_now(std::string_view name) override {
        asked.push_back("run_now " + std::string(name));
        return {};
    }

    health::Account explain(std::string_view) const override { return said_account; }

    runtime::Task<Result<std::vector<service::OutputLine>>> output(
        std::string name, service::OutputQuery query) override {
        asked_query = query;
        auto found = said_output.find(name);
        if (found == said_output.end()) co_return fail(Errc::not_found, "nothing printed");
        co_return found->second;
    }
    std::unique_ptr<service::OutputFeed> follow_output(std::string, std::optional<int>) override {
        return std::make_unique<Later>(said_later);
    }

  private:
    class Progress final : public service::RolloutFeed {
      public:
        Progress(std::vector<std::string> lines, service::RolloutResult result)
            : lines_(std::move(lines)), result_(std::move(result)) {}
        runtime::Task<std::optional<std::string>> next() override {
            if (given_ == lines_.size()) {
                over_ = result_;
                co_return std::nullopt;
            }
            co_return lines_[given_++];
        }
        const std::optional<service::RolloutResult>& result() const override { return over_; }

      private:
        std::vector<std::string> lines_;
        service::RolloutResult result_;
        std::optional<service::RolloutResult> over_;
        std::size_t given_ = 0;
    };

    class Later final : public service::OutputFeed {
      public:
        explicit Later(std::vector<service::OutputLine> lines) : lines_(std::move(lines)) {}
        runtime::Task<service::OutputLine> next() override {
            if (given_ == lines_.size()) co_await never_.waited();
            co_return lines_[given_++];
        }

      private:
        std::vector<service::OutputLine> lines_;
        std::size_t given_ = 0;
        runtime::Signal never_;
    };
};

class ApiBench : public service::CatalogBench {
  protected:
    ApiBench() {
        operations.said_result.now_live = 1;
        operations.said_result.reason = "ready";
    }

    Response ask(std::string method, std::string target, std::string body = "",
                 std::string token = "", http::Headers more = {}) {
        http::Headers headers = {{"Host", "127.0.0.1:7400"}};
        if (!token.empty()) headers.push_back({"Authorization", "Bearer " + token});
        headers.insert(headers.end(), more.begin(), more.end());
        return finish(api.answer({.method = std::move(method),
                                  .target = std::move(target),
                                  .headers = std::move(headers),
                                  .body = std::move(body)}));
    }

    // As somebody who is on this machine.
    Response act(std::string method, std::string target, std::string body = "") {
        return ask(std::move(method), std::move(target), std::move(body),
                   local_tokens.issue(1000, stepper_.clock().now()));
    }

    // The whole of a stream that ends.
    std::string drain(Response& response) {
        std::string all = response.body;
        while (response.stream) {
            auto piece = finish(response.stream->next());
            if (!piece) break;
            all += *piece;
        }
        return all;
    }

    // A user's token.
    std::string user(std::string_view name, std::string_view role);

    // A server that runs, or a job, in the catalog and in what is said.
    void declare(std::string name, std::string_view more = "") {
        ASSERT_TRUE(apply(more, name));
        service::ServiceView view;
        view.name = name;
        view.state = service::ServiceState::ready;
        view.version = 1;
        operations.said_services[name] = view;
    }

    SaidOperations operations;
    MetricRegistry metrics;
    access::LocalTokens local_tokens{std::string(32, 'k')};
    Api api{{.clock = stepper_.clock(),
             .coordinator = *embedded_,
             .catalog = catalog_,
             .operations = operations,
             .local_tokens = local_tokens,
             .metrics = metrics,
             .facts = {.name = "node",
                       .version = "0.1.0",
                       .build = "abcdef",
                       .data_directory = "/var/lib/holdfast",
                       .started = WallTime(std::chrono::hours(1)),
                       .as_root = false}}};
};

inline std::string ApiBench::user(std::string_view name, std::string_view role) {
    auto made =
        act("POST", "/v1/users", fmt::format(R"({{"name": "{}", "role": "{}"}})", name, role));
    EXPECT_EQ(made.status, 201) << made.body;
    constexpr std::string_view key = R"("token":")";
    auto from = made.body.find(key) + key.size();
    return made.body.substr(from, made.body.find('"', from) - from);
}

}  // namespace holdfast::gateway
