#!/usr/bin/python3
"""What tests/run.py promises: no skip unseen, every second in its part, ctest's summary last."""

import contextlib
import io
import subprocess
import sys
import tempfile
import textwrap
import unittest
import xml.etree.ElementTree as ElementTree

import run


def junit(*cases):
    return ElementTree.fromstring(f"<testsuite>{''.join(cases)}</testsuite>")


class Skips(unittest.TestCase):
    def test_a_skip_that_nobody_explained_counts(self):
        report = junit('<testcase name="a" status="run"/>', '<testcase name="b" status="notrun"><skipped/></testcase>')
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(run.complain_of_skips(report, {}), 1)
            self.assertEqual(run.complain_of_skips(report, {"b": "needs a second machine"}), 0)
        self.assertIn("FAILED: b was skipped", said.getvalue())

    def test_a_disabled_test_is_a_skipped_test(self):
        self.assertEqual(run.skipped_tests(junit('<testcase name="a" status="disabled"/>')), ["a"])

    def test_a_permission_needs_a_reason(self):
        self.assertEqual(run.permitted_skips("# comment\n\na.b: no IPv6 here\n"), {"a.b": "no IPv6 here"})
        with self.assertRaises(ValueError):
            run.permitted_skips("a.b:\n")


class Costs(unittest.TestCase):
    def test_every_second_is_in_a_part(self):
        report = junit('<testcase name="a" time="1.5"/>', '<testcase name="b" time="2"/>', '<testcase name="c" time="4"/>')
        self.assertEqual(run.seconds_by_part(report, {"a": ["unit"], "b": ["tsan"], "c": ["new"]}),
                         {"unit": 3.5, "other": 4.0})


class Closing(unittest.TestCase):
    def test_the_closing_lines_are_held_back_and_the_others_are_not(self):
        script = textwrap.dedent("""
            print('1/2 Test #1: a ...   Passed')
            print('50% tests passed, 1 tests failed out of 2')
            print('Total Test time (real) =   0.10 sec')
            raise SystemExit(8)
        """)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status, closing = run.stream_ctest([sys.executable, "-c", script])
        self.assertEqual(status, 8)
        self.assertEqual(said.getvalue(), "1/2 Test #1: a ...   Passed\n")
        self.assertEqual([line.split(" ")[0] for line in closing], ["50%", "Total"])

    def test_tests_of_several_builds_are_one_list(self):
        with tempfile.TemporaryDirectory() as folder:
            run.BUILD = run.pathlib.Path(folder)
            for name in ("one", "two"):
                (run.BUILD / name).mkdir()
                (run.BUILD / name / "CTestTestfile.cmake").write_text(f'add_test({name} "true")\n')
            tree = run.one_tree(["one", "two"])
            done = subprocess.run(["ctest", "--test-dir", str(tree)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("100% tests passed, 0 tests failed out of 2", done.stdout)


if __name__ == "__main__":
    unittest.main()
