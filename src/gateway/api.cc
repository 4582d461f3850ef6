#include "gateway/api.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/nearest.h"
#include "gateway/calls.h"
#include "gateway/guard.h"
#include "gateway/process_stats.h"
#include "gateway/routes.h"
#include "gateway/target.h"

namespace holdfast::gateway {
namespace {

constexpr std::string_view how_to_be_known =
    "use the holdfast command as the node's user, as root or in the group holdfast, or send "
    "\"Authorization: Bearer TOKEN\" with a token of `holdfast user create`";

Refusal unknown_sender(std::string message) {
    return {.status = 401,
            .code = "unauthenticated",
            .message = std::move(message),
            .next = std::string(how_to_be_known)};
}

Refusal no_such_path() {
    return {.status = 404,
            .code = "not_found",
            .message = "there is nothing at this path",
            .next = "/v1/openapi.json lists the paths there are"};
}

Response wrong_method(const OtherMethods& others) {
    auto response = refuse({.status = 405,
                            .code = "method_not_allowed",
                            .message = fmt::format("this path knows {} only", others.allow),
                            .next = "/v1/openapi.json says what each does"});
    response.headers.push_back({"Allow", others.allow});
    return response;
}

Result<void> check_query(const Route& route, const Query& query) {
    for (const auto& [name, value] : query) {
        bool known = false;
        for (auto parameter : route.query) known = known || parameter == name;
        if (known) continue;
        auto nearest = nearest_word(name, route.query);
        return fail(
            Errc::invalid,
            fmt::format("unknown parameter \"{}\"{}", name,
                        nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : std::string()));
    }
    return {};
}

}  // namespace

struct Api::State {
    explicit State(ApiEdges e) : edges(std::move(e)), node(edges), services(edges), admin(edges) {}

    runtime::Task<Result<std::optional<access::Principal>>> sender(const Request& request);
    runtime::Task<Response> admit(Request request, Target target, Matched matched);
    Answered carry_out(Call call);
    Answered carry_out_on_service(Call call);
    Answered carry_out_admin(Call call);

    ApiEdges edges;
    NodeCalls node;
    ServiceCalls services;
    AdminCalls admin;
};

Api::Api(ApiEdges edges) : state_(std::make_unique<State>(std::move(edges))) {
    const auto& facts = state_->edges.facts;
    measure_process(state_->edges.metrics);
    state_->edges.metrics
        .gauge("holdfast_build_info", "Always 1; its labels say what runs.",
               {{"version", facts.version}, {"build", facts.build}})
        .set(1);
}
Api::~Api() = default;

runtime::Task<Response> Api::answer(Request request) {
    if (auto foreign = check_origin(request)) co_return refuse(*foreign);
    auto target = parse_target(request.target);
    if (!target) co_return refuse(target.error());
    auto found = match(request.method, target->segments);
    if (std::holds_alternative<NoPath>(found)) co_return refuse(no_such_path());
    if (const auto* others = std::get_if<OtherMethods>(&found)) co_return wrong_method(*others);
    co_return co_await state_->admit(std::move(request), *std::move(target),
                                     std::get<Matched>(std::move(found)));
}

// Nothing: the sender says nothing about itself.
runtime::Task<Result<std::optional<access::Principal>>> Api::State::sender(const Request& request) {
    HF_CO_TRY(auto token, bearer_token(request));
    if (!token) co_return std::nullopt;
    if (access::LocalTokens::looks_like_one(*token)) {
        HF_CO_TRY(auto local, edges.local_tokens.check(*token, edges.clock.now()));
        co_return local;
    }
    HF_CO_TRY(auto user, co_await admin.users().check(*std::move(token)));
    co_return user;
}

runtime::Task<Response> Api::State::admit(Request request, Target target, Matched matched) {
    auto who = co_await sender(request);
    if (!who && who.error().code == Errc::denied) {
        co_return refuse(unknown_sender(who.error().message));
    }
    if (!who) co_return refuse(who.error());
    auto action = matched.route->action;
    if (!*who && !free_on_loopback(action)) {
        co_return refuse(unknown_sender("this needs a token, on this machine too"));
    }
    if (*who && !access::allowed((*who)->role, action)) {
        co_return refuse({.status = 403,
                          .code = "denied",
                          .message = fmt::format("{} is {} and may not do this", (*who)->name,
                                                 access::role_name((*who)->role)),
                          .next = fmt::format("ask somebody who is {}",
                                              access::role_name(access::needed_role(action)))});
    }
    if (auto good = check_query(*matched.route, target.query); !good) {
        co_return refuse(good.error());
    }
    auto answer = co_await carry_out({.route = matched.route,
                                      .arguments = std::move(matched.arguments),
                                      .query = std::move(target.query),
                                      .body = std::move(request.body),
                                      .author = *who ? (*who)->name : std::string()});
    if (!answer) co_return refuse(answer.error());
    co_return *std::move(answer);
}

Answered Api::State::carry_out(Call call) {
    switch (call.route->operation) {
        case Operation::healthz:
        case Operation::readyz:
            return node.health(std::move(call));
        case Operation::metrics:
            return node.metrics(std::move(call));
        case Operation::version:
            return node.version(std::move(call));
        case Operation::node:
            return node.node(std::move(call));
        case Operation::status:
            return node.status(std::move(call));
        case Operation::openapi:
            return node.openapi(std::move(call));
        case Operation::users:
        case Operation::create_user:
        case Operation::delete_user:
        case Operation::settings:
        case Operation::setting:
        case Operation::set_setting:
        case Operation::reset_setting:
            return carry_out_admin(std::move(call));
        default:
            return carry_out_on_service(std::move(call));
    }
}

Answered Api::State::carry_out_admin(Call call) {
    switch (call.route->operation) {
        case Operation::users:
            return admin.list_users(std::move(call));
        case Operation::create_user:
            return admin.create_user(std::move(call));
        case Operation::delete_user:
            return admin.delete_user(std::move(call));
        case Operation::settings:
            return admin.list_settings(std::move(call));
        case Operation::setting:
            return admin.show_setting(std::move(call));
        case Operation::set_setting:
            return admin.set_setting(std::move(call));
        case Operation::reset_setting:
            return admin.reset_setting(std::move(call));
        default:
            HF_CHECK(false);
            std::abort();
    }
}

Answered Api::State::carry_out_on_service(Call call) {
    switch (call.route->operation) {
        case Operation::services:
            return services.list(std::move(call));
        case Operation::apply:
            return services.apply(std::move(call));
        case Operation::service:
            return services.show(std::move(call));
        case Operation::remove:
            return services.remove(std::move(call));
        case Operation::spec:
            return services.spec(std::move(call));
        case Operation::history:
            return services.history(std::move(call));
        case Operation::deploy:
            return services.deploy(std::move(call));
        case Operation::rollback:
            return services.rollback(std::move(call));
        case Operation::restart:
            return services.restart(std::move(call));
        case Operation::stop:
            return services.stop(std::move(call));
        case Operation::start:
            return services.start(std::move(call));
        case Operation::scale:
            return services.scale(std::move(call));
        case Operation::logs:
            return services.logs(std::move(call));
        case Operation::why:
            return services.why(std::move(call));
        case Operation::runs:
            return services.runs(std::move(call));
        default:
            HF_CHECK(false);
            std::abort();
    }
}

}  // namespace holdfast::gateway
