"""Tests of what the harness concludes: python3 -m unittest discover -s benches/server"""

import pathlib
import tempfile
import unittest

from harness import dataset, goals, report, small
from harness.results import Results

MIB = 1 << 20


def figures(**scenarios):
    """`a_scenario=(glance, fanlight)` rows."""
    results = Results({"cores": "4"})
    for name, (base, ours) in scenarios.items():
        results.add(name, "glance", base)
        results.add(name, "fanlight", ours)
    return results


def verdict(results, beginning):
    return next(v for v in goals.judge(results) if v.what.startswith(beginning))


class Goals(unittest.TestCase):
    def test_a_ratio_is_judged_against_its_bound(self):
        for ours, met in ((5000, True), (4999, False)):
            results = figures(**{"GET image, c=16": ({"rps": 100}, {"rps": ours})})
            self.assertIs(verdict(results, "GET image").met, met)

    def test_what_was_not_measured_is_not_met(self):
        self.assertTrue(all(v.met is None for v in goals.judge(Results({}))))

    def test_a_deep_page_is_compared_with_page_1_of_the_same_server(self):
        rows = {
            "list of 20,000: page 1, c=16": ({"rps": 18}, {"rps": 1300}),
            "list of 20,000: page 500, c=16": ({"rps": 14}, {"rps": 999}),
        }
        found = verdict(figures(**rows), "page 500")
        self.assertEqual((found.ours, found.met), ("1.30×", False))

    def test_uploads_of_one_stream_are_not_confused_with_eight(self):
        rows = {
            "PUT 1024 MiB": ({"mb_s": 100}, {"mb_s": 300}),
            "PUT 1024 MiB, chunked": ({"mb_s": 100}, {"mb_s": 200}),
            "PUT 8 × 64 MiB": ({"mb_s": 1}, {"mb_s": 1}),
        }
        judged = {v.what: v.met for v in goals.judge(figures(**rows)) if v.what.startswith("PUT")}
        self.assertEqual(judged, {"PUT 1024 MiB": True, "PUT 1024 MiB, chunked": False})

    def test_a_server_that_gives_no_answer_misses(self):
        loaded = "list while 64 clients download slowly, c=1"
        quiet = {"p99_ms": 2.0, "requests": 100}
        rows = {"list, quiet, c=1": (quiet, quiet), loaded: ({"requests": 0}, {"requests": 0})}
        found = verdict(figures(**rows), "list p99")
        self.assertEqual((found.base, found.met), ("no answer", False))

    def test_memory_may_not_follow_the_size(self):
        for large, met in ((20 * MIB, True), (90 * MIB, False)):
            rows = {
                "memory: 8 uploads of 16 MiB at once": ({"rss_growth": 0}, {"rss_growth": 10 * MIB}),
                "memory: 8 uploads of 128 MiB at once": ({"rss_growth": 0}, {"rss_growth": large}),
            }
            self.assertIs(verdict(figures(**rows), "memory").met, met)


class Medians(unittest.TestCase):
    def test_disturbed_runs_count_only_when_there_are_no_others(self):
        results = Results({})
        for rps, others in ((10, 2.0), (30, 0.1), (32, 0.0)):
            results.add("x", "glance", {"rps": rps, "others_cpu": others})
        results.add("y", "glance", {"rps": 10, "others_cpu": 2.0})
        self.assertEqual(results.median("x", "glance", "rps"), 31)
        self.assertEqual(results.median("y", "glance", "rps"), 10)


class Page(unittest.TestCase):
    def test_only_what_stands_between_the_markers_changes(self):
        results = figures(**{"GET image, c=16": ({"rps": 100}, {"rps": 5100})})
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "page.md"
            page.write_text(f"before\n{report.BEGIN}\nstale\n{report.END}\nafter\n")
            for _ in range(2):
                report.write_into(page, results)
            text = page.read_text()
        self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"))
        self.assertNotIn("stale", text)
        self.assertIn("| GET image, 16 connections | ≥ 50× | 100 req/s | 5,100 req/s | 51.0× | met |", text)

    def test_results_survive_the_file(self):
        results = figures(**{"GET image, c=16": ({"rps": 100}, {"rps": 5100})})
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "sub/results.json"
            results.save(path)
            self.assertEqual(report.markdown(Results.load(path)), report.markdown(results))


class DataSet(unittest.TestCase):
    def test_page_500_of_twenty_begins_after_9980_images(self):
        self.assertEqual(small.deep_offset(20_000), 9980)

    def test_a_tenth_is_public(self):
        found = [dataset.image(i)["visibility"] for i in range(100)]
        self.assertEqual([found.count(v) for v in ("public", "private", "community", "shared")], [10, 10, 10, 70])


if __name__ == "__main__":
    unittest.main()
