// Metric types and their Prometheus text form.
//
// A registry is owned by main() and handed to the rooms that measure; there is no global one. Names
// follow the contract: prefix `holdfast_`, base units, `_total` for counters, bounded labels.
//
// Counters and gauges may be raised from any thread; families are created on one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

using Labels = std::vector<std::pair<std::string, std::string>>;  // Name, value; order is kept.

class Counter {
  public:
    void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

class Gauge {
  public:
    void set(double value) { value_.store(value, std::memory_order_relaxed); }
    double value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<double> value_{0};
};

// Cumulative histogram with fixed upper bounds, in base units.
class Histogram {
  public:
    explicit Histogram(std::vector<double> bounds);

    void observe(double value);
    const std::vector<double>& bounds() const { return bounds_; }
    std::uint64_t count_at(std::size_t bound) const;  // Observations at or below bounds()[bound].
    std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
    double sum() const { return sum_.load(std::memory_order_relaxed); }

  private:
    std::vector<double> bounds_;
    std::vector<std::atomic<std::uint64_t>> buckets_;  // Not cumulative; one more than bounds.
    std::atomic<std::uint64_t> count_{0};
    std::atomic<double> sum_{0};
};

// References returned live as long as the registry, or until remove() of the same labels.
class MetricRegistry {
  public:
    Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
    Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                         const Labels& labels = {});

    // Forgets every series whose labels contain `label`; for things that are gone for good.
    void remove(std::string_view label, std::string_view value);

    // Called before each exposition, for values that are read rather than kept.
    void on_collect(std::function<void()> refresh);

    // Text format 0.0.4, families sorted by name.
    std::string expose() const;

  private:
    struct Series {
        std::unique_ptr<Counter> counter;
        std::unique_ptr<Gauge> gauge;
        std::unique_ptr<Histogram> histogram;
    };
    struct Family {
        std::string help;
        std::string_view type;
        std::map<Labels, Series> series;
    };
    Series& series(std::string_view name, std::string_view help, std::string_view type,
                   const Labels& labels);

    std::map<std::string, Family, std::less<>> families_;
    std::vector<std::function<void()>> refreshers_;
};

}  // namespace holdfast
