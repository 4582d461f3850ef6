#!/usr/bin/python3
"""REST: reading is free on loopback, changing is not; strangers in the browser get nothing; it is as its file says."""

import json
import os
import socket
import subprocess
import unittest

import harness
from harness import eventually


class Guard(harness.Case):
    def users(self, hf):
        return {role: hf.json("user", "create", f"{role}-user", "--role", role)["token"]
                for role in ("admin", "operator", "viewer")}

    def test_changing_anything_needs_a_token_even_here(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen"))
        for method, path, body in (("POST", "/v1/services", 'name = "x"\ncommand = ["/bin/true"]\n'),
                                   ("DELETE", "/v1/services/shop", None), ("POST", "/v1/services/shop/stop", None),
                                   ("POST", "/v1/users", {"name": "eve"}), ("PUT", "/v1/settings/copies", {"value": "1"}),
                                   ("GET", "/v1/services/shop/logs", None), ("GET", "/v1/services/shop/spec", None)):
            status, answer = hf.rest.call(method, path, body)
            self.assertEqual(status, 401, (method, path))
            self.assertTrue(answer["error"]["next"], answer)
            self.assertEqual(hf.rest.call(method, path, body, token="hft_eve.nonsense")[0], 401, (method, path))
        self.assertEqual(hf.service("shop")["state"], "ready")

    def test_roles_allow_what_they_say(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen"))
        tokens = self.users(hf)
        self.assertEqual(hf.rest.call("POST", "/v1/services/shop/stop", token=tokens["viewer"])[0], 403)
        self.assertEqual(hf.rest.call("POST", "/v1/services/shop/stop", token=tokens["operator"])[0], 200)
        self.assertEqual(hf.rest.call("POST", "/v1/users", {"name": "eve"}, token=tokens["operator"])[0], 403)
        self.assertEqual(hf.rest.call("POST", "/v1/users", {"name": "ann"}, token=tokens["admin"])[0], 201)

    def test_a_deleted_users_token_stops_working_at_once(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen"))
        token = hf.json("user", "create", "bob", "--role", "operator")["token"]
        self.assertEqual(hf.rest.call("POST", "/v1/services/shop/stop", token=token)[0], 200)
        hf.cli("user", "delete", "bob", check=0)
        self.assertEqual(hf.rest.call("POST", "/v1/services/shop/start", token=token)[0], 401)

    def test_secrets_are_shown_once_and_users_outlive_a_restart(self):
        hf = self.holdfast()
        created = hf.json("user", "create", "bob", "--role", "admin")
        self.assertTrue(created["token"] and created["secret_key"] and created["access_key"])
        listing = hf.cli("user", "list", "-o", "json", check=0).stdout
        self.assertNotIn(created["token"], listing)
        self.assertNotIn(created["secret_key"], listing)
        harness.kill(hf.node_pid())
        hf.wait_ready()
        self.assertEqual(hf.rest.call("GET", "/v1/users", token=created["token"])[0], 200)

    def test_a_foreign_host_or_origin_is_refused(self):
        hf = self.holdfast()
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            status, _ = hf.rest.call("GET", "/v1/status", headers=headers)
            self.assertEqual(status, 403, headers)
        self.assertEqual(hf.rest.call("GET", "/v1/status", headers={"Host": f"localhost:{self.ports.base}"})[0], 200)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_another_user_of_this_machine_may_look_and_not_touch(self):
        hf = self.holdfast()
        hf.apply(**self.actor("--no-listen"))
        done = subprocess.run([str(hf.binary), "stop", "shop"], env=hf.env, user="nobody", capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("token", done.stderr)
        done = subprocess.run([str(hf.binary), "status"], env=hf.env, user="nobody", capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 3), done.stderr)
        token = hf.json("user", "create", "bob", "--role", "operator")["token"]
        done = subprocess.run([str(hf.binary), "stop", "shop"], env={**hf.env, "HOLDFAST_TOKEN": token}, user="nobody",
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_it_listens_on_loopback_only(self):
        hf = self.holdfast()
        listening = harness.ctl_lines(["ss", "-Hltn", f"sport >= :{self.ports.base} and sport <= :{self.ports.base + 6}"])
        self.assertTrue(listening)
        for line in listening:
            self.assertRegex(line.split()[3], r"^(127\.0\.0\.1|\[::1\]):")


class Shape(harness.Case):
    def test_the_file_it_gives_out_is_the_one_in_the_source(self):
        hf = self.holdfast()
        with open(harness.ROOT / "src/gateway/openapi.json", encoding="utf-8") as file:
            self.assertEqual(hf.rest.get("/v1/openapi.json"), json.load(file))

    def test_errors_have_a_code_a_message_and_the_next_step(self):
        hf = self.holdfast()
        for method, path, status in (("GET", "/v1/services/nobody", 404), ("GET", "/v1/nothing", 404),
                                     ("PATCH", "/v1/status", 405)):
            got, answer = hf.rest.call(method, path)
            self.assertEqual(got, status, (method, path, answer))
            self.assertEqual(set(answer["error"]), {"code", "message", "next"})

    def test_nonsense_on_the_wire_harms_nobody(self):
        hf = self.holdfast()
        for nonsense in (b"\x16\x03\x01\x02\x00", b"GET " + b"a" * 100000, b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                         b"POST /v1/services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.ports.base)) as connection:
                connection.sendall(nonsense)
                connection.settimeout(5)
                try:
                    connection.recv(4096)
                except (TimeoutError, ConnectionResetError):
                    pass
        eventually(lambda: hf.rest.call("GET", "/readyz")[0] == 200, "it answers as before")

    def test_settings_have_defaults_units_and_descriptions(self):
        hf = self.holdfast()
        settings = hf.rest.get("/v1/settings")["settings"]
        self.assertTrue(settings)
        for setting in settings:
            self.assertTrue(setting["description"], setting)
            self.assertIn("default", setting)
        self.assertEqual(hf.cli("settings", "no-such-key").returncode, 1)


class Metrics(harness.Case):
    def test_metrics_pass_promtool_and_count_what_happened(self):
        hf = self.holdfast()
        hf.apply(**self.actor(port=self.port()))
        pid = hf.pid("shop")
        harness.kill(pid)
        hf.wait_restarted("shop", pid)
        status, text = hf.rest.call("GET", "/metrics")
        self.assertEqual(status, 200)
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))
        samples = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.assertTrue(all(line.startswith("holdfast_") for line in samples))
        restarts = [line for line in samples if "restarts_total" in line and 'service="shop"' in line]
        self.assertEqual([float(line.rsplit(" ", 1)[1]) for line in restarts], [1.0], restarts)

    def test_health_and_readiness_need_no_token(self):
        hf = self.holdfast()
        self.assertEqual(hf.rest.call("GET", "/healthz")[0], 200)
        self.assertEqual(hf.rest.call("GET", "/readyz")[0], 200)


if __name__ == "__main__":
    harness.main()
