"""The promises of the style guide that a machine can hold us to. Each check returns its complaints as lines."""

import ast
import pathlib
import re
import subprocess

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
KEEPER_LINES_MAX = 1500


def room_of(path):
    parts = pathlib.PurePath(path).parts
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


def is_test(path):
    """Also what only tests include: benches for cores to run on, and folders named testing/."""
    return path.endswith(("_test.cc", "_test.h", "_fuzz.cc", "_bench.cc", "_bench.h", "_conformance.h")) or "/testing/" in path


# Rooms.

def documented_rooms(text):
    """docs/architecture.md's table: [(room, rooms it says it uses)], in its order."""
    rooms = []
    for line in text.splitlines():
        row = re.match(r"\|\s*`(\w+)/`\s*\|\s*([^|]*)\|\s*([^|]*)\|", line)
        if row:
            rooms.append((row.group(1), set(re.findall(r"`(\w+)`", row.group(2)))))
    return rooms


def rooms(tree):
    document = documented_rooms((tree.root / "docs/architecture.md").read_text())
    order = [room for room, _ in document]
    says = dict(document)
    wrong = []
    if not document:
        return ["docs/architecture.md: no table of rooms (rows `| `room/` | uses | what |`)"]
    for place, (room, uses) in enumerate(document):
        for used in sorted(uses - set(order[:place])):
            wrong.append(f"docs/architecture.md: {room}/ uses {used}, which does not stand above it")
    does = {}
    for path in tree.files:
        room = room_of(path)
        if room is None:
            continue
        if room not in says:
            wrong.append(f"{path}:1: the room {room}/ is not in docs/architecture.md")
            continue
        for line, included in tree.includes(path):
            wrong += _crossing(path, line, room, included, says)
            other = room_of(included)
            if other and other != room and not is_test(path):
                does.setdefault(room, set()).add(other)
    for room, uses in document:
        for unused in sorted(uses - does.get(room, set())):
            if any(room_of(path) == room for path in tree.files):
                wrong.append(f"docs/architecture.md: {room}/ is said to use {unused}, and does not")
    return wrong


def _crossing(path, line, room, included, says):
    other = room_of(included)
    order = list(says)
    wrong = []
    if other and other != room:
        if is_test(path):
            if other in order and order.index(other) > order.index(room):
                wrong.append(f"{path}:{line}: a test of {room}/ uses {other}/, which stands below it")
        elif other not in says[room]:
            wrong.append(f"{path}:{line}: {room}/ uses {other}/, which docs/architecture.md does not say")
    if included.startswith("src/runtime/sim/") and not (
            is_test(path) or room == "simulate" or path.startswith("src/runtime/sim/")):
        wrong.append(f"{path}:{line}: the simulated runtime is for tests and simulate/ only")
    return wrong


# Lengths.

def read_ratchet(text):
    """{name: lines} of `NAME LINES` lines, where NAME is PATH or PATH:FUNCTION."""
    allowed = {}
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if line:
            name, lines = line.rsplit(None, 1)
            allowed[name] = int(lines)
    return allowed


def measured_lengths(tree):
    """{name: (lines, limit)} of every file and function."""
    from source import functions

    lengths = {}
    for path in tree.files:
        lengths[path] = (tree.text(path).count("\n"), FILE_LINES_MAX)
        for function in functions(tree.text(path)):
            name = f"{path}:{function.name}"
            if function.lines > lengths.get(name, (0, 0))[0]:
                lengths[name] = (function.lines, FUNCTION_LINES_MAX)
    for path in python_files(tree.root):
        text = (tree.root / path).read_text()
        lengths[path] = (text.count("\n"), FILE_LINES_MAX)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lengths[f"{path}:{node.name}"] = (node.end_lineno - node.lineno + 1, FUNCTION_LINES_MAX)
    return lengths


def python_files(root):
    return sorted(str(path.relative_to(root)) for folder in ("tests", "bench", "examples")
                  for path in (root / folder).rglob("*.py"))


