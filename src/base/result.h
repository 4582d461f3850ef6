// Result<T>: a value, or the reason there is none.
//
// An Errc tells the caller what to do next, so there are as many codes as there are reactions, and
// no more. What exactly went wrong is for humans, and goes into the message.
//
//     Result<Config> load(const Path& path) {
//         HF_TRY(auto text, read_file(path));  // Returns the Error to our caller, or carries on.
//         HF_TRY_VOID(check(text));            // The same where there is no value.
//         return parse(text);
//     }
//
// Inside a coroutine use HF_CO_TRY and HF_CO_TRY_VOID.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

enum class Errc {
    invalid,      // The request itself is wrong: tell its author.
    denied,       // The caller may not do this: tell them what they need.
    not_found,    // There is no such thing: carry on without it.
    conflict,     // Someone else was first: read again, then decide again.
    corrupt,      // Stored bytes are damaged: repair from a replica, or set aside and say so.
    exhausted,    // A limit is reached: shed load.
    unavailable,  // It may work later or elsewhere: retry with backoff.
    in_doubt,     // It may or may not have happened: find out before doing it again.
};

// The code's name as it appears in logs and JSON, such as "not_found".
constexpr std::string_view errc_name(Errc code) {
    switch (code) {
        case Errc::invalid:
            return "invalid";
        case Errc::denied:
            return "denied";
        case Errc::not_found:
            return "not_found";
        case Errc::conflict:
            return "conflict";
        case Errc::corrupt:
            return "corrupt";
        case Errc::exhausted:
            return "exhausted";
        case Errc::unavailable:
            return "unavailable";
        case Errc::in_doubt:
            return "in_doubt";
    }
    return "unknown";
}

struct Error {
    Errc code;
    std::string message;

    bool operator==(const Error&) const = default;
};

template <class T = void>
using Result = std::expected<T, Error>;

// For a return statement: `return fail(Errc::invalid, "...");`
inline std::unexpected<Error> fail(Errc code, std::string message) {
    return std::unexpected(Error{code, std::move(message)});
}

}  // namespace holdfast

#define HF_TRY_NAME_(line) hf_try_##line
#define HF_TRY_NAME(line) HF_TRY_NAME_(line)
#define HF_TRY_WITH(leave, name, declaration, expression)      \
    auto name = (expression);                                  \
    if (!name) leave std::unexpected(std::move(name).error()); \
    declaration = *std::move(name)
#define HF_TRY_VOID_WITH(leave, name, expression) \
    if (auto name = (expression); !name) leave std::unexpected(std::move(name).error())

#define HF_TRY(declaration, expression) \
    HF_TRY_WITH(return, HF_TRY_NAME(__LINE__), declaration, expression)
#define HF_CO_TRY(declaration, expression) \
    HF_TRY_WITH(co_return, HF_TRY_NAME(__LINE__), declaration, expression)
#define HF_TRY_VOID(expression) HF_TRY_VOID_WITH(return, HF_TRY_NAME(__LINE__), expression)
#define HF_CO_TRY_VOID(expression) HF_TRY_VOID_WITH(co_return, HF_TRY_NAME(__LINE__), expression)
