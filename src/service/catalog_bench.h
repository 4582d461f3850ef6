// What the catalog's tests work with: a real coordinator over a simulated store in virtual time,
// executables that are only names, and a coordinator between that lets somebody else be first.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "coord/embedded.h"
#include "runtime/sim/store.h"
#include "runtime/storage_stepper.h"
#include "service/catalog.h"

namespace holdfast::service {

// Files by path; a path that is not there is Errc::not_found.
class NamedArtifacts final : public Artifacts {
  public:
    std::map<std::string, std::string> files{{"/bin/shop", "aaaa"}};
    std::optional<Error> error;

    runtime::Task<Result<std::string>> executable_sha256(Spec spec) override {
        if (error) co_return std::unexpected(*error);
        auto file = files.find(spec.command.front());
        if (file == files.end()) co_return fail(Errc::not_found, spec.command.front() + ": gone");
        co_return file->second;
    }
};

// Does something of its own before a commit, as another client might; or fails it.
class Interrupted final : public coord::Coordinator {
  public:
    explicit Interrupted(coord::Coordinator& inner) : inner_(inner) {}

    std::function<runtime::Task<Result<Plan>>()> before_commit;  // Must succeed.
    int interruptions = 0;  // So many next commits are preceded by it.
    int fail_gets = 0;      // So many next ones are Errc::unavailable.
    int commits = 0;

    runtime::Task<Result<std::optional<coord::Entry>>> get(std::string key) override {
        if (fail_gets > 0) {
            --fail_gets;
            co_return fail(Errc::unavailable, "lost");
        }
        co_return co_await inner_.get(std::move(key));
    }
    runtime::Task<Result<coord::Listing>> list(std::string prefix) override {
        return inner_.list(std::move(prefix));
    }
    runtime::Task<Result<coord::Outcome>> commit(coord::Transaction transaction) override {
        ++commits;
        if (interruptions > 0) {
            --interruptions;
            EXPECT_TRUE(co_await before_commit());
        }
        co_return co_await inner_.commit(std::move(transaction));
    }
    std::unique_ptr<coord::Watch> watch(std::string prefix, coord::Revision after) override {
        return inner_.watch(std::move(prefix), after);
    }
    runtime::Task<Result<coord::LeaseId>> grant_lease(Duration time) override {
        return inner_.grant_lease(time);
    }
    runtime::Task<Result<void>> keep_lease(coord::LeaseId lease) override {
        return inner_.keep_lease(lease);
    }
    runtime::Task<Result<void>> revoke_lease(coord::LeaseId lease) override {
        return inner_.revoke_lease(lease);
    }

  private:
    coord::Coordinator& inner_;
};

class CatalogBench : public testing::Test {
  protected:
    runtime::VirtualStepper stepper_;
    runtime::SimStore store_{stepper_.clock(), runtime::Random(1)};
    std::unique_ptr<coord::EmbeddedCoordinator> embedded_ =
        coord::EmbeddedCoordinator::open(store_, stepper_.clock()).value();
    Interrupted coordinator_{*embedded_};
    NamedArtifacts artifacts_;
    Catalog catalog_{coordinator_, stepper_.clock(), artifacts_};
    Catalog other_{*embedded_, stepper_.clock(), artifacts_};  // Another client's.

    template <class T>
    T finish(runtime::Task<T> task) {
        return stepper_.finish(std::move(task));
    }

    static std::string file_of(std::string_view name, std::string_view more = "") {
        return fmt::format("name = \"{}\"\ncommand = [\"/bin/shop\"]\n{}", name, more);
    }

    Result<Plan> apply(std::string_view more = "", std::string_view name = "shop",
                       DryRun dry_run = DryRun::no) {
        return finish(catalog_.apply({file_of(name, more), "shop.toml", "ann", dry_run}));
    }

    // The next commits of `catalog_` come after this one of `other_`.
    void interrupt(std::function<runtime::Task<Result<Plan>>()> other, int times = 1) {
        coordinator_.before_commit = std::move(other);
        coordinator_.interruptions = times;
    }

    void report(VersionNumber version, OutcomeState state) {
        VersionOutcome outcome{state, "", stepper_.clock().wall_now(), std::nullopt};
        ASSERT_TRUE(finish(catalog_.record_outcome("shop", version, outcome)));
    }

    Head head(std::string_view name = "shop") {
        auto entry = finish(embedded_->get(head_key(name)));
        return decode_head("head", (*entry)->value).value();
    }

    void put(std::string key, std::string value) {
        coord::Transaction transaction{{}, {coord::put(std::move(key), std::move(value))}};
        ASSERT_TRUE(finish(embedded_->commit(transaction)));
    }
};

}  // namespace holdfast::service