def lengths(tree, ratchet):
    wrong = []
    measured = measured_lengths(tree)
    for name, (lines, limit) in sorted(measured.items()):
        allowed = ratchet.get(name, limit)
        if lines > allowed:
            wrong.append(f"{name}: {lines} lines, at most {allowed}")
    for name, allowed in sorted(ratchet.items()):
        lines, limit = measured.get(name, (0, 0))
        if lines <= limit:
            wrong.append(f"tests/tidy/ratchet.txt: {name} no longer needs its line: remove it")
        elif lines < allowed:
            wrong.append(f"tests/tidy/ratchet.txt: {name} has shrunk to {lines}: write that, so that it stays so")
    return wrong


# Calls.

# What is banned outside runtime/ and named shells: the rule, what it looks like, whether tests may, what to do instead.
# A shell asks runtime/'s Clock, `clock.now()`; a core is handed an Instant, so there even that is banned.
CALLS = [
    ("clock", r"_clock::now\s*\(|\bclock_gettime\b|\bgettimeofday\b|(?<![\w.>:])time\s*\(\s*(?:NULL|nullptr|0|&)",
     False, "ask runtime/'s Clock, or take an Instant as an argument"),
    ("sleep", r"\bthis_thread\b|\busleep\b|\bnanosleep\b|(?<![\w.>])sleep\s*\(\s*\d",
     False, "wait for the event, or with a Clock"),
    ("random", r"(?<![\w.>])s?rand\s*\(|\brandom_device\b|\bgetrandom\s*\(|\barc4random",
     False, "take a runtime::Random as an argument"),
    ("socket", r"(?<![\w.>])(?:::)?(?:socket|socketpair|accept4|getaddrinfo)\s*\(",
     True, "use runtime/'s Network or Processes"),
    ("thread", r"\bstd::j?thread\b|\bpthread_create\b|\bstd::async\b|\bdetached\b|\bco_spawn\s*\(",
     True, "post to the loop's pool, or spawn into a task group"),
]
IN_CORES = [
    (r"(?<![\w])now\s*\(\s*\)", "a core is handed an Instant"),
    (r"\bco_await\b|\bco_return\b", "a core decides and does not wait"),
    (r"\bstd::mutex\b|\bstd::condition_variable\b", "a core belongs to one thread"),
]
AT_HOME = ("src/runtime/",)


def read_shells(text):
    """{(path or folder/, rule)} of `PATH RULE: REASON` lines: shells that may, and why."""
    shells = set()
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        name, colon, reason = line.partition(": ")
        words = name.split()
        if len(words) != 2 or not reason.strip() or words[1] not in [rule for rule, *_ in CALLS]:
            raise ValueError(f"tests/tidy/shells.txt: {line!r}: write PATH RULE: REASON")
        shells.add((words[0], words[1]))
    return shells


def calls(tree, shells):
    wrong, used = [], set()
    for path in tree.files:
        if not path.startswith("src/") or path.startswith(AT_HOME):
            continue
        for rule, pattern, tests_may, instead in CALLS:
            if tests_may and is_test(path):
                continue
            for line, text in found_in(tree, path, pattern):
                permitted = {(name, of) for name, of in shells
                             if of == rule and (path == name or name.endswith("/") and path.startswith(name))}
                used |= permitted
                if not permitted:
                    wrong.append(f"{path}:{line}: {rule}: {text}...: {instead}")
    for path, rule in sorted(shells - used):
        wrong.append(f"tests/tidy/shells.txt: {path} no longer needs its permission for {rule}: remove it")
    return wrong


def found_in(tree, path, pattern):
    """(line, what) of each match in a file's code."""
    return [(tree.code(path).count("\n", 0, match.start()) + 1, match.group(0).strip())
            for match in re.finditer(pattern, tree.code(path))]


def cores(tree, sources):
    """`sources`: what the targets named x_core are built from; their own headers count with them."""
    wrong = []
    for source in sorted(sources):
        for path in (source, source.removesuffix(".cc") + ".h"):
            if path not in tree.files or path.startswith(AT_HOME):
                continue
            for pattern, why in IN_CORES:
                wrong += [f"{path}:{line}: {text}: {why}" for line, text in found_in(tree, path, pattern)]
    return wrong


# Names, headers, marks, macros.

