#!/usr/bin/python3
"""What services print: taken with its time, kept within bounds, followed live, and never in the service's way."""

import os
import re
import subprocess
import threading

import harness
from harness import eventually

FILE_BYTES_MAX = 8 << 20
FILES_MAX = 4


class Logs(harness.Case):
    def test_lines_are_kept_with_time_and_stream(self):
        hf = self.holdfast()
        hf.apply(name="talk", command=["/bin/sh", "-c", "echo to out; echo to err >&2; exec sleep 1000"])
        eventually(lambda: len(hf.log_lines("talk")) >= 2, "both lines are there")
        lines = hf.log_lines("talk")
        self.assertIn(("out", "to out"), lines)
        self.assertIn(("err", "to err"), lines)
        text = hf.cli("logs", "talk", check=0).stdout
        self.assertRegex(text, r"(?m)^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z .*to out$")

    def test_a_line_written_in_two_parts_is_one_line(self):
        hf = self.holdfast()
        hf.apply(name="talk", command=[self.program("misfit"), "say", "first line", "second line", "third line"])
        eventually(lambda: ("out", "third line") in hf.log_lines("talk"), "the last line is there")
        texts = [text for stream, text in hf.log_lines("talk") if stream == "out"]
        self.assertEqual(texts, ["first line", "second line", "third line"])

    def test_bytes_that_are_no_text_and_lines_without_end_do_no_harm(self):
        hf = self.holdfast()
        hf.apply(name="talk", command=[self.program("misfit"), "bytes"])
        eventually(lambda: ("out", "after the long line") in hf.log_lines("talk"), "the line after them is there")
        lines = [text for stream, text in hf.log_lines("talk") if stream == "out"]
        self.assertTrue(lines[0].startswith("before ") and lines[0].endswith(" after"), lines[0])
        self.assertEqual(sum(len(line) for line in lines if set(line) == {"y"}), 100000)

    def test_following_shows_lines_as_they_come(self):
        hf = self.holdfast()
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        hf.apply(name="talk", command=["/bin/sh", "-c", f"while :; do cat {fifo}; done"])
        seen = []
        with subprocess.Popen([str(hf.binary), "logs", "-f", "talk"], env=hf.env, stdout=subprocess.PIPE, text=True) as follow:
            reader = threading.Thread(target=lambda: seen.extend(iter(follow.stdout.readline, "")), daemon=True)
            reader.start()
            for number in range(3):
                fifo.write_text(f"line {number}\n")
                eventually(lambda: any(line.rstrip().endswith(f"line {number}") for line in seen), f"line {number} is shown")
            follow.terminate()

    def test_a_crash_leaves_its_last_words(self):
        hf = self.holdfast()
        hf.apply(name="talk", command=["/bin/sh", "-c", "printf 'last words'; exit 9"], wait_for=None)
        eventually(lambda: ("out", "last words") in hf.log_lines("talk"), "the unfinished line is there")

    def test_a_flood_never_blocks_the_service_and_stays_within_its_files(self):
        hf = self.holdfast()
        progress = self.path("progress")
        hf.apply(name="flood", command=[self.program("misfit"), "flood", str(progress)])
        # Enough to fill all files more than twice over.
        wanted = 2 * FILES_MAX * FILE_BYTES_MAX // 1024
        eventually(lambda: progress.exists() and int(progress.read_text().split()[0]) > wanted, "it wrote its share",
                   within=60)
        longest_us = int(progress.read_text().split()[1])
        self.assertLess(longest_us, 1_000_000, "one write took that long")
        self.assertEqual(hf.service("flood")["state"], "ready")
        files = [path for path in (hf.data / "logs" / "flood").iterdir()]
        self.assertLessEqual(len(files), FILES_MAX)
        hf.cli("stop", "flood", check=0)
        hf.wait_state("flood", "stopped")  # Before that a file may still be put aside, or go.
        files = list((hf.data / "logs" / "flood").iterdir())
        for path in files:
            self.assertLess(path.stat().st_size, FILE_BYTES_MAX * 1.2, path)
        said = " ".join(text for stream, text in hf.log_lines("flood", "-n", "100000") if stream == "log")
        lost = re.search(r"(\d+).{0,40}(lost|dropped)|(lost|dropped).{0,40}(\d+)", said)
        total = sum(path.read_text(errors="replace").count("x" * 1000) for path in files)
        self.assertTrue(lost or total > 0)

    def test_a_flood_goes_on_while_the_node_is_stopped(self):
        hf = self.holdfast()
        progress = self.path("progress")
        hf.apply(name="flood", command=[self.program("misfit"), "flood", str(progress)])
        eventually(lambda: progress.exists() and progress.read_text().strip(), "it floods")
        node = hf.node_pid()
        harness.kill(node, harness.signal.SIGSTOP)
        before = int(progress.read_text().split()[0])
        eventually(lambda: int(progress.read_text().split()[0]) > before + 20000, "it goes on writing", within=5)
        harness.kill(node, harness.signal.SIGCONT)


if __name__ == "__main__":
    harness.main()
