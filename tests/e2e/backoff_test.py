#!/usr/bin/python3
"""Programs that will not start are tried again ever more rarely, never given up, and never stop others."""

import harness
from harness import eventually, stays


def start_times(path):
    return [float(line.split()[1]) for line in path.read_text().splitlines()] if path.exists() else []


class Backoff(harness.Case):
    def beside_a_ready_one(self, hf, backoff, *options):
        """Two instances, of which the second will not start while the file that is returned is there."""
        broken = self.path("broken1")
        broken.touch()
        hf.apply(**self.actor("--fail-if", self.path("broken${HOLDFAST_INSTANCE}"), *options, port=self.port(),
                              inherit=True, instances=2, restart={"backoff": backoff}), wait_for=None)
        hf.wait_instance("shop", 0, lambda entry: entry["state"] == "ready", "is ready")
        return broken

    def test_failing_starts_come_ever_more_rarely_and_go_on(self):
        hf = self.holdfast()
        record = self.path("starts")
        broken = self.beside_a_ready_one(hf, "100ms..2s", "--started", f"{record}${{HOLDFAST_INSTANCE}}")
        record = self.path("starts1")
        eventually(lambda: len(start_times(record)) >= 9, "nine tries", within=60)
        times = start_times(record)
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        # Full jitter: single gaps may be anything up to the bound, so look at sums.
        self.assertLessEqual(max(gaps), 2.0 + 0.5, gaps)
        self.assertGreater(sum(gaps[4:]), sum(gaps[:3]), gaps)
        broken.unlink()
        hf.wait_state("shop", "ready")

    def test_the_reason_and_the_time_of_the_next_start_are_shown(self):
        hf = self.holdfast()
        self.beside_a_ready_one(hf, "20s..30s")
        entry = hf.wait_instance("shop", 1, lambda seen: seen["state"] == "backing_off", "backs off")
        self.assertIn("next_start", entry)
        self.assertEqual(entry["last_exit"]["code"], 3)
        self.assertEqual(hf.service("shop")["state"], "degraded")
        self.assertIn("next: holdfast", hf.cli("status", check=3).stdout)

    def test_a_start_by_hand_does_not_wait(self):
        hf = self.holdfast()
        broken = self.beside_a_ready_one(hf, "10m..20m")
        hf.wait_instance("shop", 1, lambda entry: entry["state"] == "backing_off", "backs off")
        broken.unlink()
        hf.cli("start", "shop", check=0)
        hf.wait_state("shop", "ready", within=10)

    def test_the_last_candidate_is_always_being_started_at_most_ten_times_a_second(self):
        hf = self.holdfast()
        record, broken = self.path("starts"), self.path("broken")
        broken.touch()
        hf.apply(**self.actor("--started", record, "--fail-if", broken, port=self.port(),
                              restart={"backoff": "10m..20m"}), wait_for=None)
        eventually(lambda: len(start_times(record)) >= 20, "twenty tries", within=15)
        # The first start is no restart.
        restarts = start_times(record)[1:]
        for first, eleventh in zip(restarts, restarts[10:]):
            self.assertGreater(eleventh - first, 0.9)
        self.assertEqual(hf.cli("status").returncode, 3)
        broken.unlink()
        hf.wait_state("shop", "ready", within=5)

    def test_one_that_will_not_start_does_not_hold_up_another(self):
        hf = self.holdfast()
        broken = self.path("broken")
        broken.touch()
        for number in range(3):
            hf.apply(**self.actor("--fail-if", broken, name=f"broken{number}", port=self.port(),
                                  restart={"backoff": "100ms..200ms"}), wait_for=None)
        hf.apply(**self.actor(name="good", port=self.port()))
        pid = hf.pid("good")
        stays(lambda: hf.service("good")["state"] == "ready" and hf.pid("good") == pid, "good stays ready", seconds=1)

    def test_many_slow_starters_take_turns(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--start-ms", "800", port=self.port(), inherit=True, instances=10), wait_for=None)
        queued = eventually(lambda: [entry for entry in hf.service("shop")["instances"] if entry["state"] == "queued"],
                            "some wait for their turn")
        self.assertLess(len(queued), 10)
        eventually(lambda: hf.service("shop")["ready"] == 10, "all are ready in the end", within=40)


if __name__ == "__main__":
    harness.main()
