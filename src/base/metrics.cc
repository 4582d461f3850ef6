#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace holdfast {

namespace {

std::string escape(std::string_view text, bool quotes_too) {
    std::string escaped;
    for (char c : text) {
        if (c == '\\')
            escaped += "\\\\";
        else if (c == '\n')
            escaped += "\\n";
        else if (c == '"' && quotes_too)
            escaped += "\\\"";
        else
            escaped += c;
    }
    return escaped;
}

std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    return fmt::format("{}", value);
}

std::string label_text(const Labels& labels, std::string_view more = {}) {
    if (labels.empty() && more.empty()) return {};
    std::string text = "{";
    for (const auto& [name, value] : labels) {
        if (text.size() > 1) text += ',';
        text += fmt::format("{}=\"{}\"", name, escape(value, true));
    }
    if (!more.empty()) {
        if (text.size() > 1) text += ',';
        text += more;
    }
    return text + "}";
}

void expose_histogram(std::string& out, std::string_view name, const Labels& labels,
                      const Histogram& histogram) {
    const auto& bounds = histogram.bounds();
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        out += fmt::format("{}_bucket{} {}\n", name,
                           label_text(labels, fmt::format("le=\"{}\"", number(bounds[i]))),
                           histogram.count_at(i));
    }
    out +=
        fmt::format("{}_bucket{} {}\n", name, label_text(labels, "le=\"+Inf\""), histogram.count());
    out += fmt::format("{}_sum{} {}\n", name, label_text(labels), number(histogram.sum()));
    out += fmt::format("{}_count{} {}\n", name, label_text(labels), histogram.count());
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), buckets_(bounds_.size() + 1) {
    HF_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
    auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    auto bucket = static_cast<std::size_t>(bound - bounds_.begin());
    buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
    count_.fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::count_at(std::size_t bound) const {
    HF_CHECK(bound < bounds_.size());
    std::uint64_t count = 0;
    for (std::size_t i = 0; i <= bound; ++i) count += buckets_[i].load(std::memory_order_relaxed);
    return count;
}

MetricRegistry::Series& MetricRegistry::series(std::string_view name, std::string_view help,
                                               std::string_view type, const Labels& labels) {
    auto family = families_.find(name);
    if (family == families_.end())
        family = families_.emplace(std::string(name), Family{std::string(help), type, {}}).first;
    HF_CHECK(family->second.type == type);
    return family->second.series[labels];
}

Counter& MetricRegistry::counter(std::string_view name, std::string_view help,
                                 const Labels& labels) {
    HF_CHECK(name.ends_with("_total"));
    auto& found = series(name, help, "counter", labels);
    if (!found.counter) found.counter = std::make_unique<Counter>();
    return *found.counter;
}

Gauge& MetricRegistry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
    auto& found = series(name, help, "gauge", labels);
    if (!found.gauge) found.gauge = std::make_unique<Gauge>();
    return *found.gauge;
}

Histogram& MetricRegistry::histogram(std::string_view name, std::string_view help,
                                     std::vector<double> bounds, const Labels& labels) {
    auto& found = series(name, help, "histogram", labels);
    if (!found.histogram) found.histogram = std::make_unique<Histogram>(std::move(bounds));
    return *found.histogram;
}

void MetricRegistry::remove(std::string_view label, std::string_view value) {
    auto matches = [&](const auto& entry) {
        return std::ranges::any_of(entry.first, [&](const auto& pair) {
            return pair.first == label && pair.second == value;
        });
    };
    for (auto& [name, family] : families_) std::erase_if(family.series, matches);
}

void MetricRegistry::on_collect(std::function<void()> refresh) {
    refreshers_.push_back(std::move(refresh));
}

std::string MetricRegistry::expose() const {
    for (const auto& refresh : refreshers_) refresh();
    std::string out;
    for (const auto& [name, family] : families_) {
        if (family.series.empty()) continue;
        out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escape(family.help, false), name,
                           family.type);
        for (const auto& [labels, series] : family.series) {
            if (series.counter)
                out += fmt::format("{}{} {}\n", name, label_text(labels), series.counter->value());
            if (series.gauge)
                out += fmt::format("{}{} {}\n", name, label_text(labels),
                                   number(series.gauge->value()));
            if (series.histogram) expose_histogram(out, name, labels, *series.histogram);
        }
    }
    return out;
}

}  // namespace holdfast