VAGUE = re.compile(r"\b(?:class|struct|enum class|concept)\s+(?:\[\[\w+\]\]\s*)?(\w*(?:Manager|Handler|Helper|Util|Utils|Impl|Data|Info))\b(?!\s*\()")
VAGUE_FILE = re.compile(r"(?:^|[/_])(?:utils?|helpers?|common|misc|managers?|interfaces)(?:[/_.]|$)")
MACROS = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.M)
MARKS = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
MACROS_ALLOWED_IN = ("src/base/check.h", "src/base/result.h")
# What a library wants to be told before it is included is no macro of ours.
MACROS_OF_LIBRARIES = re.compile(r"(?:TOML|BOOST|FMT)_|toml$|_GNU_SOURCE$")


def names(tree):
    wrong = []
    for path in tree.files:
        if VAGUE_FILE.search(path):
            wrong.append(f"{path}:1: the file's name says nothing: name the concept")
        for line, text in found_in(tree, path, VAGUE):
            wrong.append(f"{path}:{line}: {text}: such a name means the concept has not been found yet")
        for match in MARKS.finditer(tree.text(path)):
            line = tree.text(path).count("\n", 0, match.start()) + 1
            wrong.append(f"{path}:{line}: {match.group(0)}: finish it, or leave it out")
        # A test may leave a coroutine by a macro, as GoogleTest's own leave a function.
        if path.startswith("src/") and path not in MACROS_ALLOWED_IN and not is_test(path):
            for match in MACROS.finditer(tree.text(path)):
                if MACROS_OF_LIBRARIES.match(match.group(1)):
                    continue
                line = tree.text(path).count("\n", 0, match.start()) + 1
                wrong.append(f"{path}:{line}: {match.group(1)}: macros beyond HF_CHECK and HF_TRY are not ours")
    return wrong


def headers(tree):
    """Begin with a comment, are included once, and are the first thing their own .cc includes."""
    wrong = []
    for path in tree.files:
        if path.startswith("src/") and path.endswith(".h"):
            if not tree.text(path).startswith("//"):
                wrong.append(f"{path}:1: a header begins by saying what it is and why it is so")
            if "#pragma once" not in tree.text(path):
                wrong.append(f"{path}:1: #pragma once is missing")
        own = path.removesuffix(".cc") + ".h"
        if path.startswith("src/") and path.endswith(".cc") and own in tree.files:
            included = [name for _, name in tree.includes(path)]
            first = re.search(r"^[ \t]*#[ \t]*include[ \t]+(.*)$", tree.text(path), re.M)
            if not included or included[0] != own or not first.group(1).startswith('"'):
                wrong.append(f"{path}:1: include {own.removeprefix('src/')} first: that shows that it compiles alone")
    return wrong


def headers_to_compile(tree, compiled):
    """Headers whose self-sufficiency no compiled file shows by including them before all else."""
    shown = set()
    for path in compiled:
        if path not in tree.files:
            continue
        first = re.search(r"^[ \t]*#[ \t]*include[ \t]+(.*)$", tree.text(path), re.M)
        if first and first.group(1).startswith('"') and tree.includes(path):
            shown.add(tree.includes(path)[0][1])
    return [path for path in tree.files if path.startswith("src/") and path.endswith(".h") and path not in shown]


# Files.

def dead_files(tree, compiled):
    """Sources no target builds, headers nothing built includes."""
    reached = tree.reached_from(compiled)
    wrong = []
    for path in tree.files:
        if path in reached:
            continue
        what = "nothing that is built includes it" if path.endswith(".h") else "no target builds it"
        wrong.append(f"{path}:1: dead: {what}")
    return wrong


# Documents.

MENTION = re.compile(r"\bdocs/[\w./-]+\.(?:md|svg)")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def documents(tree):
    """Every page a source mentions and every file a page links to is there."""
    wrong = []
    for path in tree.files:
        for match in MENTION.finditer(tree.text(path)):
            if not (tree.root / match.group(0)).exists():
                line = tree.text(path).count("\n", 0, match.start()) + 1
                wrong.append(f"{path}:{line}: there is no {match.group(0)}")
    for page in sorted([tree.root / "README.md", *(tree.root / "docs").rglob("*.md")]):
        text = page.read_text() if page.exists() else ""
        for match in LINK.finditer(text):
            if not (page.parent / match.group(1)).exists():
                line = text.count("\n", 0, match.start()) + 1
                wrong.append(f"{page.relative_to(tree.root)}:{line}: there is no {match.group(1)}")
    return wrong


