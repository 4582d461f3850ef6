#!/usr/bin/python3
"""tidy_test: holds the source to what docs/architecture.md and the style guide promise.

    tidy.py CHECK --build DIRECTORY     one of: rooms lengths calls cores names headers files documents effects keeper format
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

import checks
from source import Tree

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def commands(build):
    """compile_commands.json as {path below the root: command as words}."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if path.is_relative_to(ROOT):
            found[str(path.relative_to(ROOT))] = shlex.split(entry["command"])
    return found


def core_sources(build):
    """What the targets named x_core are built from."""
    return [path for path, words in commands(build).items() if any("_core.dir/" in word for word in words)]


def flags_for(header, known):
    """How a header is compiled alone: as a file of its room is."""
    room = checks.room_of(header)
    command = next((words for path, words in sorted(known.items()) if checks.room_of(path) == room),
                   next(iter(known.values())))
    command = command[next(at for at, word in enumerate(command) if "clang" in word):]
    keep, skip = [], False
    for word in command:
        if skip or word in ("-o", "-c"):
            skip = word in ("-o",)
            continue
        keep.append(word)
    return [word for word in keep[:-1] if word not in ("-c",)]


def compiles_alone(tree, header, known, cache):
    """None, or the compiler's complaint. Remembered by the contents of all that is included."""
    words = flags_for(header, known)
    digest = hashlib.sha256(" ".join(words).encode())
    for path in sorted(tree.reached_from([header])):
        digest.update(path.encode() + tree.text(path).encode())
    mark = cache / digest.hexdigest()
    if mark.exists():
        return None
    done = subprocess.run([*words, "-Wno-pragma-once-outside-header", "-fsyntax-only", "-x", "c++", str(ROOT / header)],
                          capture_output=True, text=True)
    if done.returncode == 0:
        mark.touch()
        return None
    return f"{header}:1: does not compile alone:\n{done.stderr}"


def headers(tree, build):
    wrong = checks.headers(tree)
    known = commands(build)
    cache = build / "tidy-headers"
    cache.mkdir(exist_ok=True)
    alone = checks.headers_to_compile(tree, list(known))
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        wrong += filter(None, pool.map(lambda header: compiles_alone(tree, header, known, cache), alone))
    return wrong


def keeper(tree, build):
    inputs = subprocess.run(["ninja", "-C", str(build), "-t", "inputs", "holdfast-keeper"], capture_output=True,
                            text=True, check=True).stdout.split()
    sources = {str(path.relative_to(ROOT)) for path in ((build / name).resolve() for name in inputs)
               if path.suffix == ".cc" and path.is_relative_to(ROOT)}
    program = build / "holdfast-keeper"
    if not program.exists():
        return [f"{program} is not built"]
    return checks.keeper_size(tree, sources) + checks.keeper_symbols(program)


def layout(tree):
    files = [str(tree.root / path) for path in tree.files]
    done = subprocess.run(["clang-format-19", "--dry-run", "--Werror", *files], capture_output=True, text=True)
    wrong = sorted({line.split(": error:")[0] for line in done.stderr.splitlines() if ": error:" in line})
    by_file = {}
    for place in wrong:
        by_file.setdefault(place.split(":")[0], []).append(place)
    complaints = [f"{places[0]}: and {len(places) - 1} more places: run clang-format-19 -i on it"
                  for places in by_file.values()]
    return complaints or ([] if done.returncode == 0 else [done.stderr])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("check")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/dev")
    options = parser.parse_args()
    tree = Tree(ROOT)
    build = options.build.resolve()
    known = {
        "rooms": lambda: checks.rooms(tree),
        "lengths": lambda: checks.lengths(tree, checks.read_ratchet((HERE / "ratchet.txt").read_text())),
        "calls": lambda: checks.calls(tree, checks.read_shells((HERE / "shells.txt").read_text())),
        "cores": lambda: checks.cores(tree, core_sources(build)),
        "names": lambda: checks.names(tree),
        "headers": lambda: headers(tree, build),
        "files": lambda: checks.dead_files(tree, list(commands(build))),
        "documents": lambda: checks.documents(tree),
        "effects": lambda: checks.effects(tree),
        "keeper": lambda: keeper(tree, build),
        "format": lambda: layout(tree),
    }
    if options.check not in known:
        parser.error(f"one of: {' '.join(known)}")
    wrong = known[options.check]()
    print("\n".join(wrong) or f"{options.check}: nothing to say")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
