#!/usr/bin/python3
"""Measures what docs/benchmarks.md states, beside its peers, in one run on this machine.

    make bench        or, when the release is built: bench/run.py [--rounds N] [--kills N]

Writes build/bench/figures.json with every single measurement, and the figures' section of docs/benchmarks.md.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "build" / "release"
OUT = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
os.environ["HF_E2E_BIN"] = str(RELEASE / "holdfast")
os.environ["HF_E2E_PROGRAMS"] = str(RELEASE / "tests" / "programs")
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import harness  # noqa: E402  Reads the environment set above.

# runsv waits a second before it restarts what lived for less; nobody is killed younger than this, and up to a second
# older, at random, so that a supervisor that looks once a second is not always met at the same moment of its turn.
AGE_SECONDS = 1.2
AGE_SECONDS_MORE = 1.0


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Record:
    """Where the actor writes its own starts: when its first instruction ran, by the same clock as ours."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def starts(self):
        if not self.path.exists():
            return []
        return [(int(pid), float(at)) for pid, at in (line.split() for line in self.path.read_text().splitlines())]

    def wait_for(self, count, within=30):
        return harness.eventually(lambda: len(self.starts()) >= count and self.starts(), f"start number {count}", within)


def actor(record):
    return [str(harness.PROGRAMS / "actor"), "--no-listen", "--started", str(record.path)]


class Holdfast:
    name = "holdfast"

    def __init__(self, folder, record):
        self.ports = harness.Ports()
        self.holdfast = harness.Holdfast(folder, self.ports)
        self.holdfast.up()
        self.holdfast.apply(name="actor", command=actor(record))

    def processes(self):
        return {"keeper": self.holdfast.keeper_pid(), "node": self.holdfast.node_pid()}

    def close(self):
        self.holdfast.close()
        self.ports.close()


class Peer:
    """One that is started below a nursery, so that all of it goes with it."""

    def begin(self, folder, command):
        self.nursery = harness.Nursery(command, pathlib.Path(folder) / f"{self.name}.log")

    def close(self):
        self.nursery.close()


