#!/usr/bin/python3
"""A service on the keeper's socket is replaced without a client noticing."""

import contextlib
import json
import socket
import threading

import harness
from harness import eventually, get


class Clients:
    """Threads that connect all the time and never try again: every failure counts."""

    def __init__(self, port, threads=4):
        self.port = port
        self.failures = []
        self.served_by = {}
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def _run(self):
        while not self.stop.is_set():
            try:
                status, text = get(self.port, timeout=5)
                if status != 200:
                    self.failures.append(f"status {status}")
                    continue
                pid = json.loads(text)["pid"]
                self.served_by[pid] = self.served_by.get(pid, 0) + 1
            except (OSError, ValueError, harness.http.client.HTTPException) as error:
                self.failures.append(repr(error))

    def count(self):
        return sum(self.served_by.values())

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.stop.set()
        for thread in self.threads:
            thread.join(harness.DEADLINE_SECONDS)


class HotRestart(harness.Case):
    def inheriting(self, hf, *options, **spec):
        port = self.port()
        hf.apply(**self.actor(*options, port=port, inherit=True, **spec))
        return port

    def test_the_instance_accepts_on_the_keepers_socket(self):
        hf = self.holdfast()
        port = self.inheriting(hf)
        self.assertEqual(json.loads(get(port)[1])["inherited"], 1)

    def test_three_instances_share_one_accept_queue(self):
        hf = self.holdfast()
        port = self.inheriting(hf, instances=3)
        with Clients(port, threads=8) as clients:
            eventually(lambda: len(clients.served_by) == 3, "all three have answered")
        self.assertEqual(clients.failures, [])

    def test_twenty_hot_restarts_under_continuous_connects_lose_none(self):
        hf = self.holdfast()
        port = self.inheriting(hf, "--notify")
        with Clients(port) as clients:
            for _ in range(20):
                old = hf.pid("shop")
                before = clients.count()
                hf.cli("restart", "shop", "--hot", check=0)
                hf.wait_restarted("shop", old)
                eventually(lambda: not harness.process_exists(old), "the old one has gone")
                eventually(lambda: clients.count() > before, "clients are served")
        self.assertEqual(clients.failures, [])
        self.assertGreaterEqual(len(clients.served_by), 20)

    def test_the_old_one_serves_until_the_new_one_is_ready(self):
        hf = self.holdfast()
        port = self.inheriting(hf, "--notify", "--start-ms", "1500")
        old = hf.pid("shop")
        with Clients(port, threads=1) as clients:
            hf.cli("restart", "shop", "--hot", check=0)
            eventually(lambda: hf.instance("shop").get("beside"), "the new one comes up beside the old one")
            self.assertTrue(harness.process_exists(old))
            hf.wait_restarted("shop", old)
        self.assertEqual(clients.failures, [])

    def test_a_new_one_that_fails_leaves_the_old_one_serving(self):
        hf = self.holdfast()
        broken = self.path("broken")
        port = self.inheriting(hf, "--fail-if", broken)
        old = harness.identity(hf.pid("shop"))
        broken.touch()
        with Clients(port, threads=1) as clients:
            hf.cli("restart", "shop", "--hot")
            eventually(lambda: any("code 3" in line for line in hf.told("shop")), "the failure is told")
            eventually(lambda: clients.count() > 100, "clients are served")
        self.assertEqual(harness.identity(hf.pid("shop")), old)
        self.assertEqual(clients.failures, [])

    def test_killing_one_of_two_loses_no_connection_that_waits(self):
        hf = self.holdfast()
        port = self.inheriting(hf, instances=2)
        victim = hf.pid("shop", 0)
        harness.kill(hf.pid("shop", 1), harness.signal.SIGSTOP)
        harness.kill(victim, harness.signal.SIGSTOP)
        with contextlib.ExitStack() as stack:
            waiting = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(20)]
            for connection in waiting:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            harness.kill(victim)
            harness.kill(hf.pid("shop", 1), harness.signal.SIGCONT)
            for connection in waiting:
                connection.settimeout(harness.DEADLINE_SECONDS)
                self.assertIn(b"200 OK", connection.recv(4096))


if __name__ == "__main__":
    harness.main()
