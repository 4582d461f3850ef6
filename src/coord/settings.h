// Cluster-wide settings: which there are, what they mean, and their values in the coordinator.
//
// A setting is listed from the day its name is settled, but can be set only once something heeds
// it: a value that is stored and ignored would be believed to be in force. Values are kept as their
// author wrote them, under settings/KEY; only those that differ from the default are kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "coord/coordinator.h"
#include "runtime/task.h"

namespace holdfast::coord {

enum class SettingUnit { count, duration, size, choice };
std::string_view unit_name(SettingUnit unit);  // "count", ...

struct SettingRule {
    std::string_view key;
    SettingUnit unit;
    std::string_view default_text;
    std::string_view description;
    // Inclusive bounds: a plain number, nanoseconds or bytes. Of no use to a choice.
    std::uint64_t least = 0;
    std::uint64_t most = 0;
    std::string_view choices;  // Of a choice: "a|b".
    std::string_view awaits;   // Empty: in force. Else the feature it will come with.
};

std::span<const SettingRule> known_settings();  // By key.

// Errc::not_found suggests the nearest known key.
Result<const SettingRule*> find_setting(std::string_view key);

// Errc::invalid: out of bounds, unreadable, or not available yet.
Result<void> check_setting(const SettingRule& info, std::string_view text);

struct SettingValue {
    const SettingRule* info;
    std::string text;
};

// All values at one moment, for those who heed them. A stored value that this release cannot read
// counts as its default, and is named in complaints().
class SettingValues {
  public:
    explicit SettingValues(const std::map<std::string, std::string, std::less<>>& stored);

    std::uint64_t count(std::string_view key) const;  // Also of sizes, in bytes.
    Duration duration(std::string_view key) const;
    const std::string& text(std::string_view key) const;
    const std::vector<std::string>& complaints() const { return complaints_; }

  private:
    std::map<std::string, std::string, std::less<>> texts_;
    std::vector<std::string> complaints_;
};

inline constexpr std::string_view settings_prefix = "settings/";
std::string setting_key(std::string_view key);

// The store's end. The coordinator outlives it.
class Settings {
  public:
    explicit Settings(Coordinator& coordinator) : coordinator_(coordinator) {}

    runtime::Task<Result<SettingValues>> values();
    runtime::Task<Result<std::vector<SettingValue>>> list();  // By key.
    runtime::Task<Result<SettingValue>> get(std::string key);
    runtime::Task<Result<SettingValue>> set(std::string key, std::string text);
    runtime::Task<Result<SettingValue>> reset(std::string key);

  private:
    Coordinator& coordinator_;
};

}  // namespace holdfast::coord
