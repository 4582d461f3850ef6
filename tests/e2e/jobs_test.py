#!/usr/bin/python3
"""Jobs: run when due, tried as often as allowed, counted only when verified, never in silence."""

import datetime
import signal

import harness
from harness import eventually, stays


class Jobs(harness.Case):
    def runs(self, hf, name="job"):
        # By the command, because a run's output is not for everybody.
        return hf.json("runs", name)["runs"]

    def job(self, hf, script, name="job", **job):
        if "every" not in job and "at" not in job:
            job["once"] = True
        hf.cli("apply", hf.spec_file(name=name, command=["/bin/sh", "-c", script], job=job), check=0)

    def ended(self, hf, within=harness.DEADLINE_SECONDS):
        return eventually(lambda: [run for run in self.runs(hf) if run["state"] in ("succeeded", "failed")],
                          "a run has ended", within)[-1]

    def test_a_job_runs_once_and_its_output_is_kept(self):
        hf = self.holdfast()
        self.job(hf, "echo hello from the job")
        run = self.ended(hf)
        self.assertEqual((run["state"], run["tries"], run["code"]), ("succeeded", 1, 0))
        self.assertIn("hello from the job", run["output"])
        self.assertIn("succeeded", hf.cli("runs", "job", check=0).stdout)
        stays(lambda: len(self.runs(hf)) == 1, "it ran once", 1)

    def test_a_failed_try_is_tried_again_as_often_as_asked(self):
        hf = self.holdfast()
        tries = self.path("tries")
        self.job(hf, f"echo x >> {tries}; test $(wc -l < {tries}) -ge 3", tries=5, backoff="100ms..200ms")
        run = self.ended(hf)
        self.assertEqual((run["state"], run["tries"]), ("succeeded", 3))

    def test_when_all_tries_fail_the_run_has_failed_and_status_says_so(self):
        hf = self.holdfast()
        self.job(hf, "echo why it fails; exit 4", tries=2, backoff="100ms..200ms")
        run = self.ended(hf)
        self.assertEqual((run["state"], run["tries"], run["code"]), ("failed", 2, 4))
        self.assertIn("why it fails", run["output"])
        hf.wait_state("job", "failed")

    def test_a_run_counts_only_when_it_is_verified(self):
        hf = self.holdfast()
        result = self.path("result")
        self.job(hf, "true", tries=1, verify=f"exec:test -e {result}")
        self.assertEqual(self.ended(hf)["state"], "failed")
        self.job(hf, f"touch {result}", name="good", tries=1, verify=f"exec:test -e {result}")
        eventually(lambda: self.runs(hf, "good")[0]["state"] == "succeeded", "the verified one counts")

    def test_a_run_that_takes_too_long_is_ended(self):
        hf = self.holdfast()
        pid_file = self.path("pid")
        self.job(hf, f"echo $$ > {pid_file}; exec sleep 1000", tries=1, timeout="1s")
        run = self.ended(hf)
        self.assertEqual(run["state"], "failed")
        self.assertIn("1s", run["reason"])
        self.assertFalse(harness.process_exists(int(pid_file.read_text())))

    def test_every_repeats_and_says_when_it_is_next(self):
        hf = self.holdfast()
        self.job(hf, "true", every="1s")
        eventually(lambda: sum(run["state"] == "succeeded" for run in self.runs(hf)) >= 3, "three runs")
        self.assertIn("next", hf.json("runs", "job"))

    def test_at_runs_at_that_time_of_the_day(self):
        hf = self.holdfast()
        due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        self.job(hf, "true", at=due.strftime("%H:%M:%S"))
        self.assertEqual(hf.json("runs", "job")["next"][:19], due.strftime("%Y-%m-%dT%H:%M:%S"))
        run = self.ended(hf)
        self.assertEqual((run["state"], run["due"][:19]), ("succeeded", due.strftime("%Y-%m-%dT%H:%M:%S")))

    def test_tries_pause_as_long_as_the_back_off_says(self):
        hf = self.holdfast()
        self.job(hf, "exit 1", tries=2, backoff="1m..1m")
        eventually(lambda: self.runs(hf)[0]["tries"] == 1, "the first try has ended")
        stays(lambda: self.runs(hf)[0]["state"] == "running" and self.runs(hf)[0]["tries"] == 1, "it waits", 1)
        self.job(hf, "exit 1", name="quick", tries=2, backoff="1ms..2ms")
        eventually(lambda: self.runs(hf, "quick")[0]["state"] == "failed", "the second try came at once", within=5)

    def test_overlap_skip_queue_replace(self):
        hf = self.holdfast()
        for overlap, seen in (("skip", "skipped"), ("queue", "queued"), ("replace", "replaced")):
            self.job(hf, "sleep 1000", name=overlap, every="1s", overlap=overlap)
            eventually(lambda name=overlap, state=seen: any(run["state"] == state for run in self.runs(hf, name)),
                       f"a run is {seen}")
            self.assertLessEqual(sum(run["state"] == "running" for run in self.runs(hf, overlap)), 1)

    def test_runs_that_were_missed_are_reported(self):
        hf = self.holdfast()
        self.job(hf, "true", every="1s")
        self.ended(hf)
        harness.kill(hf.nurseries[-1].pid, signal.SIGTERM)
        hf.nurseries[-1].wait()
        last = harness.time.monotonic()
        eventually(lambda: harness.time.monotonic() - last > 3, "three occasions have passed")
        hf.up()
        missed = eventually(lambda: [run for run in self.runs(hf) if run["state"] == "missed"], "missed runs are told")
        self.assertGreaterEqual(sum(run["times"] for run in missed), 2)
        eventually(lambda: self.runs(hf)[0]["state"] in ("running", "succeeded"), "it goes on")

    def test_a_job_under_way_outlives_the_node_and_its_exit_counts(self):
        hf = self.holdfast()
        gate, tries = self.path("gate"), self.path("tries")
        self.job(hf, f"echo x >> {tries}; while ! test -e {gate}; do sleep 0.05; done; exit 0", tries=1)
        eventually(tries.exists, "it runs")
        harness.kill(hf.node_pid())
        gate.touch()
        hf.wait_ready()
        self.assertEqual(self.ended(hf)["state"], "succeeded")
        self.assertEqual(tries.read_text(), "x\n")


if __name__ == "__main__":
    harness.main()
