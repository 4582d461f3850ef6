#!/usr/bin/python3
"""Builds what the tests need, runs all of them in one run of ctest, and says what each part cost.

    tests/run.py test|soak|fuzz [--jobs N]

`test` makes three builds (dev, asan, tsan) and hands all of them to one ctest, whose own summary is the last thing
printed. A skipped test fails the run unless tests/skips.txt names it with the reason.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SKIPS = ROOT / "tests" / "skips.txt"

# Minutes each part may take on a fresh machine with two cores, package installation included.
BUDGET = {"builds": 22, "unit": 5, "simulate": 8, "e2e": 10}
BUDGET_ALL = 45
# Which of ctest's labels count towards which part.
PART_OF_LABEL = {"unit": "unit", "keeper": "unit", "fuzz": "unit", "tidy": "unit", "asan": "unit", "tsan": "unit",
                 "simulate": "simulate", "e2e": "e2e"}
CLOSING = re.compile(r"^\d+% tests passed, \d+ tests failed out of \d+")


def run(command, **kwargs):
    print("+", " ".join(str(part) for part in command), flush=True)
    status = subprocess.run([str(part) for part in command], cwd=ROOT, **kwargs).returncode
    if status != 0:
        sys.exit(f"failed with exit code {status}: {' '.join(str(part) for part in command)}")


def build(preset, target, jobs):
    """Configures and builds; returns the seconds it took."""
    start = time.monotonic()
    run(["cmake", "--preset", preset], stdout=subprocess.DEVNULL)
    run(["cmake", "--build", "--preset", preset, "--parallel", jobs, "--target", target])
    return time.monotonic() - start


def permitted_skips(text):
    """`NAME: REASON` lines; a name without a reason is not a permission."""
    names = {}
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        name, colon, reason = line.partition(": ")
        if not colon or not reason.strip():
            raise ValueError(f"tests/skips.txt: {line!r} has no reason; write NAME: REASON")
        names[name.strip()] = reason.strip()
    return names


def skipped_tests(junit):
    """The names of the tests ctest did not run or whose program said it skipped."""
    return [case.get("name") for case in junit.iter("testcase")
            if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled")]


def seconds_by_part(junit, labels):
    """Sums each test's seconds into its part; `labels` maps a test's name to its labels."""
    sums = {}
    for case in junit.iter("testcase"):
        part = next((PART_OF_LABEL[label] for label in labels.get(case.get("name"), [])
                     if label in PART_OF_LABEL), "other")
        sums[part] = sums.get(part, 0.0) + float(case.get("time") or 0)
    return sums


def labels_of(directory):
    """What ctest knows of each test, by name."""
    import json

    listing = subprocess.run(["ctest", "--test-dir", str(directory), "--show-only=json-v1"], cwd=ROOT,
                             capture_output=True, text=True, check=True)
    labels = {}
    for test in json.loads(listing.stdout).get("tests", []):
        for prop in test.get("properties", []):
            if prop["name"] == "LABELS":
                labels[test["name"]] = prop["value"]
    return labels


def stream_ctest(command):
    """Passes ctest's output on as it comes, except the closing lines, which are returned with its exit code."""
    closing = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace") as ctest:
        for line in ctest.stdout:
            if closing or CLOSING.match(line):
                closing.append(line)
            else:
                print(line, end="", flush=True)
    return ctest.returncode, closing


def one_tree(builds):
    """A directory for ctest in which the tests of several builds are one list."""
    tree = BUILD / "ctest"
    tree.mkdir(parents=True, exist_ok=True)
    lines = [f'subdirs("{BUILD / name}")\n' for name in builds]
    (tree / "CTestTestfile.cmake").write_text("".join(lines))
    return tree


