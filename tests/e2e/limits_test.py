#!/usr/bin/python3
"""What a service may use, as whom it runs, and what it finds when it starts."""

import grp
import json
import os
import pathlib
import pwd
import signal
import unittest

import harness
from harness import eventually

REPORT = ["/usr/bin/python3", str(pathlib.Path(__file__).resolve().parent.parent / "programs" / "report.py")]


class Environment(harness.Case):
    def report(self, hf, **spec):
        """What a service sees of itself."""
        path = self.path("out") / "report.json"
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o777)
        hf.apply(name="shop", command=[*REPORT, str(path), "argument", "${HOLDFAST_SERVICE}"], **spec)
        return json.loads(eventually(lambda: path.exists() and path.read_text(), "it has reported"))

    def test_it_gets_its_variables_and_nothing_of_ours(self):
        hf = self.holdfast(start=False)
        hf.env["SECRET_OF_THE_OPERATOR"] = "x"
        hf.up()
        port = self.port()
        seen = self.report(hf, env={"LOG": "info", "WHERE": "at ${PORT}"}, listen={"tcp": port},
                           health={"ready": "exec:true"})
        env = seen["env"]
        self.assertEqual(env["LOG"], "info")
        self.assertEqual(env["WHERE"], f"at {port}")
        self.assertEqual(env["PORT"], str(port))
        self.assertEqual((env["HOLDFAST_SERVICE"], env["HOLDFAST_INSTANCE"], env["HOLDFAST_NODE"]), ("shop", "0", "box"))
        self.assertIn("HOLDFAST_EPOCH", env)
        self.assertIn("PATH", env)
        self.assertNotIn("SECRET_OF_THE_OPERATOR", env)
        self.assertEqual(seen["arguments"], ["argument", "shop"])

    def test_it_inherits_no_descriptor_but_the_three_and_nothing_blocked(self):
        hf = self.holdfast()
        seen = self.report(hf)
        self.assertEqual(sorted(seen["descriptors"]), [0, 1, 2])
        self.assertEqual(seen["signals_blocked"], [])
        self.assertEqual(seen["signals_ignored"], [])
        self.assertEqual(seen["descriptors_open"]["0"], "/dev/null")

    def test_it_is_a_group_of_its_own_in_the_directory_asked_for(self):
        hf = self.holdfast()
        where = self.path("home")
        where.mkdir()
        where.chmod(0o777)
        seen = self.report(hf, directory=str(where))
        self.assertEqual(seen["directory"], str(where))
        self.assertEqual(seen["group"], seen["pid"])

    @unittest.skipUnless(os.geteuid() == 0, "only root may become somebody else")
    def test_it_runs_as_the_user_asked_for_with_that_users_groups_and_no_others(self):
        hf = self.holdfast()
        user = pwd.getpwnam("www-data")
        seen = self.report(hf, user="www-data")
        self.assertEqual(seen["uids"], [user.pw_uid] * 3)
        self.assertEqual(seen["gids"], [user.pw_gid] * 3)
        self.assertEqual(sorted(set(seen["groups"]) | {user.pw_gid}),
                         sorted({user.pw_gid, *(group.gr_gid for group in grp.getgrall() if "www-data" in group.gr_mem)}))
        self.assertEqual(seen["env"]["USER"], "www-data")
        self.assertEqual(seen["env"]["HOME"], user.pw_dir)

    @unittest.skipUnless(os.geteuid() == 0, "only root is warned of")
    def test_status_warns_of_services_that_run_as_root(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen"))
        self.assertIn("root", " ".join(hf.json("status")["warnings"]))

    def test_an_unknown_user_and_a_missing_directory_are_named(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen", name="who", user="nobody-of-this-name"), wait_for=None)
        eventually(lambda: "nobody-of-this-name" in json.dumps(hf.service("who")["instances"]), "the user is named")
        hf.apply(**self.actor("--no-listen", name="where", directory="/no/such/place"), wait_for=None)
        eventually(lambda: "/no/such/place" in json.dumps(hf.service("where")["instances"]), "the directory is named")


class Limits(harness.Case):
    def test_limits_of_files_and_cores_are_the_kernels(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen", limits={"files": 4096, "core": "0"}))
        limits = pathlib.Path(f"/proc/{hf.pid('shop')}/limits").read_text()
        self.assertRegex(limits, r"Max open files +4096 +4096")
        self.assertRegex(limits, r"Max core file size +0 +0")

    def test_a_service_that_leaks_is_ended_by_its_limit_and_said_to_be_so(self):
        hf = self.holdfast()
        hf.apply(name="leak", command=[self.program("misfit"), "leak", "200"], limits={"memory": "64MiB"}, wait_for=None)
        entry = hf.wait_instance("leak", 0, lambda seen: "last_exit" in seen or seen["weakened"], "met its limit")
        if entry["weakened"]:
            self.assertIn("memory", " ".join(entry["weakened"]))
            self.skipTest("no memory cgroup is writable here")
        self.assertEqual((entry["last_exit"]["by"], entry["last_exit"]["signal"]), ("oom", signal.SIGKILL))
        self.assertIn("memory", (entry["last_exit"]["reason"] + entry["reason"]).lower())
        self.assertIn("memory", "\n".join(hf.told("leak")).lower())

    def test_a_limit_of_cpu_is_kept_or_said_not_to_be(self):
        hf = self.holdfast()
        hf.apply(name="busy", command=["/bin/sh", "-c", "while :; do :; done"], limits={"cpu": 0.2})
        entry = hf.instance("busy")
        if entry["weakened"]:
            self.assertIn("cpu", " ".join(entry["weakened"]))
            self.skipTest("no cpu cgroup is writable here")

        def used_seconds():
            text = pathlib.Path(f"/proc/{entry['pid']}/stat").read_text()
            fields = text[text.rindex(")") + 2:].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before, used = harness.time.monotonic(), used_seconds()
        eventually(lambda: harness.time.monotonic() - before > 3, "three seconds have passed")
        share = (used_seconds() - used) / (harness.time.monotonic() - before)
        self.assertLess(share, 0.35)


if __name__ == "__main__":
    harness.main()
