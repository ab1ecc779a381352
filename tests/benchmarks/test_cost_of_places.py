"""Tests of what pruning buys at each place, not of speed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("cost_of_places")


@pytest.fixture
def content(script, tmp_path):
    output = tmp_path / "out" / "cost.json"
    script.main(
        ["--sizes", "tiny", "--rounds", "1", "--cpu-time"]
        + ["--seconds", "1", "2", "--batches", "1", "2"]
        + ["--output", str(output)]
    )
    assert output.with_suffix(".png").stat().st_size > 1000
    return json.loads(output.read_text())


def test_every_place_and_setting_has_a_row(content):
    places = ["dense", "query", "value", "conv", "ffn", "all"]
    rows = content["rows"]
    assert [row["place"] for row in rows] == 4 * places
    settings = [(row["batch"], row["seconds"]) for row in rows[::6]]
    assert settings == [(1, 1.0), (1, 2.0), (2, 1.0), (2, 2.0)]


def test_halving_all_saves_what_halving_each_does(content):
    rows = {row["place"]: row for row in content["rows"][:6]}
    assert rows["dense"]["parameters_left"] == 1
    dense = rows["dense"]["parameters"]
    saved = {place: dense - row["parameters"] for place, row in rows.items()}
    # No weight joins two places.
    each = [saved[place] for place in ("query", "value", "conv", "ffn")]
    assert min(each) > 0
    assert sum(each) == saved["all"]
    macs = [row["macs_left"] for row in rows.values()]
    assert min(macs) == rows["all"]["macs_left"] < 0.7


def test_longer_batches_cost_more(content):
    dense = [row for row in content["rows"] if row["place"] == "dense"]
    macs = [row["macs"] for row in dense]
    assert macs[0] < macs[1] < macs[3]
    assert macs[2] > 1.9 * macs[0]  # positions are projected once