# Effects.

SPEC_KEY = re.compile(r"^\| `([\w.]+)` \|.*\| (.*) \|$", re.M)
# `node` is the keeper's word, not people's.
FLAG = re.compile(r'(?<!node->)add_(?:flag|option)\(\s*"([^"]*--[^"]*)",[^"]*"([^"]*)"')
SETTING = re.compile(r'\.key = "(\w+)".*?\.awaits = ([^}\n]*\}?)', re.S)


def effects(tree):
    """Every key of docs/spec.md and every flag of the command that is available has a test, and the test is there."""
    spec = (tree.root / "docs/spec.md").read_text()
    # A key that is one word of a table's row is written with its table: `limits.memory`.
    wanted = {key for key, about in SPEC_KEY.findall(spec) if not about.startswith("*Not yet.*")}
    for path in tree.files:
        if path.startswith("src/cli/") and path.endswith(".cc"):
            for flags, about in FLAG.findall(tree.text(path)):
                if not about.startswith("not available yet"):
                    wanted.add(flags.split(",")[-1])
    settings = tree.root / "src/coord/settings.cc"
    if settings.exists():
        wanted |= {f"setting {key}" for key, awaits in SETTING.findall(settings.read_text()) if awaits.startswith("{}")}
    named, wrong = {}, []
    for line in (tree.root / "tests/effects.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            key, _, test = line.partition(": ")
            named[key] = test
    wrong += [f"tests/effects.txt: no test observes the effect of {key}" for key in sorted(wanted - set(named))]
    wrong += [f"tests/effects.txt: there is no {key}, or it is not available yet" for key in sorted(set(named) - wanted)]
    for key, test in sorted(named.items()):
        if not _python_test_exists(tree.root, test):
            wrong.append(f"tests/effects.txt: {key}: there is no test {test}")
    return wrong


def _python_test_exists(root, test):
    file, _, name = test.partition(" ")
    path = root / "tests" / "e2e" / f"{file}_test.py"
    case, _, method = name.partition(".")
    return path.exists() and any(
        isinstance(node, ast.ClassDef) and node.name == case
        and any(isinstance(item, ast.FunctionDef) and item.name == method for item in node.body)
        for node in ast.parse(path.read_text()).body)


# The keeper.

FORBIDDEN_SYMBOLS = re.compile(r"\b(?:boost|rocksdb|google::protobuf)::")
FORBIDDEN_LIBRARIES = re.compile(r"lib(?:boost_\w+|rocksdb|protobuf\w*)\.so")


def code_lines(tree, path):
    return sum(1 for line in tree.code(path).splitlines() if line.strip())


def keeper_size(tree, sources):
    """`sources`: what the keeper's program is built from. Declarations, comments and what the room uses of others
    do not count: docs/decisions/keeper.md."""
    ours = [path for path in sorted(tree.reached_from(sources)) if room_of(path) == "keeper" and path.endswith(".cc")]
    if not ours:
        return ["the keeper's program is built from nothing in src/keeper/"]
    total = sum(code_lines(tree, path) for path in ours)
    if total > KEEPER_LINES_MAX:
        listing = ", ".join(f"{path} {code_lines(tree, path)}" for path in ours)
        return [f"the keeper has {total} lines of code, at most {KEEPER_LINES_MAX}: {listing}"]
    return []


def keeper_symbols(program):
    wrong = []
    symbols = subprocess.run(["nm", "-C", str(program)], capture_output=True, text=True, check=True).stdout
    found = sorted({match.group(0) for match in FORBIDDEN_SYMBOLS.finditer(symbols)})
    if found:
        wrong.append(f"{program}: holds symbols of {', '.join(found)}")
    dynamic = subprocess.run(["readelf", "-d", str(program)], capture_output=True, text=True, check=True).stdout
    for library in sorted(set(FORBIDDEN_LIBRARIES.findall(dynamic))):
        wrong.append(f"{program}: needs {library}")
    return wrong
