#!/usr/bin/python3
"""Each change of a service's state is told to its webhook once, and gets there in the end."""

import http.server
import json
import threading

import harness
from harness import eventually, stays


class Receiver:
    """A webhook that keeps what it is sent, and refuses the first `failures`."""

    def __init__(self, port, failures=0):
        self.bodies = []
        self.attempts = 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.attempts += 1
                refuse = receiver.attempts <= failures
                if not refuse:
                    receiver.bodies.append(body)
                self.send_response(503 if refuse else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{port}/hook"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Alerts(harness.Case):
    def receiver(self, **options):
        receiver = Receiver(self.port(), **options)
        self.addCleanup(receiver.close)
        return receiver

    def broken(self, hf, receiver, flag):
        hf.apply(**self.actor("--unready-if", flag, port=self.port(), alert={"to": [receiver.url]},
                              health={"ready": "http:/ready", "every": "100ms"}))

    def test_down_and_recovered_are_told_once_each_in_alertmanagers_format(self):
        hf = self.holdfast()
        receiver, flag = self.receiver(), self.path("unready")
        self.broken(hf, receiver, flag)
        flag.touch()
        eventually(lambda: len(receiver.bodies) == 1, "it is told")
        flag.unlink()
        hf.wait_state("shop", "ready")
        eventually(lambda: len(receiver.bodies) == 2, "the recovery is told")
        stays(lambda: len(receiver.bodies) == 2, "nothing is told twice", 2)
        down, recovered = receiver.bodies
        self.assertEqual((down["version"], down["status"], recovered["status"]), ("4", "firing", "resolved"))
        alert = down["alerts"][0]
        self.assertEqual(alert["labels"]["service"], "shop")
        self.assertEqual(alert["status"], "firing")
        self.assertTrue(alert["annotations"])

    def test_a_receiver_that_refuses_is_tried_again(self):
        hf = self.holdfast()
        receiver, flag = self.receiver(failures=2), self.path("unready")
        self.broken(hf, receiver, flag)
        flag.touch()
        eventually(lambda: receiver.bodies, "it is taken in the end", within=30)
        self.assertEqual(receiver.attempts, 3)

    def test_what_was_told_is_not_told_again_by_a_new_node(self):
        hf = self.holdfast()
        receiver, flag = self.receiver(), self.path("unready")
        self.broken(hf, receiver, flag)
        flag.touch()
        eventually(lambda: len(receiver.bodies) == 1, "it is told")
        harness.kill(hf.node_pid())
        hf.wait_ready()
        stays(lambda: len(receiver.bodies) == 1, "it is not told again", 3)

    def test_a_restart_that_takes_no_time_is_no_alarm(self):
        hf = self.holdfast()
        receiver, flag = self.receiver(), self.path("unready")
        self.broken(hf, receiver, flag)
        pid = hf.pid("shop")
        harness.kill(pid)
        hf.wait_restarted("shop", pid)
        stays(lambda: receiver.attempts == 0, "nobody is told", 2)


if __name__ == "__main__":
    harness.main()
