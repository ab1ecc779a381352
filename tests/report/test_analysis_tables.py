"""The tables about analyses and adaptations.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import re

import pytest

from speechbrain_neuronprune.report.analysis_figures import read_analysis
from speechbrain_neuronprune.report.analysis_tables import (
    activation_table,
    neurons_table,
    removal_table,
    systems_table,
)


@pytest.fixture
def analysis(analysis_folder):
    return read_analysis(analysis_folder)


def rows(html):
    """The texts of the cells, row by row."""
    return [
        [
            " ".join(re.sub("<[^>]*>", " ", cell).split())
            for cell in re.findall("<t[hd].*?>(.*?)</t[hd]>", row)
        ]
        for row in re.findall("<tr>(.*?)</tr>", html)
    ]


def test_removals_are_compared_with_the_unpruned_model(analysis):
    html = removal_table(analysis)
    assert "Without 8 % hypo and 4 % hyper neurons" in html
    head, unpruned, *others = rows(html)
    assert head == ["removed from", "dev", "reverb"]
    assert unpruned == ["unpruned", "9.10 %", "42.40 %"]
    assert len(others) == 3 * 2
    assert others[0] == [
        "linear1, by mi",
        "9.22 % +1.3 % +0.12 (−0.38 to +1.12)",
        "42.52 % +0.3 % +0.12 (−0.38 to +1.12)",
    ]
    assert "Utterances: dev 330, reverb 330." in html


def test_an_analysis_of_a_version_without_intervals(analysis_folder):
    path = analysis_folder / "analysis.json"
    content = json.loads(path.read_text())
    for row in content["measurements"]:
        del row["wer_difference"]
    path.write_text(json.dumps(content))
    html = removal_table(read_analysis(analysis_folder))
    assert rows(html)[2][1:] == ["9.22 % +1.3 %", "42.52 % +0.3 %"]


def test_dead_neurons(analysis):
    [head, first, _] = rows(activation_table(analysis))
    assert head == ["", "dev", "reverb"]
    assert first == [
        "linear1 (50 neurons)",
        "10.0 % 31.0 % zero, 0.4",
        "20.0 % 31.0 % zero, 0.4",
    ]


def test_neurons_by_number(analysis):
    _, first, *others = rows(neurons_table(analysis))
    assert first == ["linear1, mi", "49 48 47 46", "0 1"]
    assert len(others) == 3


def test_long_lists_of_neurons_are_cut(analysis):
    analysis["layers"]["linear1"]["saliency"]["mi"]["hypo"] = 45
    _, first, *_ = rows(neurons_table(analysis))
    assert first[1].endswith("…")
    assert len(first[1].split()) == 41


def test_systems_are_compared_with_the_first():
    html = systems_table(
        {"base": {"dev": 10.0}, "<A>": {"dev": 12.0, "far": 30.0}}
    )
    head, dev, far = rows(html)
    assert head == ["", "base", "&lt;A&gt;"]
    assert dev == ["dev", "10.00 %", "12.00 % +20.0 %"]
    assert far == ["far", "–", "30.00 %"]


def test_what_stands_in_the_file_cannot_be_a_tag(analysis):
    for layer in analysis["layers"].values():
        for one in layer["saliency"].values():
            one["order"] = ["<script>", *one["order"]]
            one["hypo"] = 1
    assert "<script>" not in neurons_table(analysis)
