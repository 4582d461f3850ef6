"""Holdfast as its users meet it: the real programs, started in a directory and on ports of their own.

    class Restart(harness.Case):
        def test_a_killed_instance_runs_again_at_once(self):
            hf = self.holdfast()
            hf.apply(name="shop", command=[self.program("actor")], listen={"http": self.port()})
            ...

Rules all tests keep: everything listens on loopback, on ports no other test has; nothing outlives a test; every wait
has a deadline, and only `eventually` pauses between two looks. What a test starts runs below a nursery
(tests/programs/nursery.c), which kills all of it when the test ends, however it ends.

Where things are comes from the environment: HF_E2E_BIN (holdfast; holdfast-keeper lies beside it), HF_E2E_PROGRAMS
(the built tests/programs), HF_E2E_HOLD_NODE (a tool of ours). Without them: build/dev below the repository.
"""

import contextlib
import errno
import fcntl
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from toml_writer import to_toml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("HF_E2E_BIN", ROOT / "build/dev/holdfast"))
PROGRAMS = pathlib.Path(os.environ.get("HF_E2E_PROGRAMS", ROOT / "build/dev/tests/programs"))
SKIPS = ROOT / "tests" / "skips.txt"

# Of one wait, unless a test states another bound. Generous: it only bounds how long a failure takes.
DEADLINE_SECONDS = 20
LOOK_EVERY_SECONDS = 0.02
# Ports of one test: Holdfast's own seven first, then those of services. Below Linux's ephemeral range.
PORTS_FIRST, PORTS_LAST, PORTS_PER_TEST = 20000, 32000, 40


def eventually(look, what, within=DEADLINE_SECONDS):
    """Calls look() until it returns something true, and returns that. An exception counts as false, until the end."""
    deadline = time.monotonic() + within
    while True:
        seen, failure = None, None
        try:
            seen = look()
            if seen:
                return seen
        except (OSError, AssertionError, LookupError, ValueError, http.client.HTTPException) as error:
            failure = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within} s: {what}; last seen: {failure or seen!r}") from failure
        time.sleep(LOOK_EVERY_SECONDS)


def stays(look, what, seconds):
    """look() must stay true for that long: for what must not happen, where there is no event to wait for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look(), f"did not stay so for {seconds} s: {what}"
        time.sleep(LOOK_EVERY_SECONDS)


class Ports:
    """A block of ports nobody else has: a locked file stands for it while the test runs."""

    def __init__(self):
        folder = pathlib.Path(tempfile.gettempdir()) / f"holdfast-e2e-ports-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        blocks = list(range(PORTS_FIRST, PORTS_LAST, PORTS_PER_TEST))
        random.shuffle(blocks)
        for base in blocks:
            self.lock = open(folder / str(base), "w")
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.lock.close()
                continue
            if all(self._free(port) for port in range(base, base + PORTS_PER_TEST)):
                self.base = base
                self.next = base + 10
                return
            self.lock.close()
        raise AssertionError("no block of free ports")

    @staticmethod
    def _free(port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True

    def take(self):
        assert self.next < self.base + PORTS_PER_TEST, "a test wants more ports than a block has"
        self.next += 1
        return self.next - 1

    def close(self):
        self.lock.close()


class Nursery:
    """One command and all that descends from it."""

    def __init__(self, command, log, env=None):
        self.log = log
        self.ended = None
        self._ended_event = threading.Event()
        with open(log, "ab") as output:
            self.process = subprocess.Popen([str(PROGRAMS / "nursery"), *map(str, command)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=output, env=env, text=True)
        first = self.process.stdout.readline().split()
        assert first[:1] == ["started"], f"nursery said {first}"
        self.pid = int(first[1])
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            words = line.split()
            self.ended = (words[2], int(words[3]))
            self._ended_event.set()

    def wait(self, within=DEADLINE_SECONDS):
        """('exit', CODE) or ('signal', NUMBER) of the command itself."""
        assert self._ended_event.wait(within), f"pid {self.pid} did not end within {within} s"
        return self.ended

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(DEADLINE_SECONDS)
        self.process.stdout.close()


def process_exists(pid):
    """A process that is not a zombie."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def start_time(pid):
    """In clock ticks since boot: tells a process from a later one of the same pid."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return int(text[text.rindex(")") + 2:].split()[19])


def identity(pid):
    return pid, start_time(pid)


def children_of(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)


def get(port, path="/", timeout=5):
    """(status, text) of a GET on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


