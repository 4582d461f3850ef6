#!/usr/bin/python3
"""A first hour with Holdfast: up, three lines of TOML, look around, change, delete, leave."""

import json
import os
import signal

import harness
from harness import eventually, get


class FirstSteps(harness.Case):
    def test_up_says_where_to_look_and_status_says_one_machine(self):
        hf = self.holdfast()
        said = hf.log.read_text()
        self.assertIn(f"127.0.0.1:{self.ports.base}", said)
        self.assertIn(str(hf.data), said)
        status = hf.cli("status", check=0).stdout
        self.assertIn("one machine: no redundancy", status)
        self.assertEqual(hf.json("status")["health"], "ok")

    def test_three_lines_are_enough(self):
        hf = self.holdfast()
        port = self.port()
        self.path("shop.toml").write_text(f'name    = "shop"\n'
                                          f'command = ["{self.program("actor")}"]\n'
                                          f'listen  = {{ http = {port} }}\n')
        hf.cli("apply", self.path("shop.toml"), check=0)
        hf.wait_state("shop", "ready")
        self.assertEqual(json.loads(get(port)[1])["pid"], hf.pid("shop"))
        self.assertIn("shop", hf.cli("services", check=0).stdout)

    def test_delete_stops_it_and_nothing_of_it_is_left(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        pid = hf.pid("shop")
        hf.cli("delete", "shop", check=0)
        eventually(lambda: not harness.process_exists(pid), "the process is gone")
        eventually(lambda: hf.rest.call("GET", "/v1/services/shop")[0] == 404, "the service is gone")

    def test_a_dry_run_shows_the_plan_and_changes_nothing(self):
        hf = self.holdfast()
        plan = hf.json("apply", hf.spec_file(**self.actor(port=self.port())), "--dry-run")
        self.assertEqual((plan["change"], plan["dry_run"]), ("created", True))
        self.assertEqual(hf.rest.get("/v1/services")["services"], [])

    def test_a_dry_run_of_a_change_names_what_would_change(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        changed = self.actor("--version", "two", port=self.ports.next - 1)
        plan = hf.json("apply", hf.spec_file(**changed), "--dry-run")
        self.assertEqual((plan["change"], plan["before"]), ("changed", 1))
        self.assertEqual([change["key"] for change in plan["changes"]], ["command"])
        self.assertEqual(hf.service("shop")["version"], 1)

    def test_applying_the_same_file_twice_changes_nothing(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        before = harness.identity(hf.pid("shop"))
        self.assertEqual(hf.json("apply", self.path("shop.toml"))["change"], "unchanged")
        self.assertEqual(harness.identity(hf.pid("shop")), before)
        self.assertEqual(hf.service("shop")["version"], 1)

    def test_services_are_there_again_after_a_stop_of_everything(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        old = hf.pid("shop")
        harness.kill(hf.nurseries[-1].pid, signal.SIGTERM)
        self.assertEqual(hf.nurseries[-1].wait(), ("exit", 0))
        self.assertFalse(harness.process_exists(old))
        hf.up()
        hf.wait_state("shop", "ready")
        self.assertNotEqual(hf.pid("shop"), old)

    def test_ctrl_c_stops_services_gracefully_and_a_second_one_at_once(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--deaf", port=self.port(), deploy={"drain": "5m"}))
        pid = hf.pid("shop")
        harness.kill(hf.nurseries[-1].pid, signal.SIGINT)
        eventually(lambda: hf.rest.call("GET", "/readyz", timeout=1)[0] != 200 or hf.service("shop")["state"] == "stopping",
                   "the services are being stopped")
        self.assertTrue(harness.process_exists(pid))
        harness.kill(hf.nurseries[-1].pid, signal.SIGINT)
        hf.nurseries[-1].wait(within=5)
        self.assertFalse(harness.process_exists(pid))

    def test_a_second_up_with_the_same_build_says_so_and_exits_0(self):
        hf = self.holdfast()
        keeper = harness.identity(hf.keeper_pid())
        node = harness.identity(hf.node_pid())
        done = hf.cli(*hf.up_command()[1:], check=0)
        self.assertIn("already runs", done.stdout)
        self.assertEqual(harness.identity(hf.keeper_pid()), keeper)
        self.assertEqual(harness.identity(hf.node_pid()), node)


class Mistakes(harness.Case):
    def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one(self):
        hf = self.holdfast()
        path = self.path("shop.toml")
        path.write_text('name = "shop"\ncommnad = ["/bin/true"]\n')
        done = hf.cli("apply", path, check=1)
        self.assertRegex(done.stderr, r"shop\.toml:2(:\d+)?: .*commnad.*\bcommand\b")
        self.assertEqual(hf.rest.get("/v1/services")["services"], [])

    def test_a_wrong_unit_is_refused_with_reason_and_example(self):
        hf = self.holdfast()
        path = self.path("shop.toml")
        path.write_text('name = "shop"\ncommand = ["/bin/true"]\n[limits]\nmemory = "12 parsecs"\n')
        done = hf.cli("apply", path, check=1)
        self.assertRegex(done.stderr, r"shop\.toml:4")
        self.assertIn("MiB", done.stderr)

    def test_a_key_of_a_later_feature_is_refused_not_ignored(self):
        hf = self.holdfast()
        path = self.path("shop.toml")
        path.write_text('name = "shop"\ncommand = ["/bin/true"]\n[data]\npath = "/var/lib/shop"\n')
        done = hf.cli("apply", path, check=1)
        self.assertIn("not available yet", done.stderr)

    def test_a_command_line_mistake_is_exit_code_2_and_an_error_says_what_next(self):
        hf = self.holdfast()
        self.assertEqual(hf.cli("aply").returncode, 2)
        self.assertEqual(hf.cli("status", "--no-such-flag").returncode, 2)
        done = hf.cli("logs", "nothing-of-that-name", check=1)
        self.assertIn("nothing-of-that-name", done.stderr)
        self.assertIn("holdfast", done.stderr)

    def test_without_a_node_the_command_says_how_to_start_one(self):
        hf = self.holdfast(start=False)
        done = hf.cli("status", check=1)
        self.assertIn("holdfast up", done.stderr)

    def test_a_program_that_does_not_exist_is_said_where_one_looks(self):
        hf = self.holdfast()
        hf.apply(name="shop", command=["/nonexistent/shop"], wait_for=None)
        eventually(lambda: "/nonexistent/shop" in json.dumps(hf.service("shop")), "the reason names the program")
        self.assertEqual(hf.cli("status").returncode, 3)


class Effective(harness.Case):
    def test_every_default_can_be_printed_and_means_the_same(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        text = hf.cli("spec", "shop", "--effective", check=0).stdout
        self.assertIn("reset_after", text)
        self.path("again.toml").write_text(text)
        plan = hf.json("apply", self.path("again.toml"), "--dry-run")
        self.assertEqual(plan["change"], "unchanged", text)

    def test_version_and_doctor_answer(self):
        hf = self.holdfast()
        self.assertIn("holdfast", hf.cli("version", check=0).stdout)
        self.assertTrue(hf.json("version")["version"])
        doctor = hf.cli("doctor", "--data", hf.data)
        self.assertIn(doctor.returncode, (0, 1, 3), doctor.stderr)
        self.assertIn(os.uname().release, doctor.stdout)


if __name__ == "__main__":
    harness.main()
