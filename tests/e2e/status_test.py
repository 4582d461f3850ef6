#!/usr/bin/python3
"""What people see: within 80 columns whatever the names, and the truth about since when."""

import harness

LONG = "n" * 40


class Widths(harness.Case):
    def test_nothing_is_wider_than_80_columns_with_names_of_40_characters(self):
        hf = self.holdfast()
        flag = self.path("unready")
        hf.apply(**self.actor("--unready-if", flag, name=LONG, port=self.port(),
                              health={"ready": "http:/ready", "every": "100ms"}))
        hf.apply(**self.actor(name="shop", port=self.port(), inherit=True, instances=12))
        flag.touch()
        hf.wait_instance(LONG, 0, lambda entry: entry["state"] == "unready", "is unready")
        for verb, code in ((["status"], 3), (["services"], 0), (["services", LONG], 0), (["services", "shop"], 0),
                           (["history", LONG], 0), (["why", LONG], 0), (["settings"], 0), (["user", "list"], 0)):
            text = hf.cli(*verb, check=code).stdout
            wide = [line for line in text.splitlines() if len(line) > 80]
            self.assertEqual(wide, [], f"holdfast {' '.join(verb)}")
        self.assertIn(LONG, hf.cli("status").stdout)

    def test_degraded_says_what_since_when_and_what_next_and_exits_3(self):
        hf = self.holdfast()
        flag = self.path("unready")
        hf.apply(**self.actor("--unready-if", flag, port=self.port(), health={"ready": "http:/ready", "every": "100ms"}))
        flag.touch()
        hf.wait_instance("shop", 0, lambda entry: entry["state"] == "unready", "is unready")
        status = hf.json("status", check=3)
        self.assertEqual(status["health"], "degraded")
        problem = next(entry for entry in status["problems"] if entry["subject"] == "shop")
        self.assertTrue(problem["what"] and problem["since"] and problem["next"])
        self.assertIn("next:", hf.cli("status", check=3).stdout)


if __name__ == "__main__":
    harness.main()
