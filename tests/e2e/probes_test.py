#!/usr/bin/python3
"""Ready and live probes of every kind decide by what the service answers, after as many answers as asked for."""

import harness
from harness import eventually

QUICK = {"every": "100ms", "fall": 2, "rise": 2}


class Probes(harness.Case):
    def unready_and_back(self, hf, name, make_unready, make_ready):
        """A ready service turns unready and ready again, without a restart, with a reason each time."""
        pid = hf.pid(name)
        make_unready()
        hf.wait_instance(name, 0, lambda entry: entry["state"] == "unready", "is unready")
        self.assertEqual(hf.cli("status").returncode, 3)
        make_ready()
        hf.wait_state(name, "ready")
        self.assertEqual(hf.pid(name), pid)
        changes = [(event["from"], event["to"], event["reason"]) for event in hf.why(name)["timeline"]]
        self.assertTrue(any(to == "unready" and reason for _, to, reason in changes), changes)
        self.assertTrue(any(before == "unready" and to == "ready" for before, to, _ in changes), changes)

    def test_http(self):
        hf = self.holdfast()
        flag = self.path("unready")
        hf.apply(**self.actor("--unready-if", flag, port=self.port(), health={"ready": "http:/ready", **QUICK}))
        self.unready_and_back(hf, "shop", flag.touch, flag.unlink)
        self.assertIn("503", "\n".join(hf.told("shop")))

    def test_exec(self):
        hf = self.holdfast()
        flag = self.path("unready")
        hf.apply(**self.actor("--no-listen", health={"ready": f"exec:test ! -e {flag}", **QUICK}))
        self.unready_and_back(hf, "shop", flag.touch, flag.unlink)

    def test_an_exec_probe_that_hangs_is_a_failed_probe_and_is_ended(self):
        hf = self.holdfast()
        flag, pids = self.path("slow"), self.path("pids")
        command = f"exec:test ! -e {flag} || {{ echo $$ >> {pids}; sleep 1000; }}"
        hf.apply(**self.actor("--no-listen", health={"ready": command, **QUICK}))
        flag.touch()
        hf.wait_instance("shop", 0, lambda entry: entry["state"] == "unready", "is unready")
        flag.unlink()
        hf.wait_state("shop", "ready")
        eventually(lambda: not any(harness.process_exists(int(pid)) for pid in pids.read_text().split()),
                   "no probe's process is left")

    def test_tcp_is_what_is_asked_without_a_health_section(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--start-ms", "700", port=self.port()), wait_for=None)
        eventually(lambda: hf.service("shop")["state"] == "starting" and hf.instance("shop").get("pid"), "it starts")
        hf.wait_state("shop", "ready")

    def test_grpc(self):
        hf = self.holdfast()
        verdict = self.path("verdict")
        verdict.write_text("serving")
        hf.apply(name="shop", command=[self.program("grpc_health"), str(verdict)], listen={"tcp": self.port()},
                 health={"ready": "grpc", **QUICK})
        self.unready_and_back(hf, "shop", lambda: verdict.write_text("not-serving"), lambda: verdict.write_text("serving"))

    def test_grpc_without_the_health_service_never_gets_ready_and_why_says_so(self):
        hf = self.holdfast()
        verdict = self.path("verdict")
        verdict.write_text("unimplemented")
        hf.apply(name="shop", command=[self.program("grpc_health"), str(verdict)], listen={"tcp": self.port()},
                 health={"ready": "grpc", **QUICK}, wait_for=None)
        eventually(lambda: "12" in str(hf.service("shop")) or "unimplemented" in str(hf.service("shop")).lower(),
                   "the status is named")

    def test_notify_makes_it_ready_no_earlier_than_it_says(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--notify", "--start-ms", "1500", "--no-listen"), wait_for=None)
        entry = hf.wait_instance("shop", 0, lambda seen: seen["state"] == "ready", "is ready")
        self.assertEqual(entry["status"], "serving")
        self.assertIn("READY=1", "\n".join(hf.told("shop")))

    def test_one_bad_answer_is_not_a_verdict(self):
        hf = self.holdfast()
        flag = self.path("unready")
        hf.apply(**self.actor("--unready-if", flag, port=self.port(),
                              health={"ready": "http:/ready", "every": "1s", "fall": 3, "rise": 1}))
        flag.touch()
        harness.stays(lambda: hf.service("shop")["state"] == "ready", "it stays ready before the third answer", 1.5)
        hf.wait_instance("shop", 0, lambda entry: entry["state"] == "unready", "is unready")


if __name__ == "__main__":
    harness.main()