class Rest:
    """Plain calls on the REST port, with a token or without."""

    def __init__(self, port):
        self.port = port

    def call(self, method, path, body=None, token=None, headers=None, timeout=DEADLINE_SECONDS):
        """(status, decoded JSON or text)."""
        fields = dict(headers or {})
        if token:
            fields["Authorization"] = f"Bearer {token}"
        if isinstance(body, (dict, list)):
            fields.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=fields)
            response = connection.getresponse()
            text = response.read().decode()
            if (response.getheader("Content-Type") or "").startswith("application/json"):
                return response.status, json.loads(text)
            return response.status, text
        finally:
            connection.close()

    def get(self, path):
        status, answer = self.call("GET", path)
        assert status == 200, f"GET {path}: {status} {answer}"
        return answer


class Holdfast:
    """One data directory and whatever serves it."""

    def __init__(self, directory, ports, binary=BIN):
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.log = self.directory / "holdfast.log"
        self.ports = ports
        self.binary = pathlib.Path(binary)
        self.nurseries = []
        self.rest = Rest(ports.base)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        self.env["HOLDFAST_NODE"] = f"http://127.0.0.1:{ports.base}"

    # Life.

    def up_command(self, *extra, binary=None):
        return [binary or self.binary, "up", "--data", self.data, "--port-base", str(self.ports.base), "--name", "box",
                *extra]

    def up(self, *extra, binary=None, ready=True):
        """Starts `holdfast up`; returns its nursery. With `ready`, waits until the node answers for its readiness."""
        nursery = Nursery(self.up_command(*extra, binary=binary), self.log, env=self.env)
        self.nurseries.append(nursery)
        if ready:
            self.wait_ready()
        return nursery

    def wait_ready(self, within=DEADLINE_SECONDS):
        eventually(lambda: self.rest.call("GET", "/readyz", timeout=2)[0] == 200, "the node is ready", within)

    def close(self):
        for nursery in reversed(self.nurseries):
            nursery.close()

    # Who runs.

    def node(self):
        return self.rest.get("/v1/node")

    def node_pid(self):
        return self.node()["pid"]

    def keeper_pid(self):
        return self.node()["keeper"]["pid"]

    # The command.

    def cli(self, *arguments, check=None, within=60, env=None, stdin=None):
        """Runs `holdfast ARGUMENTS...`; with `check`, its exit code must be that."""
        done = subprocess.run([str(self.binary), *map(str, arguments)], env={**self.env, **(env or {})}, text=True,
                              capture_output=True, timeout=within, errors="replace",
                              stdin=subprocess.DEVNULL if stdin is None else None, input=stdin)
        if check is not None:
            assert done.returncode == check, (f"holdfast {' '.join(map(str, arguments))}: exit code {done.returncode}, "
                                              f"not {check}\n{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments, check=0):
        """The command's answer as -o json gives it."""
        return json.loads(self.cli(*arguments, "-o", "json", check=check).stdout)

    def spec_file(self, **spec):
        path = self.directory / f"{spec['name']}.toml"
        path.write_text(to_toml(spec))
        return path

    def apply(self, wait_for="ready", within=DEADLINE_SECONDS, **spec):
        """Applies a service; waits until it is as told, unless that is None."""
        self.cli("apply", self.spec_file(**spec), check=0)
        if wait_for:
            self.wait_state(spec["name"], wait_for, within)

    def apply_live(self, **spec):
        """Applies a service and waits until its version has passed its watch: then it can be gone back to."""
        self.cli("apply", self.spec_file(**spec), "--wait", check=0)

    # What is.

    def service(self, name):
        return self.rest.get(f"/v1/services/{name}")

    def instance(self, name, index=0):
        return next(entry for entry in self.service(name)["instances"] if entry["instance"] == index)

    def pid(self, name, index=0):
        return self.instance(name, index)["pid"]

    def wait_state(self, name, state, within=DEADLINE_SECONDS):
        def look():
            service = self.service(name)
            if service["state"] != state:
                raise AssertionError(f"{service['state']}: {service['reason']} {service['instances']}")
            return service
        return eventually(look, f"{name} is {state}", within)

    def wait_instance(self, name, index, look, what, within=DEADLINE_SECONDS):
        def seen():
            entry = self.instance(name, index)
            if not look(entry):
                raise AssertionError(entry)
            return entry
        return eventually(seen, f"{name}.{index}: {what}", within)

    def wait_restarted(self, name, old_pid, index=0, within=DEADLINE_SECONDS):
        return self.wait_instance(name, index, lambda entry: entry["state"] == "ready" and entry.get("pid") != old_pid,
                                  f"runs again, not as {old_pid}", within)

    def why(self, name):
        return self.rest.get(f"/v1/services/{name}/why")

    def told(self, name):
        """All that is told of a service's past, as lines of text."""
        return [f"{event['subject']}: {event['kind']} {event['from']} -> {event['to']}: {event['reason']} "
                f"{event['details']}" for event in self.why(name)["timeline"]]

    def log_lines(self, name, *arguments):
        """What the service printed, as (stream, text)."""
        answer = self.cli("logs", name, "-o", "json", *arguments, check=0).stdout
        lines = [json.loads(line) for line in answer.splitlines() if line.strip()]
        return [(line["stream"], line["text"]) for line in lines]


class Case(unittest.TestCase):
    """A test with a directory, ports and any number of Holdfasts, all gone afterwards."""

    # Long differences are what one wants to see.
    maxDiff = None

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-e2e-"))
        # Services run as other users too.
        self.directory.chmod(0o755)
        self.ports = Ports()
        self._holdfasts = []

    def tearDown(self):
        for holdfast in self._holdfasts:
            holdfast.close()
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            self._show_logs()
        self.ports.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _show_logs(self):
        for holdfast in self._holdfasts:
            if holdfast.log.exists():
                print(f"--- the end of {holdfast.log.name} of {self.id()}", file=sys.stderr)
                print(holdfast.log.read_text(errors="replace")[-6000:], file=sys.stderr)

    def holdfast(self, *extra, start=True, binary=BIN):
        holdfast = Holdfast(self.directory, self.ports, binary)
        self._holdfasts.append(holdfast)
        if start:
            holdfast.up(*extra)
        return holdfast

    def port(self):
        return self.ports.take()

    def path(self, name):
        return self.directory / name

    @staticmethod
    def program(name):
        return str(PROGRAMS / name)

    def actor(self, *options, name="shop", port=None, inherit=False, **spec):
        """The spec of an actor service, listening on a port of its own."""
        spec = {"name": name, "command": [self.program("actor"), *map(str, options)], **spec}
        if port:
            listen = {"http": port}
            if inherit:
                listen["sockets"] = "inherit"
            spec["listen"] = listen
        return spec


def bounded(times):
    """For a test that states a bound in time: one that misses it runs again, and two of three decide."""
    def decorate(test):
        def run(self):
            misses = []
            for attempt in range(times):
                try:
                    test(self)
                except AssertionError as error:
                    misses.append(error)
                    if len(misses) * 2 > times:
                        raise
                else:
                    if (attempt + 1 - len(misses)) * 2 > times or not misses:
                        return
                # A fresh start for the next attempt.
                self.tearDown()
                self.setUp()
        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return run
    return decorate


def ctl_lines(command):
    """A command's output lines, for looks at the machine."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _complain_of_skips(result):
    """How many tests were skipped without tests/skips.txt saying why."""
    permitted = {line.partition(": ")[0].strip() for line in SKIPS.read_text().splitlines()
                 if line.partition(": ")[2].strip() and not line.startswith("#")}
    wrong = 0
    for case, reason in result.skipped:
        name = case.id().removeprefix("__main__.")
        if name not in permitted:
            print(f"FAILED: {name} was skipped ({reason}), and tests/skips.txt does not say why", file=sys.stderr)
            wrong += 1
    return wrong


def main():
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    wrong = _complain_of_skips(program.result)
    sys.exit(0 if program.result.wasSuccessful() and not wrong else 1)
