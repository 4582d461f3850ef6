#!/usr/bin/python3
"""Keeper and node die, hang and change in every order; services do not notice, and nothing ever runs twice."""

import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess

import harness
from harness import eventually, get, stays
from hot_restart_test import Clients


def processes_running(program):
    """Pids of processes whose command line begins with that program."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().split(b"\0")[0] == program.encode():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if harness.process_exists(pid)]


def other_build(binary, folder):
    """The program and its keeper once more, with other build ids, as a new release would be."""
    folder.mkdir()
    for name in (binary, binary.parent / "holdfast-keeper"):
        copy = folder / name.name
        shutil.copy(name, copy)
        bytes_ = bytearray(copy.read_bytes())
        # The note: sizes of name and contents, type 3 (NT_GNU_BUILD_ID), "GNU\0", the id.
        at = bytes_.find(struct.pack("<I", 3) + b"GNU\0")
        if at >= 0:
            bytes_[at + 8] ^= 0xff
        else:
            bytes_ += b"another build"
        copy.write_bytes(bytes_)
    return folder / binary.name


class Case(harness.Case):
    def kept(self, **spec):
        """A Holdfast with a service, by a copy of the actor so that its processes can be counted."""
        hf = self.holdfast()
        self.copy = self.path("kept-actor")
        shutil.copy(self.program("actor"), self.copy)
        self.serving = self.port()
        hf.apply(name="shop", command=[str(self.copy)], listen={"http": self.serving, "sockets": "inherit"}, **spec)
        self.before = harness.identity(hf.pid("shop"))
        return hf

    def assert_unharmed(self, hf):
        hf.wait_state("shop", "ready")
        self.assertEqual(harness.identity(hf.pid("shop")), self.before)
        self.assertEqual(processes_running(str(self.copy)), [self.before[0]])
        self.assertEqual(json.loads(get(self.serving)[1])["pid"], self.before[0])
        self.assertEqual(hf.instance("shop")["restarts"], 0)


class NodeDies(Case):
    def test_killed_it_comes_back_and_services_keep_pid_and_start_time(self):
        hf = self.kept()
        old, keeper = hf.node_pid(), harness.identity(hf.keeper_pid())
        started = hf.instance("shop")["started"]
        with Clients(self.serving) as clients:
            harness.kill(old)
            eventually(lambda: hf.node_pid() != old, "a new node answers")
            hf.wait_ready()
        self.assertEqual(clients.failures, [])
        self.assert_unharmed(hf)
        self.assertEqual(hf.instance("shop")["started"], started)
        self.assertEqual(harness.identity(hf.keeper_pid()), keeper)
        self.assertIn("SIGKILL", json.dumps(hf.node()["keeper"]["node_deaths"]))

    def test_held_down_for_five_seconds_services_serve_and_exits_are_not_lost(self):
        hf = self.kept()
        hf.apply(name="brief", command=[str(self.program("misfit")), "exit", "5", "2500"], wait_for=None,
                 restart={"backoff": "100ms..1s"})
        eventually(lambda: hf.instance("brief").get("pid"), "brief runs")
        old = hf.node_pid()
        subprocess.run([self.program("keeper_tool"), "hold", str(hf.data), "5000"], check=True)
        with Clients(self.serving) as clients:
            eventually(lambda: not harness.process_exists(old), "the node is down")
            stays(lambda: not self.answers(hf), "the node is held down", 4)
            hf.wait_ready()
        self.assertEqual(clients.failures, [])
        self.assert_unharmed(hf)
        self.assertTrue(eventually(lambda: any("code 5" in line for line in hf.told("brief")), "the exit is told"))
        self.assertEqual(hf.instance("brief")["last_exit"]["code"], 5)

    @staticmethod
    def answers(hf):
        try:
            return hf.rest.call("GET", "/healthz", timeout=1)[0] == 200
        except OSError:
            return False

    def test_output_of_the_time_without_a_node_is_in_the_log(self):
        hf = self.kept()
        ticks = self.path("ticks")
        os.mkfifo(ticks)
        hf.apply(name="talk", command=["/bin/sh", "-c", f"while :; do cat {ticks}; done"])
        subprocess.run([self.program("keeper_tool"), "hold", str(hf.data), "2000"], check=True)
        ticks.write_text("said while nobody listened\n")
        hf.wait_ready()
        eventually(lambda: ("out", "said while nobody listened") in hf.log_lines("talk"), "the line is there")

    def test_a_node_that_hangs_is_replaced(self):
        hf = self.kept()
        old = hf.node_pid()
        harness.kill(old, signal.SIGSTOP)
        eventually(lambda: not harness.process_exists(old), "the keeper ends it", within=60)
        hf.wait_ready()
        self.assertNotEqual(hf.node_pid(), old)
        self.assert_unharmed(hf)

    def test_status_says_since_when_and_how_often(self):
        hf = self.kept()
        old = hf.node_pid()
        harness.kill(old)
        eventually(lambda: hf.node_pid() != old, "a new node answers")
        keeper = hf.node()["keeper"]
        self.assertEqual(keeper["node_restarts"], 1)
        self.assertEqual(len(keeper["node_deaths"]), 1)


class KeeperDies(Case):
    def test_the_node_goes_on_and_starts_a_new_keeper_that_adopts_what_runs(self):
        hf = self.kept()
        keeper, node = hf.keeper_pid(), harness.identity(hf.node_pid())
        with Clients(self.serving) as clients:
            harness.kill(keeper)
            eventually(lambda: hf.node()["keeper"]["state"] == "ok" and hf.keeper_pid() != keeper, "a new keeper")
        self.assertEqual(clients.failures, [])
        self.assertEqual(harness.identity(hf.node_pid()), node)
        self.assert_unharmed(hf)
        self.assertTrue(hf.node()["keeper"]["took_over"])

    def test_the_new_keeper_restarts_what_dies_and_keeps_its_socket(self):
        hf = self.kept()
        keeper = hf.keeper_pid()
        harness.kill(keeper)
        eventually(lambda: hf.node()["keeper"]["state"] == "ok" and hf.keeper_pid() != keeper, "a new keeper")
        with Clients(self.serving, threads=1) as clients:
            pid = hf.pid("shop")
            hf.cli("restart", "shop", "--hot", check=0)
            hf.wait_restarted("shop", pid)
        self.assertEqual(clients.failures, [])
        pid = hf.pid("shop")
        harness.kill(pid)
        hf.wait_restarted("shop", pid)
        self.assertEqual(len(processes_running(str(self.copy))), 1)

    def test_an_end_nobody_saw_is_unknown_not_invented(self):
        hf = self.kept()
        keeper = hf.keeper_pid()
        # With the node stopped, nobody starts a new keeper before the service has ended.
        node = hf.node_pid()
        harness.kill(node, signal.SIGSTOP)
        harness.kill(keeper)
        eventually(lambda: not harness.process_exists(keeper), "the keeper is gone")
        harness.kill(self.before[0])
        eventually(lambda: not harness.process_exists(self.before[0]), "the service is gone")
        harness.kill(node, signal.SIGCONT)
        hf.wait_restarted("shop", self.before[0])
        self.assertEqual(hf.instance("shop")["last_exit"]["by"], "unknown")
        self.assertEqual(len(processes_running(str(self.copy))), 1)

    def test_logs_go_on(self):
        hf = self.kept()
        ticks = self.path("ticks")
        os.mkfifo(ticks)
        hf.apply(name="talk", command=["/bin/sh", "-c", f"while :; do cat {ticks}; done"])
        keeper = hf.keeper_pid()
        harness.kill(keeper)
        eventually(lambda: hf.node()["keeper"]["state"] == "ok" and hf.keeper_pid() != keeper, "a new keeper")
        ticks.write_text("after the keeper\n")
        eventually(lambda: ("out", "after the keeper") in hf.log_lines("talk"), "the line is there")


class BothDie(Case):
    def test_the_next_up_adopts_what_is_left(self):
        hf = self.kept()
        node, keeper = hf.node_pid(), hf.keeper_pid()
        for pid in (node, keeper):
            harness.kill(pid, signal.SIGSTOP)
        for pid in (node, keeper):
            harness.kill(pid)
        eventually(lambda: not harness.process_exists(node) and not harness.process_exists(keeper), "both are gone")
        self.assertTrue(harness.process_exists(self.before[0]))
        hf.up()
        self.assert_unharmed(hf)

    def test_a_service_whose_end_nobody_saw_runs_again_once(self):
        hf = self.kept()
        node, keeper = hf.node_pid(), hf.keeper_pid()
        for pid in (node, keeper):
            harness.kill(pid, signal.SIGSTOP)
        for pid in (node, keeper, self.before[0]):
            harness.kill(pid)
        eventually(lambda: not harness.process_exists(keeper), "all are gone")
        hf.up()
        hf.wait_state("shop", "ready")
        self.assertEqual(len(processes_running(str(self.copy))), 1)
        self.assertEqual(hf.instance("shop")["last_exit"]["by"], "unknown")

    def test_a_reset_with_a_table_half_written_is_named_and_nothing_is_lost(self):
        hf = self.kept()
        pids = [hf.node_pid(), hf.keeper_pid(), self.before[0]]
        for pid in pids:
            harness.kill(pid, signal.SIGSTOP)
        for pid in pids:
            harness.kill(pid)
        eventually(lambda: not any(map(harness.process_exists, pids)), "all are gone")
        table = next(path for path in hf.data.rglob("*") if path.is_file() and "table" in path.name)
        half = table.read_bytes()[:table.stat().st_size // 2]
        table.write_bytes(half)
        hf.up()
        hf.wait_state("shop", "ready")
        self.assertEqual(len(processes_running(str(self.copy))), 1)
        aside = [path for path in table.parent.iterdir() if path != table and path.is_file() and path.read_bytes() == half]
        self.assertEqual(len(aside), 1, list(table.parent.iterdir()))
        self.assertIn(aside[0].name, json.dumps(hf.rest.get("/v1/status")))


class Upgrade(Case):
    def test_a_second_up_with_another_build_hands_over_and_exits_0(self):
        hf = self.kept()
        newer = other_build(hf.binary, self.path("newer"))
        node, keeper = hf.node(), harness.identity(hf.keeper_pid())
        with Clients(self.serving) as clients:
            done = subprocess.run(list(map(str, hf.up_command(binary=newer))), env=hf.env, capture_output=True, text=True,
                                  timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(clients.failures, [])
        self.assert_unharmed(hf)
        after = hf.node()
        self.assertNotEqual(after["pid"], node["pid"])
        self.assertNotEqual(after["build"], node["build"])
        self.assertNotEqual(after["keeper"]["build"], node["keeper"]["build"])
        # The keeper becomes the new one by exec: same process, other program.
        self.assertEqual(harness.identity(hf.keeper_pid()), keeper)
        self.assertEqual(os.readlink(f"/proc/{keeper[0]}/exe"), str(newer.parent / "holdfast-keeper"))
        eventually(lambda: not harness.process_exists(node["pid"]), "the old node has gone")

    def test_rest_answers_all_through_an_upgrade(self):
        hf = self.kept()
        newer = other_build(hf.binary, self.path("newer"))
        with Clients(self.serving):
            upgrading = subprocess.Popen(list(map(str, hf.up_command(binary=newer))), env=hf.env,
                                         stdout=subprocess.DEVNULL)
            longest, last = 0.0, harness.time.monotonic()
            while upgrading.poll() is None:
                try:
                    if hf.rest.call("GET", "/healthz", timeout=1)[0] == 200:
                        now = harness.time.monotonic()
                        longest, last = max(longest, now - last), now
                except OSError:
                    continue
        self.assertEqual(upgrading.returncode, 0)
        self.assertLess(longest, 5)

    def test_a_build_that_does_not_get_ready_changes_nothing(self):
        hf = self.kept()
        newer = other_build(hf.binary, self.path("newer"))
        newer.write_text("#!/bin/sh\nexit 1\n")
        node, keeper = harness.identity(hf.node_pid()), harness.identity(hf.keeper_pid())
        # The good program asks for the bad one, as `up` of a broken release would.
        asked = subprocess.run([self.program("keeper_tool"), "upgrade", str(hf.data), str(newer)], capture_output=True,
                               text=True, timeout=180)
        self.assertEqual(asked.returncode, 1, asked.stdout)
        self.assertEqual(harness.identity(hf.node_pid()), node)
        self.assertEqual(harness.identity(hf.keeper_pid()), keeper)
        self.assert_unharmed(hf)

    def test_services_started_before_an_upgrade_are_supervised_after_it(self):
        hf = self.kept()
        newer = other_build(hf.binary, self.path("newer"))
        subprocess.run(list(map(str, hf.up_command(binary=newer))), env=hf.env, check=True, capture_output=True, timeout=120)
        harness.kill(self.before[0])
        hf.wait_restarted("shop", self.before[0])
        self.assertEqual(hf.instance("shop")["last_exit"]["by"], "outside")


if __name__ == "__main__":
    harness.main()
