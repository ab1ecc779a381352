"""Tests of the HTML report.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import base64
import json
import re
from html.parser import HTMLParser

import pytest

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.report.figures import collect_figures
from speechbrain_neuronprune.report.gallery import draw_all
from speechbrain_neuronprune.report.page import render_page, write_report

VOID = {"meta", "link", "img", "source", "br"}
PLOTS = ["histogram", "logits", "progress", "survival", "tradeoff"]


class _Page(HTMLParser):
    """Checks that tags are balanced; gathers texts and references."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.references, self.tags = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [
            value
            for name, value in attrs
            if name in ("src", "srcset", "href", "action", "data")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.texts.append(" ".join(data.split()))

    @property
    def text(self):
        return " ".join(self.texts)


def _edit(run_folder, change):
    path = run_folder / "results.json"
    results = json.loads(path.read_text())
    change(results)
    path.write_text(json.dumps(results))


def _render(run_folder):
    """The page, with something shorter than PNGs for plots."""
    figures = collect_figures(run_folder)
    return render_page(figures, dict.fromkeys(draw_all(figures), b"plot"))


def _page(run_folder):
    return _Page(_render(run_folder))


def test_files_of_the_report(run_folder):
    page = write_report(run_folder)
    assert page == run_folder / "report" / "report.html"
    names = sorted(path.name for path in page.parent.iterdir())
    plots = [f"{stem}.png" for stem in PLOTS]
    assert names == sorted(["figures.json", "report.html", *plots])
    figures = json.loads((page.parent / "figures.json").read_text())
    assert figures == collect_figures(run_folder)


def test_the_report_can_go_elsewhere_and_be_written_again(run_folder, tmp_path):
    out = tmp_path / "deep" / "report"
    first = write_report(run_folder, out).read_bytes()
    assert write_report(run_folder, out).read_bytes() == first
    assert not (run_folder / "report").exists()


def test_the_page_refers_to_nothing_outside_itself(run_folder):
    text = _render(run_folder)
    assert all(ref.startswith("data:") for ref in _Page(text).references)
    assert not re.search(r"https?://|@import|url\(|<script", text)


def test_the_pngs_are_embedded(run_folder):
    page = write_report(run_folder)
    text = page.read_text(encoding="utf-8")
    for stem in PLOTS:
        content = (page.parent / f"{stem}.png").read_bytes()
        assert base64.b64encode(content).decode() in text
    assert _Page(text).tags.count("source") == len(PLOTS)


def test_table_and_headlines(run_folder):
    text = _page(run_folder).text
    assert "1.03 M" in text
    assert "433 k −58.0 %" in text
    assert "8.3 ms −41.5 %" in text
    assert "5.40 % +17.4 %" in text
    assert "42.0 % of the dense parameters" in text
    assert "1.71 × as fast as dense" in text
    assert "20 epochs · 1,600 steps · seed 1986" in text
    assert "Utterances: dev 328, test 1,521." in text


def test_identical_hypotheses(run_folder):
    text = _page(run_folder).text
    assert "the same hypothesis for every one of 1,849 utterances" in text
    assert "largest difference between their outputs was 1.9e−06" in text


def test_differing_hypotheses(run_folder):
    def change(results):
        results["splits"]["test"]["identical"] = 1518

    _edit(run_folder, change)
    page = _render(run_folder)
    text = _Page(page).text
    assert "differ on 3 of 1,849 utterances (test: 3 of 1,521)" in text
    assert 'class="card verdict off"' in page


def test_names_are_escaped(run_folder):
    def change(results):
        results["name"] = "<b>run</b> & co"
        results["splits"]['<i>"x'] = results["splits"].pop("test")

    _edit(run_folder, change)
    page = _page(run_folder)
    assert "<b>run</b> & co" in page.text
    assert 'WER <i>"x' in page.text
    assert "i" not in page.tags


def test_unknown_values_are_dashes(run_folder):
    def change(results):
        results["cost"]["dense"]["real_time_factor"] = None
        results["cost"]["compact"]["real_time_factor"] = None
        del results["cost"]["masked"]
        results["max_difference"] = None

    _edit(run_folder, change)
    text = _page(run_folder).text
    assert "Real-time factor – – –" in text
    assert "largest difference" not in text


def test_a_run_in_training_says_what_is_missing(run_folder):
    (run_folder / "results.json").unlink()
    (run_folder / "plan.json").unlink()
    page = _page(run_folder)
    assert "no results.json yet" in page.text
    assert page.tags.count("figure") == 4


def test_results_alone(run_folder):
    (run_folder / "retention.jsonl").unlink()
    (run_folder / "plan.json").unlink()
    page = _page(run_folder)
    assert page.tags.count("figure") == 1
    assert "seed 1986" in page.text


def test_a_dense_control_has_no_units(run_folder):
    """It logs epochs like any run, but has no gates and plans nothing."""
    empty = {
        "groups": {},
        "logit_quantiles": {},
        "logit_histogram": {"edges": [0, 1], "counts": {}},
    }
    path = run_folder / "retention.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(ln | empty) + "\n" for ln in lines))
    PruningPlan({}).save(run_folder / "plan.json")
    page = _page(run_folder)
    assert page.tags.count("figure") == 2
    assert "Units" not in page.text


def test_units_as_numbers(run_folder):
    text = _page(run_folder).text
    assert "Units alive, as numbers (from plan.json)" in text
    assert "block 1 38 / 384" in text


def test_phones_and_dark_mode(run_folder):
    text = _render(run_folder)
    assert 'name="viewport" content="width=device-width' in text
    assert "prefers-color-scheme: dark" in text
    assert text.startswith("<!DOCTYPE html>")


def test_a_folder_that_cannot_be_written(run_folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written to"):
        write_report(run_folder, tmp_path / "file")


def test_a_damaged_run_leaves_no_report(run_folder):
    (run_folder / "results.json").write_text("{")
    with pytest.raises(DataError):
        write_report(run_folder)
    assert not (run_folder / "report").exists()


# ------------------------------------------------- analyses and adaptations


def test_the_report_of_an_analysis(analysis_folder):
    page = write_report(analysis_folder)
    names = {path.name for path in page.parent.iterdir()}
    assert names == {
        "figures.json",
        "report.html",
        "saliency.png",
        "agreement.png",
        "removal-mi.png",
        "removal-obs.png",
    }
    figures = json.loads((page.parent / "figures.json").read_text())
    assert figures == collect_figures(analysis_folder)
    text = _Page(page.read_text(encoding="utf-8")).text
    assert "100 neurons · ranked on 12.5 min of train" in text
    assert "Without 8 % hypo and 4 % hyper neurons" in text
    assert "Removing neurons, ranked by obs" in text
    assert "There is no" not in text  # nothing was to be trained


def test_the_report_of_an_adaptation(adaptation_folder):
    page = _page(adaptation_folder)
    assert page.tags.count("figure") == 1
    assert "reverb 42.40 % 33.20 % −21.7 % 32.80 % −22.6 %" in page.text
    assert "Adaptation, epoch by epoch" in page.text


def test_an_analysis_of_a_finished_run(run_folder, analysis_folder):
    content = (analysis_folder / "analysis.json").read_bytes()
    (run_folder / "analysis.json").write_bytes(content)
    page = _page(run_folder)
    assert page.tags.count("figure") == 9
    assert "1.03 M" in page.text
    assert "Hypo and hyper neurons, as numbers" in page.text
