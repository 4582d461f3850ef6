#!/usr/bin/python3
"""A service that is there and does nothing is a failure like one that died."""

import signal

import harness
from harness import stays


class Hang(harness.Case):
    def test_a_stopped_process_is_replaced_when_its_live_probe_fails(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port(), health={"live": "http:/live", "every": "200ms"},
                              restart={"hang_after": "1s"}, deploy={"drain": "1s"}))
        pid = hf.pid("shop")
        harness.kill(pid, signal.SIGSTOP)
        hf.wait_restarted("shop", pid)
        self.assertIn("/live", "\n".join(hf.told("shop")))

    def test_a_silent_watchdog_is_a_hang(self):
        hf = self.holdfast()
        hf.apply(name="shop", command=[self.program("actor"), "--notify", "--no-listen"], restart={"hang_after": "1s"},
                 deploy={"drain": "1s"})
        pid = hf.pid("shop")
        harness.kill(pid, signal.SIGUSR1)
        hf.wait_restarted("shop", pid)
        self.assertIn("watchdog", "\n".join(hf.told("shop")).lower())

    def test_a_slow_service_without_a_live_probe_is_left_alone(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port(), restart={"hang_after": "500ms"}))
        pid = hf.pid("shop")
        harness.kill(pid, signal.SIGSTOP)
        stays(lambda: harness.process_exists(pid), "nobody kills it", seconds=2)
        harness.kill(pid, signal.SIGCONT)
        self.assertEqual(hf.pid("shop"), pid)


if __name__ == "__main__":
    harness.main()
