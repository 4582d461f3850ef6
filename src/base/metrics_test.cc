#include "base/metrics.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Metrics, AreExposedInPrometheusTextFormat) {
    MetricRegistry registry;
    registry.counter("holdfast_starts_total", "Starts.", {{"service", "a\"b\\c\nd"}}).add(3);
    registry.gauge("holdfast_up", "Whether it is.").set(0.5);
    auto& histogram = registry.histogram("holdfast_wait_seconds", "Waits.", {0.1, 1});
    histogram.observe(0.1);
    histogram.observe(0.5);
    histogram.observe(7);
    EXPECT_EQ(registry.expose(),
              "# HELP holdfast_starts_total Starts.\n"
              "# TYPE holdfast_starts_total counter\n"
              "holdfast_starts_total{service=\"a\\\"b\\\\c\\nd\"} 3\n"
              "# HELP holdfast_up Whether it is.\n"
              "# TYPE holdfast_up gauge\n"
              "holdfast_up 0.5\n"
              "# HELP holdfast_wait_seconds Waits.\n"
              "# TYPE holdfast_wait_seconds histogram\n"
              "holdfast_wait_seconds_bucket{le=\"0.1\"} 1\n"
              "holdfast_wait_seconds_bucket{le=\"1\"} 2\n"
              "holdfast_wait_seconds_bucket{le=\"+Inf\"} 3\n"
              "holdfast_wait_seconds_sum 7.6\n"
              "holdfast_wait_seconds_count 3\n");
}

TEST(Metrics, TheSameLabelsAreTheSameSeries) {
    MetricRegistry registry;
    Labels labels{{"service", "shop"}};
    EXPECT_EQ(&registry.counter("holdfast_x_total", "X.", labels),
              &registry.counter("holdfast_x_total", "X.", labels));
}

TEST(Metrics, ForgetWhatIsGone) {
    MetricRegistry registry;
    registry.gauge("holdfast_up", "Up.", {{"service", "gone"}}).set(1);
    registry.gauge("holdfast_up", "Up.", {{"service", "stays"}}).set(1);
    registry.remove("service", "gone");
    EXPECT_EQ(registry.expose().find("gone"), std::string::npos);
    EXPECT_NE(registry.expose().find("stays"), std::string::npos);
}

TEST(Metrics, ReadValuesAreFreshAtEachExposition) {
    MetricRegistry registry;
    int reads = 0;
    registry.on_collect([&] { registry.gauge("holdfast_reads", "Reads.").set(++reads); });
    registry.expose();
    EXPECT_NE(registry.expose().find("holdfast_reads 2"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
