#!/usr/bin/python3
"""The checks themselves: each catches the sample it is there for, and lets the good one pass."""

import pathlib
import shutil
import subprocess
import tempfile
import textwrap
import unittest

import checks
from source import Tree, functions, without_text

MAP = """\
| room | uses | what lives there |
| --- | --- | --- |
| `base/` | | the ground |
| `runtime/` | `base` | the edges |
| `health/` | `base`, `runtime` | the verdict |
"""


class Sample(unittest.TestCase):
    """A small repository made of what a test names."""

    def tree(self, files, document=MAP):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-tidy-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for path, text in {"docs/architecture.md": document, **files}.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(textwrap.dedent(text))
        return Tree(self.folder)

    def assert_one(self, complaints, *parts):
        self.assertEqual(len(complaints), 1, complaints)
        for part in parts:
            self.assertIn(part, complaints[0])


class Rooms(Sample):
    GOOD = {"src/base/a.h": "// A.\n", "src/runtime/b.h": '#include "base/a.h"\n',
            "src/health/c.cc": '#include "base/a.h"\n#include "runtime/b.h"\n'}

    def test_the_documented_graph_passes(self):
        self.assertEqual(checks.rooms(self.tree(self.GOOD)), [])

    def test_a_use_against_the_order_is_caught_with_its_line(self):
        bad = {**self.GOOD, "src/base/a.h": '// A.\n#include "health/d.h"\n', "src/health/d.h": "// D.\n"}
        self.assert_one(checks.rooms(self.tree(bad)), "src/base/a.h:2", "health/")

    def test_a_use_the_document_does_not_name_is_caught(self):
        document = MAP.replace("`base`, `runtime` |", "`base` |")
        self.assert_one(checks.rooms(self.tree(self.GOOD, document)), "src/health/c.cc:2", "runtime/")

    def test_a_use_that_has_gone_is_caught(self):
        good = {**self.GOOD, "src/health/c.cc": '#include "base/a.h"\n'}
        self.assert_one(checks.rooms(self.tree(good)), "health/ is said to use runtime")

    def test_a_document_that_contradicts_itself_is_caught(self):
        document = MAP.replace("| `base/` | |", "| `base/` | `health` |")
        complaints = checks.rooms(self.tree(self.GOOD, document))
        self.assertIn("does not stand above it", complaints[0])

    def test_an_undocumented_room_and_the_simulator_in_the_product_are_caught(self):
        self.assert_one(checks.rooms(self.tree({**self.GOOD, "src/utils/x.h": "// X.\n"})), "utils/")
        bad = {**self.GOOD, "src/runtime/sim/world.h": "// W.\n",
               "src/health/e.cc": '#include "runtime/sim/world.h"\n',
               "src/health/e_test.cc": '#include "runtime/sim/world.h"\n'}
        self.assert_one(checks.rooms(self.tree(bad)), "src/health/e.cc:1", "simulated")


class Lengths(Sample):
    LONG = "int f() {\n" + "    g();\n" * 75 + "}\n"

    def test_long_functions_and_files_are_caught(self):
        self.assert_one(checks.lengths(self.tree({"src/base/a.cc": self.LONG}), {}), "src/base/a.cc:f: 77 lines")
        self.assert_one(checks.lengths(self.tree({"src/base/a.cc": "int x;\n" * 501}), {}), "501 lines")
        self.assert_one(checks.lengths(self.tree({"tests/a.py": "def f():\n" + "    g()\n" * 70}), {}), "tests/a.py:f")

    def test_an_exception_may_only_shrink(self):
        tree = self.tree({"src/base/a.cc": self.LONG})
        self.assertEqual(checks.lengths(tree, {"src/base/a.cc:f": 77}), [])
        self.assert_one(checks.lengths(tree, {"src/base/a.cc:f": 76}), "77 lines, at most 76")
        self.assert_one(checks.lengths(tree, {"src/base/a.cc:f": 90}), "has shrunk to 77")
        self.assert_one(checks.lengths(tree, {"src/base/a.cc:f": 77, "src/base/a.cc": 600}), "no longer needs")

    def test_functions_of_every_form_are_found(self):
        code = textwrap.dedent("""\
            namespace a {
            template <class T>
            Result<T> one(T value) const noexcept {
                auto lambda = [](int x) { return x; };
            }
            Thing::Thing(int a, int b)
                : a_(a), b_{b}, c_{a, b} {
                go();
            }
            class Q : public testing::TestWithParam<int (*)()> {
                int y = 0;
            };
            struct S : Base { int x = 0; void two() override { x = 1; } };
            TEST(Suite, Claims) {
                EXPECT_EQ(1, 1);
            }
            auto three() -> int { return R"({ not a brace)"[0]; }
            const std::map<int, int> table = {{1, 2}, {3, 4}};
            enum class E { a, b };
            bool operator==(const S& a, const S& b) {
                return true;
            }
            }  // namespace a
            """)
        self.assertEqual([(function.name, function.lines) for function in functions(code)],
                         [("one", 4), ("Thing::Thing", 4), ("two", 1), ("Suite.Claims", 3), ("three", 1),
                          ("operator==", 3)])