def fill(template, **values):
    text = (ROOT / "bench" / "peers" / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


class Runit(Peer):
    name = "runit"

    def __init__(self, folder, record):
        service = pathlib.Path(folder) / "services" / "actor"
        service.mkdir(parents=True)
        (service / "run").write_text(fill("runit-run.in", COMMAND=" ".join(actor(record))))
        (service / "run").chmod(0o755)
        self.begin(folder, ["/usr/bin/runsvdir", service.parent])

    def processes(self):
        (runsv,) = harness.children_of(self.nursery.pid)
        return {"runsvdir": self.nursery.pid, "runsv": runsv}


class Monit(Peer):
    name = "monit"

    def __init__(self, folder, record):
        folder = pathlib.Path(folder)
        start = folder / "start"
        start.write_text(f"#!/bin/sh\n{' '.join(actor(record))} &\necho $! > {folder}/actor.pid\n")
        start.chmod(0o755)
        config = folder / "monitrc"
        config.write_text(fill("monitrc.in", DIRECTORY=folder))
        config.chmod(0o600)
        self.begin(folder, ["/usr/bin/monit", "-I", "-c", config])

    def processes(self):
        return {"monit": self.nursery.pid}


SUPERVISORS = [Holdfast, Runit, Monit]


def alone_ms(rounds):
    """The actor's own time from fork to first instruction, unsupervised."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            record = Record(pathlib.Path(folder) / str(number))
            before = boottime()
            process = subprocess.Popen(actor(record))
            taken.append((record.wait_for(1)[0][1] - before) * 1000)
            process.kill()
            process.wait()
    return taken


def respawn_ms(supervisor, kills):
    """From SIGKILL to the successor's first instruction."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        record = Record(pathlib.Path(folder) / "starts")
        running = supervisor(folder, record)
        try:
            for count in range(1, kills + 1):
                pid, started = record.wait_for(count)[-1]
                age = AGE_SECONDS + random.random() * AGE_SECONDS_MORE
                harness.eventually(lambda: boottime() - started > age, "it is old enough")
                killed = boottime()
                os.kill(pid, signal.SIGKILL)
                taken.append((record.wait_for(count + 1)[-1][1] - killed) * 1000)
        finally:
            running.close()
    return taken


def start_to_ready_ms():
    with tempfile.TemporaryDirectory() as folder:
        ports = harness.Ports()
        holdfast = harness.Holdfast(folder, ports)
        try:
            before = time.monotonic()
            holdfast.up(ready=False)
            deadline = before + harness.DEADLINE_SECONDS
            while time.monotonic() < deadline:
                try:
                    if holdfast.rest.call("GET", "/readyz", timeout=1)[0] == 200:
                        return (time.monotonic() - before) * 1000
                except OSError:
                    time.sleep(0.001)
            raise AssertionError("never ready")
        finally:
            holdfast.close()
            ports.close()


def cpu_seconds(pid):
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def idle(supervisor, seconds):
    """{process: (MiB resident, per cent of a core)} while one service runs and nothing happens."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        record = Record(pathlib.Path(folder) / "starts")
        running = supervisor(folder, record)
        try:
            record.wait_for(1)
            processes = running.processes()
            # What starting cost is not idle.
            settled = time.monotonic()
            harness.eventually(lambda: time.monotonic() - settled > 3, "it has settled")
            before, since = {name: cpu_seconds(pid) for name, pid in processes.items()}, time.monotonic()
            harness.eventually(lambda: time.monotonic() - since > seconds, "the time has passed", seconds + 5)
            elapsed = time.monotonic() - since
            return {name: (resident_mib(pid), (cpu_seconds(pid) - before[name]) / elapsed * 100)
                    for name, pid in processes.items()}
        finally:
            running.close()


def measure(options):
    """Alternating: every round measures each supervisor once, so that a slow minute of the machine hits all."""
    figures = {"alone_ms": [], "respawn_ms": {kind.name: [] for kind in SUPERVISORS}, "ready_ms": [],
               "idle": {kind.name: [] for kind in SUPERVISORS}}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", flush=True)
        figures["alone_ms"].append(alone_ms(options.kills))
        for kind in SUPERVISORS:
            figures["respawn_ms"][kind.name].append(respawn_ms(kind, options.kills))
            print(f"  {kind.name}: {', '.join(f'{ms:.1f}' for ms in figures['respawn_ms'][kind.name][-1])} ms", flush=True)
        figures["ready_ms"].append(start_to_ready_ms())
        for kind in SUPERVISORS:
            figures["idle"][kind.name].append(idle(kind, options.idle_seconds))
    figures["small_functions_ns"] = small_functions()
    return figures


def small_functions():
    """{name: nanoseconds}: medians of five repetitions, as Google Benchmark gives them."""
    done = subprocess.run([str(RELEASE / "bench" / "micro_bench"), "--benchmark_format=json", "--benchmark_repetitions=5",
                           "--benchmark_report_aggregates_only=true"], capture_output=True, text=True, check=True)
    return {entry["run_name"]: entry["cpu_time"] for entry in json.loads(done.stdout)["benchmarks"]
            if entry["aggregate_name"] == "median"}


def spread(values, digits=1):
    """Median and range of the rounds' medians."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def rows(figures):
    alone = [statistics.median(run) for run in figures["alone_ms"]]
    lines = [f"| program alone, fork to first instruction, ms | {spread(alone, 2)} | |"]
    for name, runs in figures["respawn_ms"].items():
        medians = [statistics.median(run) for run in runs]
        over = statistics.median(medians) - statistics.median(alone)
        reach = f"{over:.1f} over the program's own; reach 50" if name == "holdfast" else f"{over:.1f} over the program's own"
        lines.append(f"| {name}: SIGKILL to the successor's first instruction, ms | {spread(medians)} | {reach} |")
    lines.append(f"| holdfast: command to ready, ms | {spread(figures['ready_ms'], 0)} | reach 200 |")
    for name, runs in figures["idle"].items():
        total = 0.0
        for process in runs[0]:
            memory = [run[process][0] for run in runs]
            cpu = [run[process][1] for run in runs]
            total += statistics.median(memory)
            lines.append(f"| {name}: {process} idle with one service | {spread(memory)} MiB, {spread(cpu, 2)} % of a core | |")
        if name == "holdfast":
            lines.append(f"| holdfast: both together | {total:.1f} MiB | reach 64 MiB, 1 % of a core |")
    lines += [f"| {name}, ns of processor time | {ns:.0f} | |" for name, ns in figures["small_functions_ns"].items()]
    return lines


def version(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def machine():
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores of {cpu.group(1) if cpu else platform.machine()}, Linux {os.uname().release}"


def write_page(figures, options):
    packages = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}, ", "monit", "runit"], capture_output=True,
                              text=True).stdout.strip(" ,")
    text = "\n".join([
        f"Measured {time.strftime('%Y-%m-%d', time.gmtime())} on {machine()}, with {version([RELEASE / 'holdfast', 'version'])}, "
        f"{packages}. {options.rounds} alternating rounds of {options.kills} kills each. Median of the rounds' medians, "
        "and their range.",
        "", "| what | median (range) | |", "| --- | --- | --- |", *rows(figures)])
    page = PAGE.read_text()
    begin, end = "<!-- figures: written by bench/run.py -->", "<!-- end of figures -->"
    before, rest = page.split(begin)
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")
    print(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=7, help="per supervisor and round")
    parser.add_argument("--idle-seconds", type=float, default=20)
    options = parser.parse_args()
    # Configured again, because the library of the small benchmarks may have been installed since.
    for command in (["cmake", "--preset", "release"],
                    ["cmake", "--build", str(RELEASE), "--target", "nursery", "actor", "micro_bench"]):
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for tool in ("/usr/bin/runsvdir", "/usr/bin/monit"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: run `make bench`, which installs it")
    figures = measure(options)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "figures.json").write_text(json.dumps({"machine": machine(), **figures}, indent=1))
    write_page(figures, options)


if __name__ == "__main__":
    main()