def print_costs(builds, tests_seconds, parts, jobs):
    print("\nTime by part (minutes; budget for two cores in brackets)")
    total = sum(builds.values()) + tests_seconds
    for name, seconds in builds.items():
        print(f"  build {name:<12} {seconds / 60:6.1f}")
    print(f"  builds together    {sum(builds.values()) / 60:6.1f}  [{BUDGET['builds']} with packages]")
    for part, seconds in sorted(parts.items()):
        budget = f"  [{BUDGET[part]}]" if part in BUDGET else ""
        print(f"  tests {part:<12} {seconds / jobs / 60:6.1f}{budget}")
    print(f"  all tests, elapsed {tests_seconds / 60:6.1f}")
    print(f"  total              {total / 60:6.1f}  [{BUDGET_ALL}]")
    if total > BUDGET_ALL * 60:
        print("  over budget: see docs/testing.md for what may cost how much")


def complain_of_skips(junit, permitted):
    """Prints every skipped test and returns how many were not allowed to be."""
    wrong = 0
    for name in skipped_tests(junit):
        if name in permitted:
            print(f"skipped, as tests/skips.txt allows: {name}: {permitted[name]}")
        else:
            print(f"FAILED: {name} was skipped, and tests/skips.txt does not say why")
            wrong += 1
    return wrong


def test(options):
    permitted = permitted_skips(SKIPS.read_text() if SKIPS.exists() else "")
    builds = {
        "dev": build("dev", "all", options.jobs),
        "asan": build("asan", "hf_tests", options.jobs),
        "tsan": build("tsan", "hf_tests", options.jobs),
    }
    tree = one_tree(builds)
    report = BUILD / "ctest" / "junit.xml"
    report.unlink(missing_ok=True)
    start = time.monotonic()
    # The end-to-end tests mostly wait, so one more than there are cores keeps them all busy.
    parallel = options.jobs + 1
    status, closing = stream_ctest(["ctest", "--test-dir", str(tree), "--parallel", str(parallel), "--no-tests=error",
                                    "--output-on-failure", "--output-junit", str(report)])
    elapsed = time.monotonic() - start
    wrong_skips = 0
    if report.exists():
        junit = ElementTree.parse(report).getroot()
        wrong_skips = complain_of_skips(junit, permitted)
        print_costs(builds, elapsed, seconds_by_part(junit, labels_of(tree)), parallel)
    else:
        status = status or 1
    if wrong_skips:
        print(f"{wrong_skips} skipped tests count as failures")
    print(flush=True)
    print("".join(closing), end="", flush=True)
    return 1 if status or wrong_skips else 0


def soak(options):
    build("dev", "all", options.jobs)
    run(["ctest", "--test-dir", BUILD / "dev", "--parallel", options.jobs, "-L", "e2e|simulate", "--repeat",
         f"until-fail:{options.rounds}", "--timeout", 600 * options.rounds, "--output-on-failure"])
    return 0


def fuzz(options):
    build("fuzz", "hf_tests", options.jobs)
    fuzzers = (BUILD / "fuzz" / "fuzzers.txt").read_text().splitlines()
    if not fuzzers:
        sys.exit("no fuzzer is built")
    for line in fuzzers:
        program, corpus = line.split(" ", 1)
        found = BUILD / "fuzz" / "found" / pathlib.Path(program).name
        found.mkdir(parents=True, exist_ok=True)
        print(f"fuzzing {program} for {options.seconds} s; new inputs go to {found}", flush=True)
        run([program, found, corpus, f"-max_total_time={options.seconds}", "-timeout=5", "-rss_limit_mb=1024",
             "-print_final_stats=1", f"-artifact_prefix={found}/crash-"])
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["test", "soak", "fuzz"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=20, help="of soak")
    parser.add_argument("--seconds", type=int, default=60, help="of each fuzzer")
    options = parser.parse_args()
    # What may stand in a developer's environment and must not steer a test.
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        del os.environ[name]
    sys.exit({"test": test, "soak": soak, "fuzz": fuzz}[options.what](options))


if __name__ == "__main__":
    main()
