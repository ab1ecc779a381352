"""What an analysis found, as plots and tables want it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.report.analysis_figures import (
    read_analysis,
    short_names,
)

PARTS = st.lists(st.sampled_from("ab0"), min_size=1, max_size=4)


def edit(folder, change):
    path = folder / "analysis.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_finished_analysis(analysis_folder):
    analysis = read_analysis(analysis_folder)
    assert list(analysis["layers"]) == ["linear1", "linear2"]
    layer = analysis["layers"]["linear1"]
    assert layer["group"] == "acoustic_model.fc.linear1"
    assert layer["units"] == 50
    assert layer["saliency"]["mi"]["order"][0] == 49
    assert layer["agreement"]["matrix"] == [[1.0, -0.42], [-0.42, None]]
    assert layer["splits"]["reverb"]["dead"] == 10
    assert analysis["splits"]["reverb"]["wer"] == pytest.approx(42.4)
    assert analysis["splits"]["dev"]["role"] == "home"
    assert analysis["ranked_on"]["name"] == "train"
    assert (analysis["hypo"], analysis["hyper"]) == (0.08, 0.04)


def test_removals_say_where_in_words(analysis_folder):
    removals = read_analysis(analysis_folder)["removals"]
    assert all(row["part"] != "none" for row in removals)
    assert {row["place"] for row in removals} == {
        "linear1",
        "linear2",
        "linear1 + linear2",
    }


def test_many_layers_are_counted(analysis_folder):
    def change(content):
        group = content["groups"].popitem()[1]
        names = [f"net.{n}.fc" for n in range(5)]
        content["groups"] = dict.fromkeys(names, group)
        for row in content["measurements"]:
            row["layers"] = names if row["layers"] else []

    edit(analysis_folder, change)
    removals = read_analysis(analysis_folder)["removals"]
    assert {row["place"] for row in removals} == {"5 layers together"}


def test_no_analysis(tmp_path):
    assert read_analysis(tmp_path) is None


@pytest.mark.parametrize(
    "key", ["groups", "settings", "splits", "measurements", "ranked_on"]
)
@pytest.mark.parametrize("value", [None, 3])
def test_damage_is_named(analysis_folder, key, value):
    def change(content):
        del content[key]
        if value is not None and key != "ranked_on":
            content[key] = value

    edit(analysis_folder, change)
    with pytest.raises(DataError, match="analysis.json is damaged: it lacks"):
        read_analysis(analysis_folder)


def test_a_split_without_its_unpruned_error_rate(analysis_folder):
    edit(analysis_folder, lambda content: content["measurements"].pop(0))
    with pytest.raises(DataError, match="misspells 'dev'"):
        read_analysis(analysis_folder)


def test_an_interval_that_lacks_an_end(analysis_folder):
    def change(content):
        del content["measurements"][1]["wer_difference"]["low"]

    edit(analysis_folder, change)
    with pytest.raises(DataError, match="misspells 'low'"):
        read_analysis(analysis_folder)


@given(st.lists(PARTS.map(".".join), min_size=1, unique=True))
def test_short_names_are_distinct_pieces(groups):
    names = short_names(groups)
    assert list(names) == groups
    assert len(set(names.values())) == len(groups)
    assert all(short and short in group for group, short in names.items())
