#!/usr/bin/python3
"""`after`: started when those it names are ready, stopped before them."""

import json
import signal

import harness
from harness import eventually, stays


class After(harness.Case):
    def test_it_waits_until_the_other_is_ready_and_says_for_whom(self):
        hf = self.holdfast()
        unready, record = self.path("unready"), self.path("starts")
        unready.touch()
        hf.apply(**self.actor("--unready-if", unready, name="db", port=self.port(),
                              health={"ready": "http:/ready", "every": "100ms"}), wait_for=None)
        hf.apply(**self.actor("--started", record, name="shop", port=self.port(), after=["db"]), wait_for=None)
        service = hf.wait_state("shop", "waiting")
        self.assertIn("db", service["reason"] + json.dumps(service["instances"]))
        stays(lambda: not record.exists(), "shop is not started", seconds=1)
        unready.unlink()
        hf.wait_state("shop", "ready")

    def test_a_ready_service_is_not_stopped_when_the_other_dies_later(self):
        hf = self.holdfast()
        hf.apply(**self.actor(name="db", port=self.port()))
        hf.apply(**self.actor(name="shop", port=self.port(), after=["db"]))
        shop, db = hf.pid("shop"), hf.pid("db")
        harness.kill(db)
        hf.wait_restarted("db", db)
        self.assertEqual(hf.pid("shop"), shop)

    def test_it_stops_before_the_one_it_came_after(self):
        hf = self.holdfast()
        hf.apply(**self.actor(name="db", port=self.port()))
        hf.apply(**self.actor("--deaf", name="shop", port=self.port(), after=["db"], deploy={"drain": "2s"}))
        shop, db = hf.pid("shop"), hf.pid("db")
        harness.kill(hf.nurseries[-1].pid, signal.SIGTERM)
        eventually(lambda: not (harness.process_exists(shop) and harness.process_exists(db)), "one has stopped")
        self.assertTrue(harness.process_exists(db) or not harness.process_exists(shop))
        self.assertFalse(harness.process_exists(shop))
        self.assertEqual(hf.nurseries[-1].wait(), ("exit", 0))

    def test_a_circle_is_refused(self):
        hf = self.holdfast()
        hf.apply(**self.actor(name="one", port=self.port(), after=["two"]), wait_for=None)
        done = hf.cli("apply", hf.spec_file(**self.actor(name="two", port=self.port(), after=["one"])), check=1)
        self.assertIn("one", done.stderr)

    def test_a_name_nobody_has_is_waited_for_and_named(self):
        hf = self.holdfast()
        hf.apply(**self.actor(name="shop", port=self.port(), after=["nobody"]), wait_for=None)
        service = hf.wait_state("shop", "waiting")
        self.assertIn("nobody", service["reason"])


if __name__ == "__main__":
    harness.main()
