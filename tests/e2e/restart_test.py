#!/usr/bin/python3
"""A service that dies runs again, as soon as it can, for as long as it takes."""

import signal
import subprocess
import time

import harness
from harness import eventually

# What may pass between a death and the first instruction of the successor, beyond the program's own start time.
RESPAWN_SECONDS_MAX = 0.050


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def starts(path):
    """[(pid, seconds since boot)] as the actor records its own starts."""
    if not path.exists():
        return []
    return [(int(pid), float(at)) for pid, at in (line.split() for line in path.read_text().splitlines())]


def own_start_seconds(program, path):
    """How long the program takes from fork to its first deed when nobody supervises it: median of five."""
    taken = []
    for _ in range(5):
        path.unlink(missing_ok=True)
        before = boottime()
        process = subprocess.Popen([program, "--no-listen", "--started", str(path)])
        eventually(lambda: starts(path), "the program has started")
        taken.append(starts(path)[0][1] - before)
        process.kill()
        process.wait()
    return sorted(taken)[2]


class Restart(harness.Case):
    @harness.bounded(3)
    def test_a_killed_instance_starts_again_within_its_own_start_time_and_50_ms(self):
        hf = self.holdfast()
        record = self.path("starts")
        alone = own_start_seconds(self.program("actor"), self.path("alone"))
        hf.apply(**self.actor("--started", record, port=self.port()))
        gaps = []
        for _ in range(5):
            pid = hf.wait_state("shop", "ready")["instances"][0]["pid"]
            count = len(starts(record))
            killed = boottime()
            harness.kill(pid)
            eventually(lambda: len(starts(record)) > count, "it started again")
            gaps.append(starts(record)[-1][1] - killed)
            hf.wait_restarted("shop", pid)
        middle = sorted(gaps)[2]
        self.assertLessEqual(middle, alone + RESPAWN_SECONDS_MAX,
                             f"kill to first instruction: {[f'{gap * 1000:.1f} ms' for gap in gaps]}; the program "
                             f"alone takes {alone * 1000:.1f} ms")

    def test_a_kill_from_outside_is_not_held_against_the_program(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port(), restart={"backoff": "10s..30s"}))
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            pid = hf.pid("shop")
            harness.kill(pid, number)
            hf.wait_restarted("shop", pid, within=5)
        exit_seen = hf.instance("shop")["last_exit"]
        self.assertEqual((exit_seen["by"], exit_seen["signal"]), ("outside", signal.SIGKILL))

    def test_every_restart_is_counted_and_explained(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        pid = hf.pid("shop")
        harness.kill(pid)
        hf.wait_restarted("shop", pid)
        self.assertEqual(hf.instance("shop")["restarts"], 1)
        self.assertIn("SIGKILL", "\n".join(hf.told("shop")))
        self.assertIn("SIGKILL", hf.cli("why", "shop", check=0).stdout)

    def test_an_asked_for_cold_restart_replaces_every_instance(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port(), inherit=True, instances=3))
        old = {entry["pid"] for entry in hf.service("shop")["instances"]}
        self.assertEqual(len(old), 3)
        hf.cli("restart", "shop", "--cold", check=0)

        def all_new():
            service = hf.service("shop")
            return service["ready"] == 3 and not old & {entry.get("pid") for entry in service["instances"]}
        eventually(all_new, "three new instances are ready")
        self.assertFalse(any(map(harness.process_exists, old)))

    def test_stop_holds_through_a_restart_of_everything_and_start_ends_it(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        hf.cli("stop", "shop", check=0)
        hf.wait_state("shop", "stopped")
        harness.kill(hf.nurseries[-1].pid, signal.SIGTERM)
        hf.nurseries[-1].wait()
        hf.up()
        self.assertEqual(hf.wait_state("shop", "stopped")["ready"], 0)
        self.assertEqual(hf.cli("status").returncode, 0)
        hf.cli("start", "shop", check=0)
        hf.wait_state("shop", "ready")

    def test_scale_makes_and_ends_instances_and_survives(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port(), inherit=True))
        hf.cli("scale", "shop", "3", check=0)
        eventually(lambda: hf.service("shop")["ready"] == 3, "three instances are ready")
        first = hf.pid("shop", 0)
        harness.kill(hf.nurseries[-1].pid, signal.SIGTERM)
        hf.nurseries[-1].wait()
        hf.up()
        eventually(lambda: hf.service("shop")["ready"] == 3, "three instances are ready again")
        self.assertNotEqual(hf.pid("shop", 0), first)
        gone = hf.pid("shop", 2)
        hf.cli("scale", "shop", "2", check=0)
        eventually(lambda: len(hf.service("shop")["instances"]) == 2 and not harness.process_exists(gone),
                   "two instances are left")

    def test_sigterm_is_tried_first_and_sigkill_ends_a_program_that_is_deaf_to_it(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--deaf", port=self.port(), deploy={"drain": "1s"}))
        pid = hf.pid("shop")
        before = time.monotonic()
        hf.cli("stop", "shop", check=0)
        eventually(lambda: not harness.process_exists(pid), "it is gone")
        self.assertGreaterEqual(time.monotonic() - before, 0.9)

    def test_what_a_service_leaves_behind_goes_with_it(self):
        hf = self.holdfast()
        child_file = self.path("child")
        hf.apply(name="shop", command=[self.program("misfit"), "children", str(child_file)])
        child = int(eventually(lambda: child_file.exists() and child_file.read_text(), "the child is there"))
        hf.cli("stop", "shop", check=0)
        hf.wait_state("shop", "stopped")
        eventually(lambda: not harness.process_exists(child), "the child in a session of its own is gone as well")

    def test_a_program_that_daemonises_is_seen_as_ended_and_its_orphan_does_not_stay(self):
        hf = self.holdfast()
        record = self.path("orphan")
        hf.apply(name="shop", command=[self.program("misfit"), "daemon", str(record)], wait_for=None)
        first = int(eventually(lambda: record.exists() and record.read_text(), "it forked"))
        eventually(lambda: not harness.process_exists(first), "the first orphan is gone")
        entry = eventually(lambda: hf.instance("shop").get("last_exit") and hf.instance("shop"), "the exit is seen")
        self.assertEqual((entry["last_exit"]["by"], entry["last_exit"]["code"]), ("itself", 0))


class Exits(harness.Case):
    def test_codes_and_signals_are_told_as_they_were(self):
        hf = self.holdfast()
        hf.apply(name="seven", command=[self.program("misfit"), "exit", "7", "50"], wait_for=None)
        hf.apply(name="abort", command=[self.program("misfit"), "signal", str(int(signal.SIGABRT)), "50"], wait_for=None)
        seven = hf.wait_instance("seven", 0, lambda entry: "last_exit" in entry, "has ended")["last_exit"]
        self.assertEqual((seven["by"], seven["code"]), ("itself", 7))
        abort = hf.wait_instance("abort", 0, lambda entry: "last_exit" in entry, "has ended")["last_exit"]
        self.assertEqual((abort["by"], abort["signal"]), ("itself", signal.SIGABRT))


if __name__ == "__main__":
    harness.main()
