#!/usr/bin/python3
"""New versions: rolled out while one watches, and taken back by themselves when they do not work."""

import json
import os
import shutil
import subprocess
import threading

import harness
from harness import eventually, get
from hot_restart_test import Clients

WATCHED = {"watch": "2s"}


class Deploy(harness.Case):
    def test_it_blocks_streams_progress_and_exits_0_when_the_version_is_live(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(**self.actor("--version", "${V}", port=port, inherit=True, env={"V": "one"}, deploy=WATCHED))
        self.assertEqual(json.loads(get(port)[1])["version"], "one")
        done = hf.cli("deploy", "shop", "--env", "V=two", check=0)
        self.assertGreater(len(done.stdout.splitlines()), 1)
        self.assertEqual(json.loads(get(port)[1])["version"], "two")
        self.assertEqual(hf.service("shop")["version"], 2)
        self.assertEqual(hf.service("shop")["last_rollout"]["outcome"], "live")

    def test_a_command_after_two_dashes_replaces_the_command(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(**self.actor(port=port, inherit=True, deploy=WATCHED))
        hf.cli("deploy", "shop", "--", self.program("actor"), "--version", "new", check=0)
        self.assertEqual(json.loads(get(port)[1])["version"], "new")

    def test_one_that_does_not_start_is_rolled_back_without_a_client_noticing(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(**self.actor(port=port, inherit=True, deploy=WATCHED))
        old = harness.identity(hf.pid("shop"))
        with Clients(port) as clients:
            done = hf.cli("deploy", "shop", "--", self.program("misfit"), "exit", "7", check=1)
        self.assertEqual(clients.failures, [])
        self.assertIn("7", done.stdout + done.stderr)
        self.assertEqual(harness.identity(hf.pid("shop")), old)
        service = hf.service("shop")
        self.assertEqual(service["last_rollout"]["outcome"], "rolled_back")
        self.assertEqual(hf.wait_state("shop", "ready")["ready"], 1)

    def test_one_that_dies_while_watched_is_rolled_back(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(**self.actor("--version", "${V}", port=port, inherit=True, env={"V": "one"}, deploy={"watch": "20s"}))
        outcome = []
        deploying = threading.Thread(target=lambda: outcome.append(hf.cli("deploy", "shop", "--env", "V=two")))
        deploying.start()
        eventually(lambda: json.loads(get(port)[1])["version"] == "two", "the new version serves")
        for _ in range(20):
            if deploying.is_alive():
                try:
                    if json.loads(get(port)[1])["version"] == "two":
                        get(port, "/exit/9")
                except (OSError, ValueError, harness.http.client.HTTPException):
                    continue
        deploying.join(60)
        self.assertEqual(outcome[0].returncode, 1, outcome[0].stdout)
        eventually(lambda: json.loads(get(port)[1])["version"] == "one", "the old version serves again")

    def test_recreate_stops_the_old_one_before_the_new_one_starts(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(**self.actor("--version", "${V}", port=port, env={"V": "one"}, deploy={"strategy": "recreate", **WATCHED}))
        old = hf.pid("shop")
        hf.cli("deploy", "shop", "--env", "V=two", check=0)
        self.assertFalse(harness.process_exists(old))
        self.assertEqual(json.loads(get(port)[1])["version"], "two")

    def test_with_manual_rollback_a_failed_version_is_left_for_its_owner(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(**self.actor(port=port, deploy={"strategy": "recreate", "rollback": "manual", **WATCHED},
                              restart={"backoff": "100ms..200ms"}))
        hf.cli("deploy", "shop", "--", self.program("misfit"), "exit", "7", check=1)
        self.assertEqual(hf.service("shop")["version"], 2)
        self.assertEqual(hf.cli("rollback", "shop").returncode, 0)
        hf.wait_state("shop", "ready")

    def test_apply_of_a_changed_file_rolls_out_and_wait_waits(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(**self.actor("--version", "one", port=port, inherit=True, deploy=WATCHED))
        hf.cli("apply", hf.spec_file(**self.actor("--version", "two", port=port, inherit=True, deploy=WATCHED)), "--wait",
               check=0)
        self.assertEqual(json.loads(get(port)[1])["version"], "two")


class Versions(harness.Case):
    def own_actor(self, name="shop-program"):
        path = self.path(name)
        shutil.copy(self.program("actor"), path)
        return str(path)

    def test_history_has_every_version_with_its_cause_and_the_hash_of_its_program(self):
        hf = self.holdfast()
        program = self.own_actor()
        hf.apply(name="shop", command=[program, "--no-listen"], deploy={"watch": "1s"})
        hf.cli("deploy", "shop", "--env", "X=1", check=0)
        versions = hf.rest.get("/v1/services/shop/versions")["versions"]
        self.assertEqual([(entry["version"], entry["cause"]) for entry in versions], [(2, "deploy"), (1, "apply")])
        digest = subprocess.run(["sha256sum", program], capture_output=True, text=True, check=True).stdout.split()[0]
        self.assertEqual({entry["sha256"] for entry in versions}, {digest})
        self.assertEqual([entry["current"] for entry in versions], [True, False])
        self.assertIn(f"local:{os.geteuid()}", hf.cli("history", "shop", check=0).stdout)

    def test_rollback_goes_to_the_version_before_or_to_the_one_named(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(**self.actor("--version", "${V}", port=port, inherit=True, env={"V": "one"}, deploy={"watch": "1s"}))
        hf.cli("deploy", "shop", "--env", "V=two", check=0)
        hf.cli("deploy", "shop", "--env", "V=three", check=0)
        hf.cli("rollback", "shop", check=0)
        self.assertEqual(json.loads(get(port)[1])["version"], "two")
        hf.cli("rollback", "shop", "--to", "1", check=0)
        self.assertEqual(json.loads(get(port)[1])["version"], "one")
        latest = hf.rest.get("/v1/services/shop/versions")["versions"][0]
        self.assertEqual((latest["cause"], latest["restores"]), ("rollback", 1))

    def test_rollback_refuses_when_the_program_on_disk_is_no_longer_that_versions(self):
        hf = self.holdfast()
        program = self.own_actor()
        hf.apply(name="shop", command=[program, "--no-listen"], deploy={"watch": "1s"})
        # As an installer does it: a new file takes the name.
        replacement = self.own_actor("shop-program.new")
        with open(replacement, "ab") as file:
            file.write(b"another build")
        os.rename(replacement, program)
        hf.cli("deploy", "shop", "--env", "X=1", check=0)
        pid = harness.identity(hf.pid("shop"))
        done = hf.cli("rollback", "shop", check=1)
        self.assertIn(program, done.stderr)
        self.assertEqual(harness.identity(hf.pid("shop")), pid)
        self.assertEqual(hf.service("shop")["version"], 2)

    def test_rollback_to_a_version_nobody_made_is_refused(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen"))
        self.assertIn("7", hf.cli("rollback", "shop", "--to", "7", check=1).stderr)
        self.assertIn("next", hf.cli("rollback", "shop", check=1).stderr)


if __name__ == "__main__":
    harness.main()
