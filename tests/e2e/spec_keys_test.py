#!/usr/bin/python3
"""Effects of keys that no other file of tests is about. tests/effects.txt names the test of every key."""

import socket

import harness
from harness import eventually, get, stays


class SpecKeys(harness.Case):
    def test_listen_address_is_where_the_port_is_opened_and_nowhere_else(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(name="shop", command=[self.program("actor")],
                 listen={"http": port, "sockets": "inherit", "address": "127.0.0.2"})
        with socket.create_connection(("127.0.0.2", port)) as connection:
            self.assertEqual(connection.getpeername(), ("127.0.0.2", port))
        with self.assertRaises(ConnectionRefusedError):
            get(port)

    def test_an_answer_later_than_the_timeout_is_no_answer(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen", name="patient", health={"ready": "exec:sleep 0.4", "timeout": "5s", "every": "5s"}))
        hf.apply(**self.actor("--no-listen", name="hasty", health={"ready": "exec:sleep 0.4", "timeout": "100ms"}),
                 wait_for=None)
        eventually(lambda: any("100ms" in line or "0.1s" in line for line in hf.told("hasty") + [str(hf.service("hasty"))]),
                   "the timeout is told")
        self.assertNotEqual(hf.service("hasty")["state"], "ready")

    def test_rise_answers_in_a_row_make_it_ready(self):
        hf = self.holdfast()
        count = self.path("count")
        hf.apply(**self.actor("--no-listen", health={"ready": f"exec:echo x >> {count}", "rise": 5, "every": "100ms"}))
        self.assertGreaterEqual(len(count.read_text().split()), 5)

    def test_after_healthy_time_the_next_failure_is_the_first_again(self):
        hf = self.holdfast()
        # It exits by itself after 1.5 s of health. With the short reset no failure adds to the one before.
        command = ["/bin/sh", "-c", "sleep 1.5; exit 1"]
        for name, reset in (("forgiven", "200ms"), ("remembered", "1h")):
            hf.apply(name=name, command=command, wait_for=None,
                     restart={"backoff": "50ms..100ms", "reset_after": reset})
        eventually(lambda: hf.instance("remembered")["failed_starts"] >= 3, "three in a row are counted", within=30)
        stays(lambda: hf.instance("forgiven")["failed_starts"] <= 1, "these are never in a row", 2)

    def test_a_hang_is_given_the_time_the_spec_says(self):
        hf = self.holdfast()
        flag = self.path("stuck")
        hf.apply(**self.actor("--no-listen", restart={"hang_after": "30s"},
                              health={"live": f"exec:test ! -e {flag}", "every": "100ms"}))
        pid = hf.pid("shop")
        flag.touch()
        stays(lambda: harness.process_exists(pid), "it is not restarted before its time", 2)
        self.assertEqual(hf.pid("shop"), pid)


class Flags(harness.Case):
    def test_dry_runs_and_instances_of_logs(self):
        hf = self.holdfast()
        hf.apply(name="talk", command=["/bin/sh", "-c", "echo I am $HOLDFAST_INSTANCE; exec sleep 1000"], instances=2)
        eventually(lambda: {("out", "I am 0"), ("out", "I am 1")} <= set(hf.log_lines("talk")), "both have spoken")
        self.assertEqual([text for stream, text in hf.log_lines("talk", "--instance", "1") if stream == "out"], ["I am 1"])
        self.assertEqual(len(hf.log_lines("talk", "--tail", "1")), 1)
        hf.cli("delete", "talk", "--dry-run", check=0)
        self.assertEqual(hf.service("talk")["ready"], 2)

    def test_watch_shows_again_what_has_changed(self):
        hf = self.holdfast()
        watching = harness.Nursery([hf.binary, "services", "--watch"], self.path("watched"), env=hf.env)
        try:
            eventually(lambda: self.path("watched").read_text().count("No services") >= 1, "it shows")
            hf.apply(**self.actor("--no-listen"))
            eventually(lambda: "shop" in self.path("watched").read_text(), "it shows what is new")
        finally:
            watching.close()

    def test_the_node_to_talk_to_can_be_named(self):
        hf = self.holdfast()
        self.assertEqual(hf.cli("status", "--node", f"http://127.0.0.1:{self.ports.base}", env={"HOLDFAST_NODE": "http://127.0.0.1:1"})
                         .returncode, 0)
        self.assertEqual(hf.cli("status", "--node", "not a url").returncode, 1)

    def test_the_machines_file_names_what_flags_would(self):
        hf = self.holdfast(start=False)
        config = self.path("holdfast.toml")
        config.write_text(f'name = "filed"\ndata = ["{hf.data}"]\n[listen]\nrest = "127.0.0.1:{self.ports.base}"\n')
        hf.nurseries.append(harness.Nursery([hf.binary, "up", "--config", config], hf.log, env=hf.env))
        hf.wait_ready()
        node = hf.node()
        self.assertEqual((node["name"], node["data"]), ("filed", str(hf.data)))

class Settings(harness.Case):
    def restarted(self, hf, **settings):
        """The same with settings that are in force from the node's next start."""
        for key, value in settings.items():
            hf.cli("settings", key, value, check=0)
        node = hf.node_pid()
        harness.kill(node)
        eventually(lambda: hf.node_pid() != node, "a new node answers")
        hf.wait_ready()

    def test_as_many_start_at_once_as_the_setting_allows(self):
        hf = self.holdfast()
        self.restarted(hf, starts_at_once="1")
        hf.apply(**self.actor("--notify", "--start-ms", "300", "--no-listen", instances=4), wait_for=None)
        most = 0
        while hf.service("shop")["ready"] < 4:
            states = [entry["state"] for entry in hf.service("shop")["instances"]]
            most = max(most, states.count("starting"))
        self.assertEqual(most, 1)

    def test_log_files_are_as_large_and_as_many_as_the_settings_allow(self):
        hf = self.holdfast()
        self.restarted(hf, log_file_size="1MiB", log_files="2")
        progress = self.path("progress")
        hf.apply(name="flood", command=[self.program("misfit"), "flood", str(progress)])
        eventually(lambda: progress.exists() and int(progress.read_text().split()[0]) > 20000, "it wrote its share")
        hf.cli("stop", "flood", check=0)
        hf.wait_state("flood", "stopped")
        files = list((hf.data / "logs" / "flood").iterdir())
        self.assertLessEqual(len(files), 2)
        # What is written in one piece, at most a megabyte, is not cut in two.
        self.assertLessEqual(max(path.stat().st_size for path in files), 2 << 20)

    def test_unset_is_the_default_again(self):
        hf = self.holdfast()
        hf.cli("settings", "log_files", "7", check=0)
        self.assertEqual(hf.rest.get("/v1/settings/log_files")["value"], "7")
        hf.cli("settings", "log_files", "--unset", check=0)
        setting = hf.rest.get("/v1/settings/log_files")
        self.assertEqual(setting["value"], setting["default"])

    def test_a_setting_that_is_not_in_force_cannot_be_set(self):
        hf = self.holdfast()
        setting = next((entry for entry in hf.rest.get("/v1/settings")["settings"] if not entry["available"]), None)
        if setting:
            self.assertIn("not available yet", hf.cli("settings", setting["key"], setting["default"], check=1).stderr)


if __name__ == "__main__":
    harness.main()