class Calls(Sample):
    def test_each_banned_call_is_caught_outside_runtime_only(self):
        for rule, call in (("clock", "auto t = std::chrono::steady_clock::now();"), ("clock", "clock_gettime(1, &t);"),
                           ("sleep", "std::this_thread::sleep_for(1s);"), ("sleep", "usleep(5);"),
                           ("random", "int x = rand();"), ("random", "std::random_device device;"),
                           ("socket", "int fd = socket(AF_INET, 1, 0);"), ("socket", "int fd = ::accept4(1, 0, 0, 0);"),
                           ("thread", "std::thread other(f);"), ("thread", "co_spawn(loop, f(), asio::detached);")):
            tree = self.tree({"src/health/a.cc": f"void f() {{\n    {call}\n}}\n",
                              "src/runtime/real/b.cc": f"void f() {{ {call} }}\n"})
            complaints = checks.calls(tree, set())
            self.assertTrue(complaints and complaints[0].startswith(f"src/health/a.cc:2: {rule}"), (call, complaints))
            self.assertEqual(checks.calls(tree, {("src/health/a.cc", rule)}), [])
            self.assertEqual(checks.calls(tree, {("src/health/", rule)}), [])

    def test_what_only_looks_like_one_passes(self):
        tree = self.tree({"src/health/a.cc": """\
            // It may sleep(1), call rand() or socket().
            void f() { log("rand() std::thread"); clock.sleep_for(1s); network.socket(); operand(); x = clock.now(); }
            """})
        self.assertEqual(checks.calls(tree, set()), [])

    def test_a_permission_nobody_needs_or_explains_is_caught(self):
        self.assert_one(checks.calls(self.tree({}), {("src/health/a.cc", "clock")}), "no longer needs")
        with self.assertRaises(ValueError):
            checks.read_shells("src/health/a.cc clock:\n")

    def test_a_core_that_reads_a_clock_or_waits_is_caught(self):
        tree = self.tree({"src/health/a.h": "// A.\nInstant x = clock.now();\n",
                          "src/health/a.cc": "Task<void> f() { co_await g(); }\n"})
        complaints = checks.cores(tree, ["src/health/a.cc"])
        self.assertEqual([line.split(":")[0] for line in complaints], ["src/health/a.cc", "src/health/a.h"])


class Names(Sample):
    def test_vague_names_marks_and_macros_are_caught(self):
        for text, part in (("class LeaseManager {};", "LeaseManager"), ("struct NodeInfo { int x; };", "NodeInfo"),
                           ("// TODO: later", "TODO"), ("#define HF_MINE 1", "HF_MINE")):
            self.assert_one(checks.names(self.tree({"src/base/a.cc": text + "\n"})), "src/base/a.cc:1", part)
        self.assert_one(checks.names(self.tree({"src/base/string_utils.cc": "\n"})), "string_utils")
        self.assertEqual(checks.names(self.tree({"src/base/a.cc": "class Metadata {};\nstruct stat info{};\n"})), [])


class Headers(Sample):
    def test_a_header_without_purpose_or_guard_is_caught(self):
        self.assert_one(checks.headers(self.tree({"src/base/a.h": "#pragma once\n"})), "begins by saying")
        self.assert_one(checks.headers(self.tree({"src/base/a.h": "// A.\n"})), "#pragma once")

    def test_a_source_that_hides_what_its_header_lacks_is_caught(self):
        files = {"src/base/a.h": "// A.\n#pragma once\n", "src/base/a.cc": '#include <string>\n#include "base/a.h"\n'}
        self.assert_one(checks.headers(self.tree(files)), "src/base/a.cc:1", "include base/a.h first")

    def test_a_header_that_no_source_includes_first_is_to_be_compiled(self):
        tree = self.tree({"src/base/a.h": "// A.\n", "src/base/b.h": "// B.\n",
                          "src/base/a.cc": '#include "base/a.h"\n#include "base/b.h"\n'})
        self.assertEqual(checks.headers_to_compile(tree, ["src/base/a.cc"]), ["src/base/b.h"])

    def test_one_that_does_not_compile_alone_is_caught(self):
        import tidy

        tree = self.tree({"src/base/a.h": "// A.\n#pragma once\nstd::string text();\n",
                          "src/base/b.h": "// B.\n#pragma once\n#include <string>\nstd::string text();\n"})
        root, tidy.ROOT = tidy.ROOT, self.folder
        self.addCleanup(setattr, tidy, "ROOT", root)
        known = {"src/base/a.cc": ["ccache", "clang++-19", "-std=c++23", "-o", "x.o", "-c", "a.cc"]}
        complaint = tidy.compiles_alone(tree, "src/base/a.h", known, self.folder)
        self.assertIn("src/base/a.h:1: does not compile alone", complaint)
        self.assertIsNone(tidy.compiles_alone(tree, "src/base/b.h", known, self.folder))


