"""Reads C++ the way the checks need it: without comments and strings, as functions, as a graph of includes."""

import bisect
import functools
import pathlib
import re

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)
# In this order: what begins first wins, so a quote in a comment is a comment and the other way round. A ' between
# digits separates them.
_NOT_CODE = re.compile(r'''//(?:\\\n|[^\n])*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*\'''',
                       re.S)
_SCOPE = re.compile(r'^(?:\[\[.*?\]\]\s*|template\s*<.*>\s*|inline\s+|export\s+|typedef\s+|extern\s*$)*'
                    r'(?:namespace\b|class\b|struct\b|union\b|enum\b|extern\s*$)', re.S)


def without_text(code):
    """The same with comments gone and strings empty; every line keeps its number."""
    def blank(match):
        text = match.group(0)
        lines = "\n" * text.count("\n")
        if text.startswith(("//", "/*")):
            return " " + lines
        return '""' + lines
    # An #include names a file in quotes, which is no string.
    return _NOT_CODE.sub(blank, code)


class Function:
    def __init__(self, name, first, last):
        self.name, self.first, self.last = name, first, last

    @property
    def lines(self):
        return self.last - self.first + 1


def functions(code):
    """Every function with a body, tests included; a lambda belongs to the function it stands in."""
    code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda match: "\n" * match.group(0).count("\n"), without_text(code),
                  flags=re.M)
    starts = [match.start() for match in re.finditer("\n", code)]
    line_of = lambda offset: bisect.bisect_left(starts, offset) + 1
    found, open_braces, head_from = [], [], 0
    for match in re.finditer(r"[{};]", code):
        at, sign = match.start(), match.group(0)
        inside_body = any(kind == "body" for kind, _ in open_braces)
        if sign == "{":
            head = code[head_from:at]
            kind = "other" if inside_body else _kind_of(head)
            open_braces.append((kind, head_from + len(head) - len(head.lstrip()) if kind == "body" else at))
            if kind == "body":
                open_braces[-1] = ("body", (head_from + len(head) - len(head.lstrip()), _name_of(head)))
            # What follows the members' initialisers of a constructor still belongs to its head.
            if kind != "initialiser":
                head_from = at + 1
        elif sign == "}":
            if not open_braces:
                continue
            kind, where = open_braces.pop()
            if kind == "body":
                found.append(Function(where[1], line_of(where[0]), line_of(at)))
            if kind != "initialiser":
                head_from = at + 1
        elif not inside_body:
            head_from = at + 1
    return found


def _kind_of(head):
    text = head.strip()
    text = re.sub(r"^(?:public|private|protected)\s*:", "", text).strip()
    # What a class derives from may hold brackets: `class A : public B<int (*)()>`.
    declared = re.split(r"(?<!:):(?!:)", text)[0] if re.match(r"(?:template\s*<.*>\s*)?(?:class|struct)\b", text, re.S) else text
    if _SCOPE.match(text) and "(" not in re.sub(r"alignas\s*\([^)]*\)|__attribute__\s*\(\(.*?\)\)", "", declared):
        return "scope"
    if "(" not in text or re.search(r"=\s*$", text):
        return "other"
    # `Name::Name(...) : member_{...}, other_{...} {`: braces right after a name initialise, unless the list is over.
    after = text[text.rfind(")") + 1:]
    if re.search(r"(?:[:,]\s*)[\w:<>]+\s*$", text) and re.search(r"\)\s*(?:noexcept\s*)?:(?!:)", text):
        return "initialiser"
    if re.match(r"\s*(?:const|noexcept|override|final|mutable|&|->|:|try|requires|$)", after) or ":" in text:
        return "body"
    return "body" if re.search(r"\)\s*\w*\s*$", text) else "other"


def _name_of(head):
    test = re.search(r"\b(?:TEST|TEST_F|TEST_P|TYPED_TEST)\s*\(\s*(\w+)\s*,\s*(\w+)", head)
    if test:
        return f"{test.group(1)}.{test.group(2)}"
    name = re.search(r"([\w~:]+|operator[^\s(]+)\s*\(", head)
    return name.group(1) if name else "?"


class Tree:
    """The sources below a root, read once."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    @functools.cached_property
    def files(self):
        """Paths relative to the root, of all C and C++ under src/, tests/, bench/ and examples/."""
        found = []
        for folder in ("src", "tests", "bench", "examples"):
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in (".h", ".cc", ".c") and path.is_file():
                    found.append(str(path.relative_to(self.root)))
        return found

    @functools.cache
    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    @functools.cache
    def code(self, path):
        return without_text(self.text(path))

    @functools.cache
    def includes(self, path):
        """Of our own files: (line, path). `"room/x.h"` is below src/; else it is beside the file."""
        found = []
        for match in INCLUDE.finditer(self.text(path)):
            line = self.text(path).count("\n", 0, match.start()) + 1
            for base in (pathlib.PurePath("src"), pathlib.PurePath(path).parent):
                candidate = str(base / match.group(1))
                if (self.root / candidate).is_file():
                    found.append((line, candidate))
                    break
        return found

    def reached_from(self, paths):
        """These files and all of ours that they include, directly or not."""
        seen, pending = set(), list(paths)
        while pending:
            path = pending.pop()
            if path in seen or not (self.root / path).is_file():
                continue
            seen.add(path)
            pending += [included for _, included in self.includes(path)]
        return seen
