#!/usr/bin/python3
"""From the command to ready, and what an idle Holdfast costs. Bounds, not measurements: those are in docs/benchmarks.md."""

import os
import pathlib
import time

import harness
from harness import eventually

START_SECONDS_MAX = 0.200
RESIDENT_MIB_MAX = 64
CPU_SHARE_MAX = 0.01


def cpu_seconds(pid):
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class StartTime(harness.Case):
    @harness.bounded(3)
    def test_it_is_ready_200_ms_after_the_command(self):
        hf = self.holdfast(start=False)
        before = time.monotonic()
        hf.up()
        taken = time.monotonic() - before
        self.assertLess(taken, START_SECONDS_MAX, f"ready after {taken * 1000:.0f} ms")

    @harness.bounded(3)
    def test_idle_it_costs_at_most_64_mib_and_one_percent_of_a_core(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        pids = [hf.node_pid(), hf.keeper_pid()]
        used, since = sum(map(cpu_seconds, pids)), time.monotonic()
        eventually(lambda: time.monotonic() - since > 10, "ten seconds have passed")
        share = (sum(map(cpu_seconds, pids)) - used) / (time.monotonic() - since)
        self.assertLess(share, CPU_SHARE_MAX)
        self.assertLess(sum(map(resident_mib, pids)), RESIDENT_MIB_MAX)


if __name__ == "__main__":
    harness.main()