class Files(Sample):
    def test_what_nothing_builds_is_caught(self):
        tree = self.tree({"src/base/a.cc": '#include "base/b.h"\n', "src/base/b.h": '#include "base/c.h"\n',
                          "src/base/c.h": "", "src/base/dead.cc": '#include "base/dead.h"\n', "src/base/dead.h": ""})
        complaints = checks.dead_files(tree, ["src/base/a.cc"])
        self.assertEqual([line.split(":")[0] for line in complaints], ["src/base/dead.cc", "src/base/dead.h"])


class Documents(Sample):
    def test_pages_that_are_not_there_are_caught(self):
        tree = self.tree({"README.md": "See [this](docs/a.md), [that](docs/b.md#x) and [it](https://x.example/).\n",
                          "docs/a.md": "[Back](../README.md)\n", "src/base/a.h": "// docs/a.md and docs/formats/c.md.\n"})
        complaints = checks.documents(tree)
        self.assertEqual([line.split(": ")[1] for line in complaints],
                         ["there is no docs/formats/c.md", "there is no docs/b.md"])


class Effects(Sample):
    FILES = {"docs/spec.md": "| `name` | name | x | x | Its name. |\n| `zones` | x | x | x | *Not yet.* Where. |\n",
             "src/cli/main.cc": 'x->add_flag("-f,--follow", x, "and more"); x->add_option("--zone", x, "not available yet");',
             "tests/e2e/a_test.py": "class A:\n    def test_b(self):\n        pass\n"}

    def test_a_key_or_flag_without_a_test_is_caught(self):
        good = {**self.FILES, "tests/effects.txt": "name: a A.test_b\n--follow: a A.test_b\n"}
        self.assertEqual(checks.effects(self.tree(good)), [])
        self.assert_one(checks.effects(self.tree({**good, "tests/effects.txt": "name: a A.test_b\n"})), "--follow")

    def test_a_test_that_is_not_there_and_a_key_that_is_not_are_caught(self):
        bad = {**self.FILES, "tests/effects.txt": "name: a A.test_c\n--follow: a A.test_b\n"}
        self.assert_one(checks.effects(self.tree(bad)), "there is no test a A.test_c")
        bad = {**self.FILES, "tests/effects.txt": "name: a A.test_b\n--follow: a A.test_b\nzones: a A.test_b\n"}
        self.assert_one(checks.effects(self.tree(bad)), "zones")


class Keeper(Sample):
    def test_one_that_grew_is_caught(self):
        tree = self.tree({"src/keeper/a.cc": "int x;\n// Not code.\n\n" * 1501})
        self.assert_one(checks.keeper_size(tree, ["src/keeper/a.cc"]), "1501 lines of code")
        tree = self.tree({"src/keeper/a.cc": "int x;\n// Not code.\n\n" * 1500})
        self.assertEqual(checks.keeper_size(tree, ["src/keeper/a.cc"]), [])

    def test_a_forbidden_symbol_is_caught(self):
        self.tree({"a.cc": "namespace rocksdb { __attribute__((used)) void open() {} }\nint main() {}\n"})
        program = self.folder / "a"
        subprocess.run(["clang++-19", "-o", program, self.folder / "a.cc"], check=True)
        self.assert_one(checks.keeper_symbols(program), "rocksdb::")
        (self.folder / "a.cc").write_text("int main() {}\n")
        subprocess.run(["clang++-19", "-o", program, self.folder / "a.cc"], check=True)
        self.assertEqual(checks.keeper_symbols(program), [])


class Text(unittest.TestCase):
    def test_comments_and_strings_go_and_lines_stay(self):
        code = 'a // "x\nb /* now(\n) */ c "now()" d 1\'000 \'"\' e R"(now()\n)" f'
        cleaned = without_text(code)
        self.assertEqual(cleaned.count("\n"), code.count("\n"))
        self.assertNotIn("now", cleaned)
        for letter in "abcdef":
            self.assertIn(letter, cleaned)


if __name__ == "__main__":
    unittest.main()
